"""Two gears on the embedded world: what each gear trains on, and that a tag decides, after RL too."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from factories import make_problem, make_protocol
from small_runs import save_policy, small_config, tiny_protocol

from rl.cold_start.examples import IGNORE, Example, is_read_back, labelled_pair, paired_rows, worked_pairs
from rl.cold_start.gears import automatic_rows, chosen_examples, cold_start, first_pairs, first_rows
from rl.config.schema import ConfigError
from rl.data import load_problems
from rl.data.records import DataError
from rl.evaluation.tags import obedience
from rl.models.open import open_policy
from rl.training.run import set_up, train

TAGS = {"think": ";", "no_think": "="}  # tokens of the embedded world that no prompt has
GEARS = {"manual_steps": 90, "automatic_steps": 60, "manual_share": 0.5}


def config_of(tmp_path, policy="tiny", **sections):
    start = {"problems": 200, "steps": 2, "batch": 8, "learning_rate": 1e-2, "warmup_steps": 2, "max_length": 64}
    return small_config(
        tmp_path / "run",
        policy,
        **{
            "protocol": {"tags": TAGS},
            "rollout": {"max_new_tokens": 40, "max_prompt_tokens": 20},
            "label": {"samples": 2, "batch": 64},
            **sections,
            "cold_start": {**start, **sections.get("cold_start", {})},
        },
    )


def first(config, protocol):
    return first_rows(config, protocol, first_pairs(config, protocol))


def texts(rows, protocol):
    """(prompt, response) of each row, as text."""
    shown = []
    for row in rows:
        prompt = sum(label == IGNORE for label in row["labels"])
        assert row["labels"][prompt:] == row["input_ids"][prompt:]
        shown.append((protocol.decode(row["input_ids"][:prompt]), protocol.decode(row["input_ids"][prompt:])))
    return shown


def shortest(answer, tokens, thinking=""):
    return {"judge": "hm", "thinking": thinking, "answer": answer, "tokens": tokens}


def label_row(row_id, think, no_think, prompt="12 + 34"):
    label = {"think": {"shortest": think}, "no_think": {"shortest": no_think}, "complexity": 0.5}
    return {"id": row_id, "prompt": prompt, "answer": "46", "label": label}


# --- what is trained on ----------------------------------------------------------------------------------------------


def test_without_gears_the_prompts_state_no_mode_and_half_of_each_batch_thinks(tmp_path):
    config, protocol = config_of(tmp_path, cold_start={"batch": 4}), tiny_protocol()
    shown = texts(first(config, protocol), protocol)
    assert len(shown) == 8
    assert ["<think_on>" in response for _, response in shown] == [True, True, False, False] * 2
    assert not any(";" in prompt or "=" in prompt for prompt, _ in shown)


def test_without_gears_a_share_of_the_problems_states_the_mode_in_both_of_its_rows(tmp_path):
    config = config_of(tmp_path, cold_start={"batch": 8, "tagged_share": 0.25})
    shown = texts(first(config, make_protocol("kat", tags=TAGS)), tiny_protocol())
    stated = [(prompt.removesuffix("<judge>")[-1], "<think_on>" in response) for prompt, response in shown]
    stated = [one for one in stated if one[0] in TAGS.values()]
    # One of the four problems of each of the two batches, in both modes.
    assert sorted(stated) == [(";", True), (";", True), ("=", False), ("=", False)]


def test_each_mode_has_its_share_of_tagged_rows_and_plain_ones_whatever_the_share_of_thoughts(tmp_path):
    config = config_of(tmp_path, cold_start={"batch": 20, "think_share": 0.9, "tagged_share": 0.5})
    shown = texts(first(config, make_protocol("kat", tags=TAGS)), tiny_protocol())[:20]
    rows = [
        ("<think_on>" in response, prompt.removesuffix("<judge>")[-1] in TAGS.values()) for prompt, response in shown
    ]
    assert sorted(Counter(rows).items()) == [
        ((False, False), 1),
        ((False, True), 1),
        ((True, False), 9),
        ((True, True), 9),
    ]


def test_the_manual_gear_states_the_mode_of_the_response_in_every_prompt(tmp_path):
    config = config_of(tmp_path, cold_start={"gears": {"manual_steps": 2}, "batch": 4})
    protocol = make_protocol("kat", tags=TAGS)
    for prompt, response in texts(first(config, protocol), protocol):
        tag, switch = (";", "<think_on>") if "<think>" in response else ("=", "<think_off>")
        assert prompt.endswith(f"{tag}<judge>")
        assert switch in response


def test_the_second_gear_keeps_the_shortest_correct_answer_of_a_problem_or_of_each_mode():
    rows = [
        label_row("a", shortest("46", 9, "1"), shortest("46", 5)),
        label_row("b", shortest("46", 9, "1"), None),
        label_row("c", None, None),
        label_row("d", shortest("46", 5, "1"), shortest("46", 5)),
    ]
    best = [(e.problem.id, e.mode) for e in chosen_examples(rows, "best")]
    assert best == [("a", "no_think"), ("b", "think"), ("d", "no_think")]
    each = [(e.problem.id, e.mode) for e in chosen_examples(rows, "each_mode")]
    assert each == [("a", "no_think"), ("a", "think"), ("b", "think"), ("d", "no_think"), ("d", "think")]


def test_the_second_gear_trains_on_plain_prompts_and_a_share_of_tagged_ones(tmp_path):
    gears = {"automatic_steps": 5, "keep": "best", "manual_share": 0.25}
    config, protocol = config_of(tmp_path, cold_start={"gears": gears}), make_protocol("kat", tags=TAGS)
    shown = texts(
        automatic_rows([label_row("a", shortest("46", 9, "1+1"), shortest("46", 5))], config, protocol), protocol
    )
    assert len(shown) == 40
    plain = [response for prompt, response in shown if prompt == "<bos>12+34<judge>"]
    assert len(plain) == 30
    assert set(plain) == {"hm</judge><think_off><answer>46</answer><eos>"}
    tagged = {(prompt, "<think>" in response) for prompt, response in shown if prompt != "<bos>12+34<judge>"}
    assert tagged == {("<bos>12+34;<judge>", True), ("<bos>12+34=<judge>", False)}
    for start in range(0, 40, 8):
        thinks = ["<think_on>" in response for _, response in shown[start : start + 8]]
        assert thinks == sorted(thinks, reverse=True)


def test_the_tagged_rows_of_the_second_gear_are_the_first_gears_where_there_are_any(tmp_path):
    gears = {"automatic_steps": 5, "manual_share": 0.5}
    config, protocol = config_of(tmp_path, cold_start={"gears": gears}), make_protocol("kat", tags=TAGS)
    only_thinking_solves_it = label_row("a", shortest("46", 9, "1+1"), None)
    hard = make_problem("h", prompt="1 + 2", answer="3")
    pair = (Example(hard, "think", "3", "1+2=3"), Example(hard, "no_think", "3"))
    rows = automatic_rows([only_thinking_solves_it], config, protocol, [pair])
    tagged = {
        (prompt, "<think>" in response) for prompt, response in texts(rows, protocol) if ";" in prompt or "=" in prompt
    }
    assert tagged == {("<bos>1+2;<judge>", True), ("<bos>1+2=<judge>", False)}


def test_nothing_correct_is_an_error_that_says_what_to_change(tmp_path):
    config, protocol = config_of(tmp_path, cold_start={"gears": {"automatic_steps": 1}}), tiny_protocol()
    with pytest.raises(ConfigError, match=r"no correct answer to learn from; allowed: more cold_start\.gears"):
        list(automatic_rows([label_row("a", None, None)], config, protocol))


def test_a_labelled_file_gives_pairs_in_the_model_s_own_words(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [label_row("a", shortest("46", 9, "12+34=46"), shortest("46", 5)), label_row("b", None, shortest("46", 5))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ((think, direct),) = worked_pairs(config_of(tmp_path, cold_start={"labels": str(path)}))
    assert (think.mode, think.thinking, think.judge_words) == ("think", "12+34=46", ("hm",))
    assert (direct.mode, direct.answer, direct.problem.id) == ("no_think", "46", "a")
    assert labelled_pair(rows[1]) is None
    with pytest.raises(ConfigError, match=r"no labelled problems in 'gone\.jsonl'"):
        worked_pairs(config_of(tmp_path, cold_start={"labels": "gone.jsonl"}))


@pytest.mark.parametrize(
    "label",
    [
        None,
        {},
        "think",
        {"think": {"shortest": None}},
        {"think": {"shortest": None}, "no_think": {}},
        {"think": {"shortest": None}, "no_think": {"shortest": "46"}},
        {"think": {"shortest": None}, "no_think": {"shortest": {"answer": "46", "thinking": "", "judge": ""}}},
        {"think": {"shortest": None}, "no_think": {"shortest": shortest("46", 5) | {"answer": None}}},
    ],
)
def test_a_labelled_row_without_an_example_of_each_mode_is_told_with_its_line(tmp_path, label):
    path = tmp_path / "labels.jsonl"
    rows = [label_row("a", None, shortest("46", 5)), {**label_row("b", None, None), "label": label}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"labels\.jsonl:2: (its label\.(no_)?think\.shortest|no object 'label')"):
        worked_pairs(config_of(tmp_path, cold_start={"labels": str(path)}))


def test_of_a_labelled_file_a_draw_is_learned_and_not_its_first_rows(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [label_row(f"{k}", shortest("46", 9, "12+34=46"), shortest("46", 5)) for k in (*range(20), 19)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [
        [int(think.problem.id) for think, _ in worked_pairs(config_of(tmp_path, seed=seed, cold_start=cold_start))]
        for seed, cold_start in itertools.product(
            (0, 1), ({"labels": str(path), "problems": count} for count in (5, 99))
        )
    ]
    few, whole, others, again = found
    assert (len(few), len(others), whole, again) == (5, 5, [*range(20), 19], [*range(20), 19])
    assert few == sorted(few) != list(range(5))
    assert others != few


def test_data_without_solutions_has_nothing_to_start_from(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"prompt": "1", "answer": "2"}\n')
    config = config_of(tmp_path, data={"path": str(tmp_path), "train": "train.jsonl"})
    with pytest.raises(ConfigError, match=r"has no worked solutions to start from; allowed: .*metadata\.solution"):
        worked_pairs(config)


@pytest.mark.parametrize(
    ("name", "thinking", "answer", "good"),
    [
        ("qwen3", "a b", "42", True),
        ("qwen3", "\na b", "42", True),  # the switch is a token of its own, whatever follows it
        ("qwen3", "", "42", False),
        ("one_token", "a b", "42", True),
        ("one_token", "a </think> b", "42", False),
        ("one_token", "a b", "42 <no_think>", False),
    ],
)
def test_a_solution_that_would_be_misread_is_no_example(name, thinking, answer, good):
    example = Example(make_problem(), "think", answer, thinking)
    assert is_read_back(example, make_protocol(name)) == good


def test_a_batch_has_half_its_rows_in_each_mode_and_the_longest_first(tmp_path):
    config, protocol = config_of(tmp_path), tiny_protocol()
    rows = list(paired_rows(worked_pairs(config), config, protocol, 3))
    think = protocol.switch_ids["think"]
    for start in range(0, 24, 8):
        batch = rows[start : start + 8]
        lengths = [len(row["input_ids"]) for row in batch]
        assert lengths == sorted(lengths, reverse=True)
        assert sum(think in row["input_ids"] for row in batch) == 4


def test_the_manual_gear_can_have_fewer_thoughts_than_direct_answers_and_draws_new_problems_for_these(tmp_path):
    config = config_of(tmp_path, cold_start={"gears": {"manual_steps": 3, "think_share": 0.25}})
    protocol = make_protocol("kat", tags=TAGS)
    rows = list(paired_rows(worked_pairs(config), config, protocol, 3, manual=True))
    for start in range(0, 24, 8):
        batch = [protocol.decode(row["input_ids"]) for row in rows[start : start + 8]]
        assert sum("<think_on>" in text for text in batch) == 2
        assert len({text for text in batch if "<think_off>" in text}) == 6


def test_rows_above_the_length_cap_are_left_out_and_none_left_is_an_error(tmp_path):
    protocol = tiny_protocol()
    pairs = worked_pairs(config_of(tmp_path))
    short = config_of(tmp_path, cold_start={"max_length": 40})
    rows = list(itertools.islice(paired_rows(pairs, short, protocol, 3), 24))
    assert max(len(row["input_ids"]) for row in rows) <= 40
    with pytest.raises(ConfigError, match=r"cold_start\.max_length is 5: no worked problem fits"):
        next(paired_rows(pairs, config_of(tmp_path, cold_start={"max_length": 5}), protocol, 1))


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.medium
def test_a_manual_tag_wins_after_the_first_gear_after_the_second_and_after_rl(tmp_path):
    config = config_of(
        tmp_path,
        save_policy(tmp_path / "policy"),
        cold_start={"gears": {**GEARS, "labels": str(tmp_path / "labels.jsonl")}},
        trainer={"steps": 6, "learning_rate": 1e-3, "save_every": 6},
    )
    problems = load_problems(config, "test")

    def obeyed(model):
        policy = open_policy(config, str(model))
        return obedience(config, problems, policy.engine, policy.protocol)

    assert min(obeyed(config.model.path).values()) < 0.9
    manual = cold_start(config, manual_only=True)
    assert obeyed(manual) == {"think": 1.0, "no_think": 1.0}
    # This policy is too small to be right, so its second gear is fed with worked answers.
    pairs = worked_pairs(config_of(tmp_path))
    rows = [
        label_row(p.id, shortest("46", 9, "1+1"), shortest("46", 5), p.prompt) for p in (a.problem for a, _ in pairs)
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = cold_start(config)
    assert obeyed(model) == {"think": 1.0, "no_think": 1.0}
    trained = train(set_up(config, show=lambda line: None))
    assert obeyed(trained) == {"think": 1.0, "no_think": 1.0}


def test_what_is_left_out_for_its_length_is_said(tmp_path, capsys):
    protocol = tiny_protocol()
    problems = [make_problem(str(i), prompt="1+1") for i in range(3)]
    thoughts = ("1+1", "1+1", "1+1" * 10)
    pairs = [
        (Example(p, "think", "2", thought), Example(p, "no_think", "2"))
        for p, thought in zip(problems, thoughts, strict=True)
    ]
    config = config_of(tmp_path, cold_start={"max_length": 40})
    assert len(list(paired_rows(pairs, config, protocol, 2))) == 16
    assert "cold start: 1 of 3 pairs left out, above cold_start.max_length 40 tokens" in capsys.readouterr().out


def test_a_program_is_a_worked_solution_too(tmp_path):
    row = {"prompt": "1+1", "tests": [{"call": "f", "expected": 2}], "metadata": {"solution": "def f():\n    return 2"}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    data = {"path": str(tmp_path), "train": "rows.jsonl", "test": "rows.jsonl"}
    ((think, direct),) = worked_pairs(config_of(tmp_path, data=data, rewards=[{"name": "judge"}, {"name": "code"}]))
    assert think.thinking == "def f():\n    return 2"
    assert think.answer == direct.answer == "```python\ndef f():\n    return 2\n```"

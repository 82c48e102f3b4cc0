"""Duplicates, overlap with the test split, and answers that no reward can verify."""

from __future__ import annotations

import dataclasses
import json

import pytest
from factories import make_problem
from small_runs import save_policy, script, settings, small_config, tiny_protocol, write_config

from rewards.registry import build_rewards
from rl.checks.data_check import check_data, write_sound
from rl.checks.known_answers import gold_answer
from rl.checks.overlap import duplicates, normalised, overlaps
from rl.checks.preflight import preflight
from rl.checks.prompt_check import check_caps
from rl.checks.reward_check import check_rewards, complaints, report_lines
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.data import load_problems
from rl.data.prompts import usable_problems
from rl.models.open import open_protocol
from rollout.types import Problem

WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
]


def asked(problem_id, text):
    return Problem(problem_id, text, answer="1")


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_texts_are_compared_without_case_punctuation_and_spaces():
    assert normalised("What is  $3+4$?\nTell me!") == ["what", "is", "3+4", "tell", "me"]
    assert normalised("ﬁve  _apples_, 3.5 kg.") == ["five", "apples", "3.5", "kg"]
    assert normalised("2 - 3") != normalised("2 + 3")


def test_duplicates_name_the_first_that_asks_the_same():
    problems = [asked("a", "How many?"), asked("b", "how  many"), asked("c", "How much?"), asked("d", "How many!")]
    assert duplicates(problems) == [("b", "a"), ("d", "a")]


def test_half_of_the_test_prompts_word_groups_are_an_overlap_and_fewer_are_not():
    test = [asked("t", " ".join(WORDS))]  # 14 words: 7 groups of 8
    four = asked("x", "Before. " + " ".join(WORDS[:11]) + " after")
    three = asked("y", "Before. " + " ".join(WORDS[:10]) + " after")
    (found,) = overlaps([four, three], test)
    assert (found.train_id, found.test_id, found.share) == ("x", "t", 4 / 7)
    assert len(found.shared.split()) == 8
    assert found.shared in " ".join(WORDS[:11])


def test_the_halves_of_two_training_prompts_do_not_add_up():
    test = [asked("t", " ".join(WORDS))]
    halves = [asked("x", " ".join(WORDS[:10]) + " end"), asked("y", "begin " + " ".join(WORDS[4:]))]
    assert overlaps(halves, test) == []


def test_short_prompts_overlap_when_they_are_equal_as_a_whole():
    found = overlaps([asked("x", "What is 3 + 4?"), asked("y", "What is 3 + 5?")], [asked("t", "what is 3 + 4")])
    assert [(one.train_id, one.test_id, one.share) for one in found] == [("x", "t", 1.0)]


@pytest.mark.parametrize("copies", [1, 2, 32])
def test_a_benchmark_that_is_repeated_hides_no_leak(copies):
    questions = (" ".join(WORDS), " ".join(reversed(WORDS)))
    test = [asked(f"{name}{k}", text) for k in range(copies) for name, text in zip("ab", questions, strict=True)]
    leak = asked("x", f"Please: {questions[1]}!")
    assert [(one.train_id, one.test_id) for one in overlaps([leak, asked("y", "ten nine")], test)] == [("x", "b0")]


def test_ten_rows_of_a_template_do_not_overlap():
    rows = [asked(f"{i}", f"{' '.join(WORDS)} what is {i} + {i * i + 7}") for i in range(20)]
    assert overlaps(rows[:10], rows[10:]) == []
    assert overlaps(rows[:10], rows[10:11]) != []  # one test prompt: nothing says what is template
    assert [one.train_id for one in overlaps([*rows[:10], asked("x", rows[12].prompt)], rows[10:])] == ["x"]


def test_a_template_of_the_training_set_is_none_of_a_single_test_prompt_either():
    rows = [asked(f"{i}", f"{' '.join(WORDS)} what is {i} + {i * i + 7}") for i in range(20)]
    assert overlaps(rows[:19], rows[19:]) == []


def test_a_leak_is_found_behind_a_template_that_it_lacks():
    question = "a farmer sells seven hens and buys nine goats for the same price"
    test = [asked(f"t{i}", f"{' '.join(WORDS)} {i} {i + 1} {i * i}") for i in range(9)]
    test.append(asked("leaked", f"{' '.join(WORDS)} {question}"))
    assert [one.test_id for one in overlaps([asked("x", question)], test)] == ["leaked"]


def test_scripts_without_spaces_are_compared_by_thirteen_characters():
    text = "小明有三个苹果他又买了五个苹果请问他现在一共有几个苹果"
    other = asked("y", "小红有三个苹果，她又买了两本书，请问一本书多少钱？")
    found = overlaps([asked("x", f"题目：{text}。"), other], [asked("t", text)])
    assert [(one.train_id, one.share) for one in found] == [("x", 1.0)]
    assert len(found[0].shared) == 13


def test_of_a_conversation_what_the_user_says_counts():
    turns = ({"role": "user", "content": "What is 3 + 4?"}, {"role": "assistant", "content": "7"})
    talk = Problem("x", "and doubled?", answer="14", messages=(*turns, {"role": "user", "content": "and doubled?"}))
    assert overlaps([talk], [asked("t", "and doubled?")]) == []
    assert [one.test_id for one in overlaps([talk], [asked("t", "What is 3 + 4? and doubled?")])] == ["t"]


# --- gold answers ----------------------------------------------------------------------------------------------------


def test_gold_is_the_answer_or_the_reference_program():
    assert gold_answer(make_problem(answer="46")) == "46"
    program = make_problem(answer=None, tests=({"assert": "f()"},), metadata={"solution": "def f(): pass"})
    assert gold_answer(program) == "```python\ndef f(): pass\n```"
    assert gold_answer(make_problem(answer=None, tests=({"assert": "f()"},))) is None


def test_a_gold_answer_that_the_reward_cannot_verify_is_counted_with_its_reason():
    problems = [make_problem("a", answer="B"), make_problem("b", answer="see the figure above")]
    check = check_rewards(problems, build_rewards([{"name": "choice"}]), kinds=("gold",))
    (failed,) = check.failed("gold")
    assert (len(check.probes), failed.problem, failed.correct) == (2, "b", None)
    assert "'b'" in failed.told()


def test_a_reference_program_that_fails_its_tests_is_counted():
    tests = ({"call": "f", "args": [], "expected": 1},)
    problems = [
        make_problem(str(n), answer=None, tests=tests, metadata={"solution": f"def f():\n    return {n}"})
        for n in (1, 2)
    ]
    check = check_rewards(problems, build_rewards([{"name": "code"}]), kinds=("gold",))
    assert [(p.problem, p.correct) for p in check.probes] == [("1", 1.0), ("2", 0.0)]
    assert check.failed("gold")[0].told().endswith("correct 0")


def test_a_run_is_refused_when_too_many_gold_answers_fail(tmp_path):
    problems = [make_problem("a", prompt="1", answer="46"), make_problem("b", prompt="2", answer="Ann")]
    rewards = build_rewards([{"name": "choice"}])
    shown: list[str] = []
    config = small_config(tmp_path, tmp_path, data={"max_bad_gold": 1.0})
    assert preflight(config, problems, tiny_protocol(), rewards, None, shown.append) == problems
    assert "gold answers: 0 of 2 earn full marks" in shown
    config = small_config(tmp_path, tmp_path, data={"max_bad_gold": 0.99})
    with pytest.raises(ConfigError, match=r"2 of 2 gold answers do not earn full marks; allowed: a share of 0\.99"):
        preflight(config, problems, tiny_protocol(), rewards, None, shown.append)


def test_a_run_is_refused_when_wrong_answers_earn_full_marks(tmp_path):
    (tmp_path / "kind.py").write_text("def kind(rollout):\n    return 1.0\n")
    problems = [make_problem("a", prompt="1", answer="46"), make_problem("b", prompt="2", answer="7")]
    rewards = build_rewards([{"name": f"{tmp_path}/kind.py:kind"}])
    with pytest.raises(ConfigError, match=r"2 of 2 wrong answers are not told from right ones"):
        preflight(small_config(tmp_path, tmp_path), problems, tiny_protocol(), rewards, None, lambda line: None)


# --- the command -----------------------------------------------------------------------------------------------------

TRAIN = [
    {"id": "a", "prompt": "3 + 4", "answer": "7"},
    {"id": "b", "prompt": "3 +  4", "answer": "7"},
    {"id": "c", "prompt": "5 + 5", "answer": "10"},
    {"id": "d", "prompt": "6 + 6", "answer": "{{ \\"},
    {"id": "e", "prompt": "7 + 7", "answer": "14"},
    {"id": "f", "prompt": "1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1", "answer": "12"},
    {"id": "g", "prompt": "8 + 8", "answer": "16"},
    {"id": "g", "prompt": "9 + 8", "answer": "17"},
    {"id": "h", "prompt": "3 * 3", "tests": [{"call": "f", "expected": 1}], "metadata": {"solution": "f = int"}},
    {"id": "i", "prompt": "3 * 4", "answer": float("nan")},
]
TEST = [{"id": "t", "prompt": "5 + 5", "answer": "10"}]


def raw_config(tmp_path, train=TRAIN, **data):
    for name, rows in (("train", train), ("test", TEST)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"path": str(tmp_path), "train": "train.jsonl", "test": "test.jsonl"}
    return settings(tmp_path, tmp_path, data={**files, **data}, rewards=[{"name": "judge"}, {"name": "math"}])


def test_the_report_lists_what_is_wrong_and_what_is_written_is_what_a_run_takes(tmp_path):
    save_policy(tmp_path)
    raw = raw_config(tmp_path, max_drop=0.9)
    config = parse_config(raw)
    protocol = open_protocol(config)
    check = check_data(config, build_rewards(config.rewards), protocol)
    lines = "\n".join(check.lines())
    assert "train: 6 problems of 'train.jsonl'" in lines
    assert "bad rows: 4\n" in lines
    assert f"{tmp_path}/train.jsonl:4: problem 'd' has answer" in lines
    assert f"prompts that cannot be used: 1\n    {tmp_path}/train.jsonl:6: problem 'f' has a prompt of" in lines
    assert "duplicates: 1\n    b repeats a" in lines
    assert "training problems that overlap with the test split: 1\n    c and t share '5 + 5'" in lines
    assert check.refusals(config) == [
        "50.0% of the rows of data.train are bad; allowed: data.max_bad_share, 5.0%",
    ]
    report = check.to_json(config)
    assert json.loads(json.dumps(report)) == report
    train = report["splits"]["train"]
    assert (train["rows"], train["problems"], train["sound"]) == (10, 6, 3)
    assert (len(train["bad_rows"]), list(train["unusable_prompts"]), train["duplicates"]) == (4, ["f"], [["b", "a"]])
    assert report["overlapping"] == [{"train_id": "c", "test_id": "t", "shared": "5 + 5", "share": 1.0}]
    files = write_sound(check, tmp_path / "sound", "test")
    assert [json.loads(line)["id"] for line in files[0].read_text().splitlines()] == ["a", "e", "g"]
    assert [json.loads(line) for line in files[1].read_text().splitlines()] == TEST
    again = parse_config({**raw, "data": {"path": str(tmp_path / "sound"), "train": "train.jsonl"}})
    assert [p.id for p in usable_problems(again, "train", protocol)] == ["a", "e", "g"]


def test_a_reference_program_that_fails_its_tests_is_left_out_of_what_is_written(tmp_path):
    tests = [{"call": "f", "args": [], "expected": 1}]
    rows = [
        {"id": str(n), "prompt": f"write {n}", "tests": tests, "metadata": {"solution": f"def f():\n    return {n}"}}
        for n in (1, 2)
    ]
    raw = raw_config(tmp_path, rows) | {"rewards": [{"name": "code"}]}
    (tmp_path / "test.jsonl").write_text(json.dumps(rows[0] | {"prompt": "other"}) + "\n")
    config = parse_config(raw)
    check = check_data(config, build_rewards(config.rewards))
    assert [problem.id for problem in check.sound("train")] == ["1"]
    assert check.refusals(config) == [
        "50.0% of the gold answers of data.train fail their reward; allowed: data.max_bad_gold, 10.0%"
    ]


def test_bad_rows_are_a_share_of_all_rows_and_what_is_left_out_of_those_that_were_drawn(tmp_path):
    rows = [{"id": str(n), "prompt": f"{n} + 1 =", "answer": str(n + 1)} for n in range(97)] + [{"id": "x"}] * 3
    raw = raw_config(tmp_path, rows, max_drop=0.1) | {"rewards": [{"name": "exact"}]}
    raw["data"] |= {"train_size": 20, "on_bad_row": "skip"}
    config = parse_config(raw)
    check = check_data(config, build_rewards(config.rewards))
    assert check.splits["train"].bad_share == 0.03
    assert len(check.sound("train")) == 20
    assert check.refusals(config) == []
    (line,) = (line for line in check.splits["train"].loaded.lines("train"))
    assert line.startswith("data.train: 3 of 100 rows left out")


def test_without_a_known_answer_nothing_is_said_to_have_been_tried(tmp_path):
    rows = [{"id": "1", "prompt": "write", "tests": [{"call": "f", "expected": 1}]}]
    config = parse_config(raw_config(tmp_path, rows) | {"rewards": [{"name": "code", "domains": [""]}]})
    (tmp_path / "test.jsonl").write_text(json.dumps(rows[0] | {"prompt": "other"}) + "\n")
    lines = check_data(config, build_rewards(config.rewards)).lines()
    assert "  gold answers: none is known, so none was tried" in lines


def test_the_command_writes_its_whole_report_and_ends_with_code_1_above_a_limit(tmp_path):
    save_policy(tmp_path)
    config = str(write_config(tmp_path / "run.json", raw_config(tmp_path)))
    out, report = tmp_path / "clean", tmp_path / "report.json"
    done = script("check_data.py", config, "--out", str(out), "--json", str(report))
    assert done.returncode == 1
    assert "refused: 50.0% of the rows of data.train are bad" in done.stderr
    assert (
        "refused: 70.0% of the rows of data.train would be left out; allowed: a share of data.max_drop, 50.0%"
        in done.stderr
    )
    assert "duplicates: 1" in done.stdout
    assert len(json.loads(report.read_text())["splits"]["train"]["bad_rows"]) == 4
    assert not list(out.glob("*.jsonl"))


def test_an_empty_result_is_never_written(tmp_path):
    save_policy(tmp_path)
    config = str(write_config(tmp_path / "run.json", raw_config(tmp_path, TEST, max_drop=1.0)))
    done = script("check_data.py", config, "--out", str(tmp_path / "clean"))
    assert done.returncode == 1
    assert "100.0% of the rows of data.train would be left out" in done.stderr
    assert not list((tmp_path / "clean").glob("*.jsonl"))


@pytest.mark.parametrize(
    ("rollout", "evaluation", "told"),
    [
        ({"max_new_tokens": 8}, {}, r"rollout\.max_new_tokens is 8; allowed: at least 9, .* think response"),
        ({"max_new_tokens": 9}, {"max_new_tokens": 5}, r"evaluation\.max_new_tokens is 5; allowed: at least 9"),
    ],
)
def test_a_cap_that_cuts_every_response_of_a_mode_is_refused(rollout, evaluation, told):
    protocol = tiny_protocol()  # </judge><think_on><think>3</think><answer>7</answer><eos>: nine tokens
    with pytest.raises(ConfigError, match=told):
        check_caps(parse_config({"rollout": rollout, "evaluation": evaluation}), protocol)
    check_caps(parse_config({"rollout": {"max_new_tokens": 9}}), protocol)


HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202e\x00\r\n"


def test_ids_and_texts_of_data_steer_no_terminal_and_break_no_line(tmp_path):
    rows = [{"id": f"{HOSTILE}{i}", "prompt": f"{i} + 1", "answer": f"{HOSTILE}{i}"} for i in range(3)]
    again = {"id": f"{HOSTILE}again", "prompt": "5 + 5", "answer": "7"}
    config = parse_config(raw_config(tmp_path, train=[*rows, again, {**again, "id": f"{HOSTILE}2"}]))
    rewards = build_rewards(config.rewards)
    check, probes = check_data(config, rewards), check_rewards(load_problems(config, "test"), rewards)
    known = dataclasses.replace(probes, unreadable=(f"{HOSTILE}2",))
    lines = [*check.lines(), *report_lines(known), *complaints(known, 0.0)]
    assert sum("owned" in line for line in lines) >= 6
    assert not set("".join(lines)) & {"\x1b", "\x07", "\u202e", "\x00", "\r", "\n"}

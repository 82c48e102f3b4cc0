"""Evaluation of a served model and of another framework's records."""

import time

import pytest
from chat_server import chat_server
from factories import make_problem

from rewards.plugin import RewardError
from rewards.registry import Reward, build_rewards
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.evaluation.others import evaluate_records, split_thought
from rl.evaluation.outcomes import MODE_PLAN
from rl.evaluation.served import evaluate_server
from rl.files.row_store import RowStore
from rl.models.chat_api import Endpoint, EndpointError
from rl.reports.choice import setting_lines
from rl.reports.tables import mode_lines

PROBLEMS = [make_problem("easy", "3+4?", "7", difficulty="1"), make_problem("hard", "30*41?", "1230", difficulty="2")]
CONFIG = parse_config({"rollout": {"max_new_tokens": 64}, "data": {"easy": ["1"], "hard": ["2"]}})


def rewards():
    return build_rewards([{"name": "judge"}, {"name": "math"}])


def model(body, seen):
    """Thinks where it is told to and, left alone, on the product; without thinking it gets the product wrong."""
    text = body["messages"][-1]["content"]
    told = body.get("chat_template_kwargs", {}).get("enable_thinking")
    product = "30*41" in text
    thinks = product if told is None else told
    answer = "7" if not product else "1230" if thinks else "1200"
    reasoning = "let me see" if thinks else ""
    tokens = 40 if thinks else 4
    return {"content": answer, "reasoning": reasoning, "usage": {"prompt_tokens": 9, "completion_tokens": tokens}}


@pytest.mark.medium
def test_a_served_model_is_measured_in_three_modes_by_its_templates_argument():
    with chat_server(model) as (url, seen):
        result = evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m", backoff=0.01), "enable_thinking", rewards())
    assert {mode: (t["accuracy"], t["mean_tokens"]) for mode, t in result["modes"].items()} == {
        "think": (1.0, 40.0),
        "no_think": (0.5, 4.0),
        "auto": (1.0, 22.0),
    }
    assert result["choice"]["no_worse"][0] == 1.0
    assert (result["easy"]["auto"]["think_rate"], result["hard"]["auto"]["think_rate"]) == (0.0, 1.0)
    assert result["dial"] == {}
    assert "p_think" not in result["problems"][0]
    assert "tokens" not in result["modes"]["think"]
    kwargs = [body.get("chat_template_kwargs") for body in seen.bodies]
    assert kwargs.count(None) == 2
    assert all(body["temperature"] == 0 and body["max_tokens"] == 64 for body in seen.bodies)


def test_several_samples_of_a_served_model_are_drawn_and_give_means_and_pass_at_k():
    config = parse_config(
        {"evaluation": {"samples": 2}, "rollout": {"temperature": 0.7, "top_p": 0.9, "top_k": 20}, "seed": 5}
    )

    def once(body, seen):
        return {"content": "7" if body["seed"] == 5 else "8", "usage": {"completion_tokens": 4}}

    with chat_server(once) as (url, seen):
        result = evaluate_server(config, PROBLEMS[:1], Endpoint(url, "m"), "enable_thinking", rewards())
    assert (result["samples"], result["modes"]["auto"]["accuracy"], result["modes"]["auto"]["pass@2"]) == (2, 0.5, 1.0)
    drawn = sorted((body["temperature"], body["top_p"], body["top_k"], body["seed"]) for body in seen.bodies)
    assert drawn == [(0.7, 0.9, 20, 5)] * 3 + [(0.7, 0.9, 20, 6)] * 3


@pytest.mark.medium
def test_what_a_server_has_answered_is_not_asked_again(tmp_path):
    def failing(body, seen):
        return {"status": 404} if "30*41" in body["messages"][-1]["content"] else model(body, seen)

    def stored():
        return RowStore(tmp_path / "rows.jsonl", {"made": "here"})

    with chat_server(failing) as (url, seen):
        endpoint = Endpoint(url, "m", backoff=0.01)
        part = evaluate_server(CONFIG, PROBLEMS, endpoint, "enable_thinking", rewards(), stored())
    with chat_server(model) as (url, seen):
        endpoint = Endpoint(url, "m", backoff=0.01)
        whole = evaluate_server(CONFIG, PROBLEMS, endpoint, "enable_thinking", rewards(), stored())
        assert len(seen.bodies) == 3
        anew = evaluate_server(CONFIG, PROBLEMS, endpoint, "enable_thinking", rewards())
    assert (part["n"], whole["n"]) == (1, 2)
    assert whole["modes"] == anew["modes"]
    assert whole["problems"] == anew["problems"]


@pytest.mark.medium
def test_a_count_that_no_answer_can_have_is_refused():
    def boast(body, seen):
        return {**model(body, seen), "usage": {"prompt_tokens": 9, "completion_tokens": 10**13}}

    with (
        chat_server(boast) as (url, _),
        pytest.raises(EndpointError, match="counts more tokens than anybody writes"),
    ):
        evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m"), "enable_thinking", rewards())


@pytest.mark.medium
def test_a_count_that_is_no_number_is_none():
    def says(body, seen):
        return {**model(body, seen), "usage": {"prompt_tokens": 9, "completion_tokens": True}}

    with chat_server(says) as (url, _), pytest.raises(EndpointError, match="counts no tokens"):
        evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m"), "enable_thinking", rewards())


@pytest.mark.medium
def test_the_templates_other_arguments_are_those_of_every_mode():
    config = parse_config({"protocol": {"template_kwargs": {"effort": "low"}}})
    with chat_server(model) as (url, seen):
        evaluate_server(config, PROBLEMS[:1], Endpoint(url, "m"), "enable_thinking", rewards())
    asked = [body["chat_template_kwargs"] for body in seen.bodies]
    assert sorted(asked, key=str) == [
        {"effort": "low", "enable_thinking": False},
        {"effort": "low", "enable_thinking": True},
        {"effort": "low"},
    ]


@pytest.mark.parametrize("blank", ["\n", " ", "<think>"])
def test_a_thought_is_looked_for_once_however_a_text_begins(blank):
    started = time.process_time()
    split_thought(blank * 200_000)
    assert time.process_time() - started < 0.5


@pytest.mark.medium
def test_tags_state_the_mode_where_they_are_configured():
    config = parse_config({"protocol": {"tags": {"think": "/think", "no_think": "/no_think"}}})
    with chat_server(model) as (url, seen):
        evaluate_server(config, PROBLEMS[:1], Endpoint(url, "m"), "enable_thinking", rewards())
    assert sorted(body["messages"][-1]["content"] for body in seen.bodies) == ["3+4?", "3+4? /no_think", "3+4? /think"]


@pytest.mark.medium
def test_a_thought_inside_the_content_is_a_thought():
    def inline(body, seen):
        return {"content": "<think>3+4</think>7", "usage": {"completion_tokens": 8}}

    with chat_server(inline) as (url, _):
        result = evaluate_server(CONFIG, PROBLEMS[:1], Endpoint(url, "m"), "enable_thinking", rewards())
    assert result["settings"]["auto"]["think_rate"] == 1.0
    assert result["settings"]["auto"]["accuracy"] == 1.0


@pytest.mark.medium
def test_answers_that_do_not_come_are_counted_and_none_at_all_is_an_error():
    def half(body, seen):
        return model(body, seen) if "3+4" in body["messages"][-1]["content"] else {"status": 400}

    with chat_server(half) as (url, _):
        result = evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m"), "enable_thinking", rewards())
    assert (result["n"], sum(result["refused"].values())) == (1, 3)
    with (
        chat_server(lambda body, seen: {"status": 404}) as (url, _),
        pytest.raises(EndpointError, match="answered 404"),
    ):
        evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m"), "enable_thinking", rewards())


RECORDS = [
    {"id": "easy", "response": "<think>3+4</think>7", "usage": {"n": 20}, "setting": "think"},
    {"id": "easy", "response": "7", "usage": {"n": 3}, "setting": "no_think"},
    {"prompt": "3+4?", "response": "7", "usage": {"n": 3}},
]


def test_records_of_all_settings_give_the_whole_table():
    result = evaluate_records(CONFIG, PROBLEMS, RECORDS, rewards(), mode_from="</think>", tokens_from="usage.n")
    assert (result["n"], result["modes"]["think"]["mean_tokens"], result["modes"]["auto"]["think_rate"]) == (
        1,
        20.0,
        0.0,
    )
    assert result["refused"] == {}


def broken_on(setting):
    """The rewards, of which one breaks on the answers of the product in this setting."""

    def breaks(rollout):
        if rollout.problem.id == "hard" and rollout.forced == MODE_PLAN[setting]:
            raise ValueError("it broke")
        return 1.0

    return [*rewards(), Reward("breaks", "answer", 1.0, breaks)]


RIGHT = [
    {"id": problem.id, "response": problem.answer, "setting": setting, "mode": mode, "usage": {"n": tokens}}
    for problem in PROBLEMS
    for setting, mode, tokens in (("think", "think", 20), ("no_think", "no_think", 3), ("auto", "no_think", 3))
]


@pytest.mark.parametrize("setting", ["think", "no_think", "auto"])
def test_a_problem_that_a_reward_broke_on_in_one_setting_is_in_no_mean_of_several(setting):
    dropped = parse_config({"reward_errors": {"policy": "drop", "max_share": 0.2}, "data": {"easy": ["1"]}})
    result = evaluate_records(dropped, PROBLEMS, RIGHT, broken_on(setting), tokens_from="usage.n")
    assert (result["n"], [row["id"] for row in result["problems"]]) == (1, ["easy"])
    assert {mode: (t["accuracy"], t["mean_tokens"]) for mode, t in result["modes"].items()} == {
        "think": (1.0, 20.0),
        "no_think": (1.0, 3.0),
        "auto": (1.0, 3.0),
    }
    assert {name: row["n"] for name, row in result["settings"].items()} == {**dict.fromkeys(MODE_PLAN, 2), setting: 1}
    strict = parse_config({"reward_errors": {"policy": "drop", "max_share": 0.1}})
    with pytest.raises(RewardError, match="rewards broke on 1 of 6 rollouts"):
        evaluate_records(strict, PROBLEMS, RIGHT, broken_on(setting), tokens_from="usage.n")


def test_tables_of_records_show_every_level_and_steer_no_terminal():
    result = evaluate_records(CONFIG, PROBLEMS, RIGHT, rewards(), tokens_from="usage.n")
    (easy,) = [line for line in mode_lines(result) if line.startswith("1 ")]
    assert easy.split() == ["1", "1", "1.000", "1.000", "1.000", "0.0%", "–"]
    lines = setting_lines({"settings": {}, "refused": {"x \x1b[2J": 1}})
    assert "\x1b" not in "".join(lines)


def test_records_of_one_setting_give_what_they_can():
    result = evaluate_records(CONFIG, PROBLEMS, RECORDS[2:], rewards(), mode_from="</think>", tokens_from="usage.n")
    assert result["settings"] == {"auto": {"n": 1, "accuracy": 1.0, "mean_tokens": 3.0, "think_rate": 0.0}}
    assert "modes" not in result


def test_a_record_without_mode_tokens_or_problem_is_refused_and_counted():
    rows = [
        *RECORDS,
        {"id": "easy", "response": "7"},
        {"id": "nobody", "response": "7", "usage": {"n": 3}},
        {"id": "hard", "usage": {"n": 3}},
        {"id": "hard", "response": "?", "usage": {"n": 3}, "setting": "maybe"},
    ]
    result = evaluate_records(CONFIG, PROBLEMS, rows, rewards(), mode_from="</think>", tokens_from="usage.n")
    assert sorted(result["refused"].values()) == [1, 1, 1, 1]
    with pytest.raises(ConfigError, match="3 × no mode"):
        evaluate_records(CONFIG, PROBLEMS, RECORDS, rewards(), tokens_from="usage.n")


def test_records_with_different_numbers_of_answers_count_as_many_as_all_have():
    answers = {("easy", "think"): "7", ("easy", "no_think"): "7888", ("easy", "auto"): "7"}
    answers |= {("hard", "think"): "7", ("hard", "no_think"): "88", ("hard", "auto"): "8"}
    rows = [
        {"id": problem, "response": text, "tokens": 3, "setting": setting, "mode": "no_think"}
        for (problem, setting), texts in answers.items()
        for text in texts
    ]
    direct = evaluate_records(CONFIG, PROBLEMS, rows, rewards())["modes"]["no_think"]
    # easy: one of four is right, so that two of them hold it with chance 1 - C(3, 2) / C(4, 2) = 1/2; hard: none is
    assert (direct["accuracy"], direct["pass@2"]) == (0.125, 0.25)


def test_named_groups_leave_a_response_without_either_undecided():
    pattern = "(?P<think><think>)|(?P<no_think><short>)"
    rows = [{"id": "easy", "response": text, "tokens": 3} for text in ("<think>a</think>7", "<short>7", "7")]
    result = evaluate_records(CONFIG, PROBLEMS, rows, rewards(), mode_from=pattern)
    assert result["settings"]["auto"]["think_rate"] == 0.5
    assert result["refused"] == {"no mode": 1}


def test_an_expression_that_is_none_is_told():
    with pytest.raises(ConfigError, match="no regular expression"):
        evaluate_records(CONFIG, PROBLEMS, RECORDS, rewards(), mode_from="(")


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ({"tokens": float("nan")}, "1 × no token count in 'tokens'"),
        ({"tokens": float("inf")}, "1 × no token count in 'tokens'"),
        ({"setting": ["think"]}, "1 × a setting that is none of think, no_think, auto"),
    ],
)
def test_a_record_with_a_value_of_no_use_is_counted(field, why):
    row = {"id": "p", "response": "2", "tokens": 3, "mode": "think", **field}
    with pytest.raises(ConfigError, match=f"no record to evaluate: {why}"):
        evaluate_records(parse_config({}), [make_problem(id="p")], [row], [])


def test_a_file_without_records_is_told():
    with pytest.raises(ConfigError, match="no record to evaluate: there is none"):
        evaluate_records(parse_config({}), [make_problem(id="p")], [], [])

"""Evaluation of a served model."""

import time

import pytest
from chat_server import chat_server
from factories import make_problem

from rewards.registry import build_rewards
from rl.config.read import parse_config
from rl.evaluation.others import split_thought
from rl.evaluation.served import evaluate_server
from rl.files.row_store import RowStore
from rl.models.chat_api import Endpoint, EndpointError
from rl.reports.choice import setting_lines

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
        thinks = body.get("chat_template_kwargs", {}).get("enable_thinking")
        answer = "7" if body["seed"] == 5 else "8"
        return {"content": answer, "reasoning": "hm" if thinks else "", "usage": {"completion_tokens": 4}}

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
@pytest.mark.parametrize("count", [True, 0])
def test_a_count_that_counts_nothing_is_none(count):
    def says(body, seen):
        return {**model(body, seen), "usage": {"prompt_tokens": 9, "completion_tokens": count}}

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


@pytest.mark.medium
def test_a_server_that_stops_answering_is_given_up_and_what_it_said_is_kept(tmp_path):
    problems = [make_problem(f"{n}", f"{n}+0?", str(n)) for n in range(40)]

    def tiring(body, seen):
        return {"content": "7", "usage": {"completion_tokens": 4}} if len(seen.bodies) <= 5 else {"status": 404}

    def store():
        return RowStore(tmp_path / "rows.jsonl", {"made": "here"})

    with chat_server(tiring) as (url, seen):
        endpoint = Endpoint(url, "m", concurrency=1)
        with pytest.raises(EndpointError, match=r"32 calls in a row came to nothing, the last: .*404"):
            evaluate_server(CONFIG, problems, endpoint, "enable_thinking", rewards(), store())
        assert (len(seen.bodies), len(store().rows)) == (5 + 32, 5)


@pytest.mark.medium
def test_answers_in_another_mode_than_was_asked_for_are_in_no_table():
    def stubborn(body, seen):
        return {"content": "7", "reasoning": "hm", "usage": {"completion_tokens": 4}}

    def half(body, seen):
        return stubborn(body, seen) if "30*41" in body["messages"][-1]["content"] else model(body, seen)

    with chat_server(stubborn) as (url, _):
        none = evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m"), "enable_thinking", rewards())
    assert ("modes" in none, none["disobeyed"], none["settings"]["no_think"]["think_rate"]) == (
        False,
        {"no_think": 2},
        1,
    )
    assert any("2 answers came in the other mode" in line for line in setting_lines(none))
    with chat_server(half) as (url, _):
        part = evaluate_server(CONFIG, PROBLEMS, Endpoint(url, "m"), "enable_thinking", rewards())
    assert (part["n"], part["disobeyed"], part["settings"]["no_think"]["n"]) == (1, {"no_think": 1}, 2)

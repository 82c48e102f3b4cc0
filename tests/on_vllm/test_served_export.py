"""An exported run with a judge text behind a real `vllm serve`: an evaluation's tokens in all three modes, the dial."""

from __future__ import annotations

import httpx
import pytest
from served_model import NEAR, QUESTIONS, check_equal, modes_equal, save_run, served

from rl.evaluation.dial import dialled, p_think
from rl.worlds.model import build_tokenizer


@pytest.fixture(scope="module")
def kat(sharpened, tmp_path_factory):
    run = save_run(
        tmp_path_factory.mktemp("kat"), build_tokenizer(), sharpened, {"name": "kat", "judge_patience": 3}, 24
    )
    yield from served(run, tmp_path_factory.mktemp("out") / "kat", QUESTIONS)


def test_a_served_judge_gives_the_tokens_of_an_evaluation_in_all_three_modes(kat):
    assert len(kat.problems) == 50
    modes_equal(kat)


def test_thoughts_come_apart_from_answers_whole_and_streamed(kat):
    protocol, seen = kat.policy.protocol, set()
    for problem in kat.problems[:12]:
        for value in ("auto", True, False):
            asked = {"chat_template_kwargs": {"enable_thinking": value}}
            choice = kat.ask(problem.prompt, **asked)
            parsed, message = protocol.parse(tuple(choice["token_ids"])), choice["message"]
            seen.add(parsed.mode)
            thought = message.get("reasoning") or message.get("reasoning_content") or ""
            if parsed.status == "ok":
                assert (message["content"] or "").strip() == parsed.answer_text
                assert thought.endswith(parsed.think_text)
            deltas = kat.ask(problem.prompt, stream=True, **asked)
            streamed = "".join(d.get("reasoning") or d.get("reasoning_content") or "" for d in deltas)
            assert streamed.strip() == thought.strip()
            assert "".join(d.get("content") or "" for d in deltas).strip() == (message["content"] or "").strip()
    assert seen >= {"think", "no_think"}


@pytest.mark.parametrize("tau", [0.0, 0.2, 0.5, 0.8, 1.1])
def test_the_dial_of_a_request_gives_the_dialled_run_of_an_evaluation(kat, tau):
    config, protocol = kat.policy.config, kat.policy.protocol
    problems = kat.problems[:20]
    expected = dialled(config, problems, tau, kat.policy.own_engine, protocol)
    chances = p_think(config, problems, kat.policy.own_engine, protocol)
    for problem in problems:
        choice = kat.ask(problem.prompt, vllm_xargs={"dial": tau})
        rollout = expected[problem.id]
        if abs(chances[problem.id] - tau) > NEAR:
            check_equal(kat, choice["token_ids"], rollout.completion_ids, rollout.prompt_ids)


def test_a_dial_that_is_none_is_refused_by_the_server(kat):
    body = {"model": kat.name, "messages": [{"role": "user", "content": "7 + 1"}], "vllm_xargs": {"dial": 3}}
    answer = httpx.post(f"{kat.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert "dial" in answer.text

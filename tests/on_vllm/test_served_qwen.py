"""An exported run in Qwen3's layout behind a real `vllm serve`: an evaluation's tokens, the server's own budget."""

from __future__ import annotations

import pytest
from real_templates import real_tokenizer
from served_model import QUESTIONS, modes_equal, save_run, served


@pytest.fixture(scope="module")
def qwen(sharpened, tmp_path_factory):
    run = save_run(tmp_path_factory.mktemp("qwen"), real_tokenizer("qwen3"), sharpened, {"name": "qwen3"}, 24)
    yield from served(run, tmp_path_factory.mktemp("out") / "qwen", QUESTIONS)


def test_a_served_qwen3_gives_the_tokens_of_an_evaluation_in_all_three_modes(qwen):
    modes_equal(qwen)


def test_the_server_s_own_budget_closes_a_thought(qwen):
    protocol = qwen.policy.protocol
    close = protocol.marks.think_close
    closed = 0
    for problem in qwen.problems[:10]:
        asked = {"chat_template_kwargs": {"enable_thinking": True}}
        free = qwen.ask(problem.prompt, **asked)["token_ids"]
        cut = qwen.ask(problem.prompt, thinking_token_budget=5, **asked)["token_ids"]
        if close not in free[:4]:
            # The line break behind <think> is the first token of the thought, and stands in the prompt.
            assert cut[:4] == free[:4]
            assert cut[4] == close
            closed += 1
    assert closed

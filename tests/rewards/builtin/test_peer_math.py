"""The reward `math_verify`: the library's verdict in a killable, confined process."""

import threading
import time
from importlib.util import find_spec

import pytest
from factories import make_problem

from rewards.builtin.peer_math import math_verify, peer_verdict
from rewards.plugin import RewardError
from rewards.registry import build_rewards
from rollout.types import Rollout

ROOMY_S = 60.0
installed = pytest.mark.skipif(find_spec("math_verify") is None, reason="math-verify is not installed")


def rollout(answer: str | None, text: str) -> Rollout:
    return Rollout(make_problem("p17", answer=answer), "think", False, "ok", (1,), (2,), answer_text=text)


@pytest.mark.skipif(find_spec("math_verify") is not None, reason="math-verify is installed")
def test_without_the_package_the_error_says_how_to_install_it():
    with pytest.raises(RewardError, match="step-srpo"):
        math_verify(rollout("12", r"\boxed{12}"))


def test_it_is_a_shipped_reward_that_may_be_called_from_several_threads():
    (reward,) = build_rewards([{"name": "math_verify", "timeout_s": 3.0}])
    assert reward.function is math_verify
    assert math_verify.parallel is True


def test_a_problem_without_an_answer_is_named():
    with pytest.raises(RewardError, match="p17"):
        math_verify(rollout(None, "12"))


@installed
def test_the_library_judges_responses_from_any_thread():
    cases = [(r"So it is \boxed{\frac{2}{4}}.", "0.5"), (r"So it is \boxed{13}.", "12"), (r"\boxed{x+1}", "1+x")]
    verdicts: dict[str, str] = {}

    def judge(answer: str, gold: str) -> None:
        verdicts[gold] = peer_verdict(answer, gold, ROOMY_S)

    threads = [threading.Thread(target=judge, args=case) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == {"0.5": "equal", "12": "different", "1+x": "equal"}


@installed
def test_a_gold_answer_that_the_library_cannot_read_is_an_error():
    with pytest.raises(RewardError, match="p17"):
        math_verify(rollout(r"\text{}", r"\boxed{12}"), timeout_s=ROOMY_S)


@installed
def test_what_holds_the_library_is_killed_at_the_limit():
    peer_verdict(r"\boxed{1}", "2", ROOMY_S)
    begin = time.monotonic()
    assert peer_verdict(r"\boxed{9^{9^{9^{9}}}}", "7", 0.5) == "timeout"
    assert time.monotonic() - begin < ROOMY_S

"""The reward `math_verify`: the verdict of the library math-verify, in processes that are killed at the limit.

A second opinion on the reward `math`; `scripts/check_rewards.py --cross-check` shows where the two differ. The library
takes the response as it is and the gold answer between dollar signs.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from rewards.parameters import AboveZero
from rewards.plugin import RewardError, parallel
from rewards.workers.pool import WorkerDied, WorkerPool, WorkerTimeout
from rollout.types import Rollout

PeerVerdict = Literal["equal", "different", "unparsable_gold", "timeout"]

_pool = WorkerPool("rewards.builtin.peer_math_worker:handle", memory_bytes=2 << 30)
_LONGEST_ANSWER = 20_000


@parallel
def math_verify(rollout: Rollout, *, timeout_s: AboveZero = 5.0) -> float:
    """1.0 if math-verify finds the answer equal to the problem's, else 0.0.

    Raises `RewardError` when the package is missing, and when the problem's answer is or cannot be read.
    """
    problem = rollout.problem
    if problem.answer is None:
        raise RewardError(f"problem {problem.id!r} has no answer; the math_verify reward needs one")
    verdict = peer_verdict(rollout.answer_text, problem.answer, timeout_s)
    if verdict == "unparsable_gold":
        raise RewardError(
            f"problem {problem.id!r} has answer {problem.answer[:80]!r}, which the math_verify reward cannot read"
        )
    return 1.0 if verdict == "equal" else 0.0


def peer_verdict(answer: str, gold: str, timeout_s: float = 5.0) -> PeerVerdict:
    """What math-verify says of a response. Raises `RewardError` when it is not installed or cannot be confined."""
    if find_spec("math_verify") is None:
        raise RewardError("the package math-verify is not installed; pip install 'step-srpo[math_verify]'")
    try:
        reply = _pool.call({"answer": answer[-_LONGEST_ANSWER:], "gold": gold}, timeout_s)
    except (WorkerTimeout, WorkerDied):
        return "timeout"
    if "error" in reply:
        raise RewardError(f"math_verify: {reply['error']}")
    return "unparsable_gold" if "unreadable" in reply else "equal" if reply["equal"] else "different"

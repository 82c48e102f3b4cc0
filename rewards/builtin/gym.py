"""The reward `reasoning_gym`: the answer, scored by the package `reasoning-gym` for the task that made the problem.

The problem carries `metadata["reasoning_gym"] = {"task": name, "settings": {…}, "entry": {…}}`, the entry as the
package made it. 1.0 only for the package's full score: its default scorer gives a share of it to any text that contains
the answer. `partial` gives that share as it is.

The scorers run in killable processes, see `rewards/builtin/gym_worker.py`. Left out: entries that do not survive JSON
(arc_agi, rearc). `scripts/check_rewards.py` finds these and what a scorer gets wrong (game_of_life_halting accepts
anything).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from rewards.parameters import AboveZero
from rewards.plugin import RewardError, judges_with, parallel
from rewards.values import short
from rewards.workers.pool import WorkerDied, WorkerPool, WorkerTimeout
from rollout.types import Problem, Rollout

_pool = WorkerPool("rewards.builtin.gym_worker:handle", memory_bytes=2 << 30)
_LONGEST_ANSWER = 20_000


def check_problem(problem: Problem) -> None:
    """Raises `RewardError` for a problem without its entry."""
    task = problem.metadata.get("reasoning_gym")
    if (
        not isinstance(task, Mapping)
        or not isinstance(task.get("task"), str)
        or not isinstance(task.get("entry"), Mapping)
    ):
        raise RewardError(
            f"problem {problem.id!r} has metadata.reasoning_gym {short(task)}; allowed: a mapping with task and entry"
        )


@judges_with(check_problem)
@parallel
def reasoning_gym(rollout: Rollout, *, partial: bool = False, timeout_s: AboveZero = 5.0) -> float:
    """1.0 or 0.0, with `partial` from 0 to 1. An answer that cannot be scored within the limit is wrong. Raises
    `RewardError` when the package or the problem's entry is missing."""
    problem, answer = rollout.problem, rollout.answer_text.strip()
    if find_spec("reasoning_gym") is None:
        raise RewardError("the package reasoning-gym is not installed; pip install 'step-srpo[reasoning_gym]'")
    check_problem(problem)
    task = problem.metadata["reasoning_gym"]
    if len(answer) > _LONGEST_ANSWER:
        return 0.0
    job = {"answer": answer, "task": task["task"], "settings": task.get("settings") or {}, "entry": task["entry"]}
    try:
        reply = _pool.call(job, timeout_s)
    except (WorkerTimeout, WorkerDied):
        return 0.0
    if "error" in reply:
        raise RewardError(f"problem {problem.id!r}: {reply['error']}")
    score = float(reply["score"])
    return score if partial else float(score >= 1.0)

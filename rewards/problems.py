"""Can the rewards judge this problem at all? Asked when the data is read: later it would end a run in the middle."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from rewards.plugin import RewardError
from rewards.registry import Reward
from rollout.types import Problem


def check_problem(problem: Problem, rewards: Sequence[Reward]) -> None:
    """Raises `RewardError` when no reward says whether an answer is right, or one that applies cannot judge it."""
    check_judged(problem, rewards)
    for reward in rewards:
        check = getattr(reward.function, "check_problem", None)
        if check is None or not reward.applies_to(problem.domain, problem.source):
            continue
        asked = inspect.signature(check).parameters
        check(problem, **{name: value for name, value in reward.parameters.items() if name in asked})


def check_judged(problem: Problem, rewards: Sequence[Reward]) -> None:
    """Raises `RewardError` when no `correct` reward applies to the problem."""
    if not any(r.correct and r.applies_to(problem.domain, problem.source) for r in rewards):
        raise RewardError(
            f"problem {problem.id!r} (domain {problem.domain!r}, source {problem.source!r}) has no reward that says "
            "whether its answer is right; allowed: one `correct` answer reward for each domain"
        )

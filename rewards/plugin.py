"""What a reward function may be. A plug-in needs none of this: the same marks are plain attributes.

    scope "rollout"   f(rollout, **parameters) -> score                                  (no mark)
    scope "group"     f(group, **parameters) -> a score for each of its rollouts         @group_reward
    scope "batch"     f(rollouts, **parameters) -> a score for each; the rollouts of     @batch_reward
                      all problems of a step on this process

`@parallel` (`f.parallel = True`) marks a sync function that may be called from several threads at once; of a rollout
and `correct`, it is called as soon as its rollout has ended, while others still decode (rewards/early.py).

`@judges_with(check)` (`f.check_problem = check`) gives it a function `check(problem, **parameters)` that raises
`RewardError` for a problem that `f` could not judge: it is asked when the data is read, before any rollout.

A score is a number, True or False, or a mapping with the key "score" whose other keys become metrics. Each form may be
`async`. Without importing this module: `f.scope = "group"`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rollout.errors import UserError

SCOPES = ("rollout", "group", "batch")

Function = TypeVar("Function", bound=Callable[..., Any])


def group_reward(function: Function) -> Function:
    """Marks a function that takes a `RolloutGroup` and returns one score a rollout."""
    function.scope = "group"  # type: ignore[attr-defined]
    return function


def batch_reward(function: Function) -> Function:
    """Marks a function that takes a list of rollouts, of any problems, and returns one score each."""
    function.scope = "batch"  # type: ignore[attr-defined]
    return function


def parallel(function: Function) -> Function:
    """Marks a sync function that waits for processes of its own: it is called from several threads at once."""
    function.parallel = True  # type: ignore[attr-defined]
    return function


def judges_with(check: Callable[..., None]) -> Callable[[Function], Function]:
    """Gives a function the check that its problems must pass; `check` takes those of its parameters that it names."""

    def mark(function: Function) -> Function:
        function.check_problem = check  # type: ignore[attr-defined]
        return function

    return mark


class RewardError(UserError):
    """A reward that cannot be found, or that returned something that is no score."""


class NotApplicable:
    """The value of a reward that has nothing to say about a rollout: no score, and nothing in the weighted sum."""

    def __repr__(self) -> str:
        return "NOT_APPLICABLE"


NOT_APPLICABLE = NotApplicable()

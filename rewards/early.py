"""Scores of rollouts that have ended, computed while others still decode.

Only rewards that need nothing but the rollout, and that are marked `parallel`, begin early: of the answer step, of one
rollout, saying what is right (so that they come before all others), and asking for none of the trainer's state.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from rewards.registry import INJECTED, Reward
from rewards.run import start
from rollout.types import Rollout


class EarlyScores:
    """Begins calls as rollouts end; `rewards.score.score_groups` takes their results."""

    def __init__(self, rewards: Sequence[Reward]) -> None:
        self.rewards = [reward for reward in rewards if _begins_early(reward)]
        self._futures: dict[tuple[str, tuple[int, int]], Future[Any]] = {}

    def begin(self, place: tuple[int, int], rollout: Rollout) -> None:
        """Start the calls for one rollout; `place` is its (group, number in the group)."""
        for reward in self.rewards if rollout.mode is not None else ():
            if reward.applies_to(rollout.problem.domain, rollout.problem.source):
                call = (rollout, reward.parameters)
                self._futures[reward.name, place] = start(reward.function, call, reward.timeout_s)

    def take(self, reward: Reward, place: tuple[int, int]) -> Future[Any] | None:
        """The call that was begun for this rollout."""
        return self._futures.get((reward.name, place))


def _begins_early(reward: Reward) -> bool:
    plain = reward.scope == "rollout" and not any(reward.wants(name) for name in INJECTED)
    return reward.correct and plain and getattr(reward.function, "parallel", False)

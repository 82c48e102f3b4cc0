"""Decisions of earlier rounds that train again, at no generation cost: the judge step of stored groups.

A stored group is what its problem's last visit showed: for each mode with a judge advantage the tokens up to the
switch, and the sum of that mode's advantages. Its weight in the loss is that of the group when it was new: one row with
the sum stands for the rows of its mode (rl/training/loss.py counts all of them). Where rollouts write judge text of
their own before the switch, the tokens are those of the mode's last one. The switch alone is trained, as a forced one
is. This needs advantages that do not depend on the policy, which has moved since; pass rates move slowly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.types import MODES, Mode, Rollout, RolloutGroup

Trains = Callable[[Rollout], bool]

LARGEST = 2_000
"""Groups that are kept; the oldest visits are forgotten first."""


@dataclass(frozen=True)
class StoredGroup:
    """The problem's id, how many rollouts it had, and by mode the tokens up to the switch and Σ A_judge of the mode."""

    problem: str
    rollouts: int
    decisions: Mapping[Mode, tuple[tuple[int, ...], float]]


class JudgeReplay:
    """The stored groups; each round draws `count` of them, the same on every rank."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._groups: dict[str, StoredGroup] = {}

    def observe(
        self, groups: Sequence[RolloutGroup], judge_B: Sequence[float], trains: Trains = lambda r: not r.broken
    ) -> None:
        """Store scored groups with the judge advantages of their rollouts, one after the other, of those that `trains`
        says take part in the loss; groups whose prompt states a mode are not their problem's."""
        if not self.count:
            return
        start = 0
        for group in groups:
            made = _stored(group, judge_B[start : start + len(group.rollouts)], trains)
            start += len(group.rollouts)
            if group.stated:
                continue
            self._groups.pop(made.problem, None)
            self._groups[made.problem] = made
        for oldest in list(self._groups)[: max(len(self._groups) - LARGEST, 0)]:
            del self._groups[oldest]

    def draw(self, step: int) -> list[StoredGroup]:
        """The groups that the round beginning at optimizer step `step` trains again; fewer where fewer are stored."""
        stored = list(self._groups.values())
        return random.Random(f"{self.seed}-stored-{step}").sample(stored, min(self.count, len(stored)))

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {"groups": [[g.problem, g.rollouts, dict(g.decisions)] for g in self._groups.values()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace what is stored."""
        self._groups = {}
        for problem, rollouts, decisions in state.get("groups", []):
            found = {mode: (tuple(ids), advantage) for mode, (ids, advantage) in decisions.items()}
            self._groups[problem] = StoredGroup(problem, rollouts, found)


def _stored(group: RolloutGroup, judge_G: Sequence[float], trains: Trains) -> StoredGroup:
    decisions: dict[Mode, tuple[tuple[int, ...], float]] = {}
    trained = [(r, judge) for r, judge in zip(group.rollouts, judge_G, strict=True) if trains(r)]
    for mode in MODES:
        mine = [
            (r.completion_ids[: r.switch_index + 1], judge)
            for r, judge in trained
            if r.mode == mode and r.switch_index is not None
        ]
        total = sum(judge for _, judge in mine)
        if total:
            decisions[mode] = (mine[-1][0], total)
    return StoredGroup(group.problem.id, len(trained), decisions)

"""Who is forced into which mode, and how that share falls over a run. Pure.

A group's plan is a mode (forced) or None (free choice) for each of its G rollouts; a group whose prompt states a mode
by a tag forces nobody. The forced share starts high, so
that both modes are compared before the policy has an opinion, and falls to a floor that keeps both alive: linearly
over steps, or in pieces over the run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from rollout.types import MODES, Mode

Plan = tuple[Mode | None, ...]


@dataclass(frozen=True)
class ForcedShare:
    """Share of a group's rollouts that are forced: `start` at step 0, linearly down to `floor` at `decay_steps`;
    never fewer than `minimum` rollouts a mode (0 turns forcing off where the share is 0), nor than `minimum_share` of
    the group a mode, rounded up.

    `points` replaces the line by pieces: `[[0, 1.0], [0.33, 0.5], [0.67, 0.3]]` forces all of the first third of the
    run, half of the second and 0.3 from there on. The share never falls below `floor`.
    """

    start: float = 1.0
    floor: float = 0.3
    decay_steps: int = 20
    minimum: int = 2
    minimum_share: float = 0.0
    points: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        pairs = all(len(point) == 2 and min(point) >= 0 and max(point) <= 1 for point in self.points)
        begins = [point[0] for point in self.points if point]
        if not pairs or (begins and begins[0] != 0) or begins != sorted(set(begins)):
            raise ValueError(
                f"rollout.forced.points is {self.points}; allowed: pairs [share of the run, forced share] in 0 to 1, "
                "the first at 0, in rising order"
            )

    def at(self, step: int, progress: float = 0.0) -> float:
        """The forced share at this optimizer step; `progress` is the share of the run that is over."""
        if self.points:
            return max(self.floor, next(share for begin, share in reversed(self.points) if begin <= progress))
        if self.decay_steps <= 0 or step >= self.decay_steps:
            return self.floor
        return self.start + (self.floor - self.start) * step / self.decay_steps

    def least(self, group_size: int) -> int:
        """The fewest forced rollouts a mode in a group of this size."""
        return max(self.minimum, math.ceil(self.minimum_share * group_size - 1e-9))

    def ever_forces_all(self, group_size: int) -> bool:
        """Whether some plan of the run leaves nobody a free choice."""
        shares = [self.at(0), self.floor, *(share for _, share in self.points)]
        return None not in make_plan(group_size, max(shares), self.least(group_size))


def stated_modes(first: int, count: int, share: float) -> list[Mode | None]:
    """Which prompts state a mode, of the prompts `first` to `first + count − 1` of a run: evenly spread, `share` of
    them, the modes in turn.

    >>> stated_modes(0, 8, 0.25)
    [None, None, None, 'no_think', None, None, None, 'think']
    """
    before = [math.floor((first + k) * share + 1e-9) for k in range(count + 1)]
    return [MODES[now % len(MODES)] if after > now else None for now, after in pairwise(before)]


def make_plan(group_size: int, share: float, minimum: int) -> Plan:
    """Half of the forced rollouts think, half answer directly, the rest choose.

    >>> make_plan(8, 0.5, 2)
    ('think', 'think', 'no_think', 'no_think', None, None, None, None)
    """
    per_mode = min(max(round(group_size * share / 2), minimum), group_size // 2)
    think: list[Mode | None] = ["think"] * per_mode
    direct: list[Mode | None] = ["no_think"] * per_mode
    return (*think, *direct, *[None] * (group_size - 2 * per_mode))

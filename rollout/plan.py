"""Who is forced into which mode, and how that share falls over a run. Pure.

A group's plan is a mode (forced) or None (free choice) for each of its G rollouts. The forced share starts high, so
that both modes are compared before the policy has an opinion, and falls linearly to a floor that keeps both alive.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.types import Mode

Plan = tuple[Mode | None, ...]


@dataclass(frozen=True)
class ForcedShare:
    """Share of a group's rollouts that are forced: `start` at step 0, linearly down to `floor` at `decay_steps`;
    never fewer than `minimum` rollouts a mode (0 turns forcing off where the share is 0)."""

    start: float = 1.0
    floor: float = 0.3
    decay_steps: int = 20
    minimum: int = 2

    def __post_init__(self) -> None:
        for name in ("start", "floor"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"rollout.forced.{name} is {value}; allowed: 0 to 1")
        if self.minimum < 0:
            raise ValueError(f"rollout.forced.minimum is {self.minimum}; allowed: 0 or more")

    def at(self, step: int) -> float:
        """The forced share at this optimizer step."""
        if self.decay_steps <= 0 or step >= self.decay_steps:
            return self.floor
        return self.start + (self.floor - self.start) * step / self.decay_steps


def make_plan(group_size: int, share: float, minimum: int) -> Plan:
    """Half of the forced rollouts think, half answer directly, the rest choose.

    >>> make_plan(8, 0.5, 2)
    ('think', 'think', 'no_think', 'no_think', None, None, None, None)
    """
    per_mode = min(max(round(group_size * share / 2), minimum), group_size // 2)
    think: list[Mode | None] = ["think"] * per_mode
    direct: list[Mode | None] = ["no_think"] * per_mode
    return (*think, *direct, *[None] * (group_size - 2 * per_mode))

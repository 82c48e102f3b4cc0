"""The judge reward's margin while a run goes on; rewards/builtin/margin.py has its schedules and the controller's rule.

Every rank observes the same gathered groups, so the margins agree without communication.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.builtin.judge import judge
from rewards.builtin.margin import ControlledMargin, auto_and_think, margin_at, read_margin
from rewards.registry import Reward
from rollout.types import RolloutGroup


class MarginState:
    """Where the margin of the shipped judge reward stands. Raises `UserError` for a margin that cannot be read."""

    def __init__(self, rewards: Sequence[Reward]) -> None:
        configured = [r.parameters.get("margin", 0.05) for r in rewards if r.function is judge]
        self._configured: Any = configured[0] if configured else None
        margin = read_margin(self._configured) if configured else None
        self._rule = margin if isinstance(margin, ControlledMargin) else None
        self.controlled: float | None = self._rule.start if self._rule else None

    def at(self, step: int) -> float | None:
        """The margin at this optimizer step; None without a judge reward."""
        return None if self._configured is None else margin_at(self._configured, step, self.controlled)

    def observe(self, groups: Sequence[RolloutGroup]) -> None:
        """Move a controlled margin by what scored groups showed."""
        seen = auto_and_think(groups)
        if self._rule is not None and self.controlled is not None and seen is not None:
            self.controlled = self._rule.after(self.controlled, *seen)

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {"controlled": self.controlled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the controlled margin back; a schedule needs no state."""
        if self._rule is not None and state.get("controlled") is not None:
            self.controlled = float(state["controlled"])

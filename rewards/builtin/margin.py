"""The margin b of the judge reward over a run: thinking is right where it wins by more than b.

    constant    margin: 0.05
    linear      margin: {start: 0.0, end: 0.1, steps: 50}    start + (end − start) · min(step / steps, 1)
    controlled  margin: {start: 0.05, change: 0.005}         ± change, up while the auto accuracy holds

The controlled margin asks for as much efficiency as is free: after each step it rises where the free choices are as
right as forced thinking on the same problems (auto ≥ think − tolerance) and falls where they are not, within
[lowest, highest]. Forced thoughts are the measure because thoughts that the policy chose come from other problems.
Its value is the trainer's state and part of the checkpoint; the functions here are pure.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rollout.errors import UserError
from rollout.types import RolloutGroup


@dataclass(frozen=True)
class LinearMargin:
    """From `start` to `end` over `steps` optimizer steps."""

    start: float
    end: float
    steps: float

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"judge.margin.steps is {self.steps}; allowed: 1 or more")

    def at(self, step: int) -> float:
        """The margin at this step."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class ControlledMargin:
    """From `start` on, by `change` a step, up while the auto accuracy is within `tolerance` of always thinking."""

    start: float
    change: float
    tolerance: float = 0.0
    lowest: float = 0.0
    highest: float = 0.5

    def __post_init__(self) -> None:
        if not self.lowest <= self.start <= self.highest:
            raise UserError(f"judge.margin.start is {self.start}; allowed: {self.lowest} to {self.highest}")
        if self.change <= 0:
            raise UserError(f"judge.margin.change is {self.change}; allowed: above 0")

    def after(self, margin: float, auto: float, think: float) -> float:
        """The next margin, from the accuracy of free choices and of forced thoughts on the same problems."""
        moved = margin + (self.change if auto >= think - self.tolerance else -self.change)
        return min(max(moved, self.lowest), self.highest)


Margin = float | LinearMargin | ControlledMargin


def read_margin(value: Any) -> Margin:
    """The margin of a configured value. Raises `UserError` naming the nearest key or the type that is allowed."""
    if not isinstance(value, Mapping):
        return _number(value, "judge.margin")
    kind: Any = LinearMargin if "end" in value or "steps" in value else ControlledMargin
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key in value:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known)}"
            raise UserError(f"judge.margin has an unknown key {key!r}; {hint}")
    missing = [name for name, f in known.items() if f.default is dataclasses.MISSING and name not in value]
    if missing:
        raise UserError(f"judge.margin is {dict(value)}; allowed: a number, {{start, end, steps}} or {{start, change}}")
    return kind(**{key: _number(v, f"judge.margin.{key}") for key, v in value.items()})


def margin_at(value: Any, step: int, controlled: float | None = None) -> float:
    """The margin of a configured value at this step; `controlled` is where a controlled one stands."""
    margin = read_margin(value)
    if isinstance(margin, LinearMargin):
        return margin.at(step)
    if isinstance(margin, ControlledMargin):
        return margin.start if controlled is None else controlled
    return margin


def auto_and_think(groups: Sequence[RolloutGroup]) -> tuple[float, float] | None:
    """Accuracy of the free choices and of the forced thoughts, each a mean over the problems that have both; None
    where no problem has."""
    pairs = []
    for group in groups:
        free = [r.scores["correct"] for r in group.rollouts if not r.forced]
        think = [r.scores["correct"] for r in group.rollouts if r.forced and r.mode == "think"]
        if free and think:
            pairs.append((sum(free) / len(free), sum(think) / len(think)))
    if not pairs:
        return None
    return sum(auto for auto, _ in pairs) / len(pairs), sum(think for _, think in pairs) / len(pairs)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{place} is {value!r}; allowed: a number")
    return value

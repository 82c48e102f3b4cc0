"""The margin b of the judge reward over a run: thinking is right where it wins by more than b.

constant    margin: 0.05
linear      margin: {start: 0.0, end: 0.1, steps: 50}    start + (end − start) · min(step / steps, 1)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rollout.errors import UserError

LINEAR = ("start", "end", "steps")


def margin_at(value: Any, step: int) -> float:
    """The margin of a configured value at this optimizer step. Raises `UserError` for a value that is no margin."""
    if not isinstance(value, Mapping):
        return _number(value, "judge.margin")
    if set(value) != set(LINEAR):
        raise UserError(f"judge.margin is {dict(value)}; allowed: a number, or {{{', '.join(LINEAR)}}}")
    start, end, steps = (_number(value[key], f"judge.margin.{key}") for key in LINEAR)
    if steps < 1:
        raise UserError(f"judge.margin.steps is {steps}; allowed: 1 or more")
    return start + (end - start) * min(step / steps, 1.0)


def check_margin(value: Any) -> None:
    """Raises `UserError` for a value that is no margin."""
    margin_at(value, 0)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{place} is {value!r}; allowed: a number")
    return value

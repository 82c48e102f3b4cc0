"""What a reward returned, as named numbers; anything that is no score is a `BadValue` that says what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.plugin import NotApplicable

LARGEST = 1e6
"""Advantages of larger scores would leave float32 nothing of the others."""


class BadValue(ValueError):  # noqa: N818 (a finding about a value)
    """Reads as the end of a sentence: `returned nan; allowed: a finite number`."""


def named_scores(name: str, value: Any) -> dict[str, float]:
    """`{name: score}`, with a metric `name/key` for each other key of a mapping; empty for `NOT_APPLICABLE`."""
    if isinstance(value, NotApplicable):
        return {}
    if not isinstance(value, Mapping):
        return {name: _number(value)}
    if "score" not in value:
        raise BadValue(f"returned no key 'score': {short(value)}")
    extra = {f"{name}/{key}": _number(number) for key, number in value.items() if key != "score"}
    return {name: _number(value["score"]), **extra}


def value_list(values: Any) -> list[Any] | None:
    """The values of a group or a batch as a list, an array or tensor too; None if they are none."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str | bytes) else None


def _number(value: Any) -> float:
    number = math.nan
    if not isinstance(value, str | bytes) and value is not None:
        try:
            number = float(value)
        except Exception:
            # Any object may stand here, and its conversion may raise anything.
            number = math.nan
    if not abs(number) <= LARGEST:
        raise BadValue(f"returned {short(value)}; allowed: a finite number, of at most {LARGEST:g} in size")
    return number


def short(value: Any) -> str:
    """Its repr, at most 80 characters; an object whose repr fails is named by its type."""
    try:
        text = repr(value)
    except Exception:
        # As above: it is somebody else's object.
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."

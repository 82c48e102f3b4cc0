"""The operating points of an evaluation as curves to draw; an evaluation file may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl.reports.tables import number

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """(tokens, accuracy in per cent) points of one way to spend tokens."""

    label: str
    style: str
    points: list[Point]


def operating_curves(result: Mapping[str, Any]) -> tuple[Curve, Curve]:
    """The dial's operating points and the oracle's best choice at every budget; empty where there are none."""
    found = result.get("dial")
    dial = found if isinstance(found, Mapping) else {}
    return (
        Curve("the dial", "-", _points([_of_dial(at) for at in _items(dial, "curve")])),
        Curve("oracle, any budget", ":", _points([_of_pair(at) for at in _items(dial, "oracle")])),
    )


def _points(pairs: list[tuple[float | None, float | None]]) -> list[Point]:
    return [(x, 100 * y) for x, y in pairs if x is not None and y is not None]


def _items(table: Mapping[str, Any], key: str) -> list[Any]:
    found = table.get(key)
    return list(found) if isinstance(found, list | tuple) else []


def _of_dial(at: Any) -> tuple[float | None, float | None]:
    first = {key: (_items(at, key) or [None])[0] if isinstance(at, Mapping) else None for key in ("tokens", "accuracy")}
    return number(first, "tokens"), number(first, "accuracy")


def _of_pair(at: Any) -> tuple[float | None, float | None]:
    x, y = at if isinstance(at, list | tuple) and len(at) == 2 else (None, None)
    return number({"v": x}, "v"), number({"v": y}, "v")

"""Where to look at two functions so that they cannot agree by chance: over the whole line, and around each kink.

A kink is where a part of a function changes its form: where the argument of an absolute value or a root changes its
sign, where two arguments of max and min meet, at the steps of floor, at the numbers that the forms name.
Method: sign changes and turning points of each such argument on a grid that is dense near zero and geometric beyond;
then a point on each side of each kink and between neighbours. With several letters each walks the line in turn, the
others at generic places, and all of them take random places of every size.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from rewards.math_checker.numeric import letters, real_value

Node = tuple[Any, ...]

_NEAR = tuple(round(0.137 + 0.1513 * step, 4) for step in range(-80, 81))
_FAR = tuple(sign * 12.3 * 1.09**step for sign in (-1, 1) for step in range(1, 105))
_GRID = tuple(sorted(_NEAR + _FAR))
_SPARSE = tuple(sorted({*_NEAR[::4], *_FAR[::7]}))
_WHOLE = tuple(float(number) for number in (-3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 10, 12))
_MAX_KINKS = 40
_RANDOM = 60
_STEPS = ("floor", "ceil", "mod", "bmod", "pmod")
_KINKED = ("abs", "max", "min", "ln", "log", "lg", "oddroot", "arcsin", "arccos", *_STEPS)


def places(a: Node, b: Node) -> list[dict[str, float]]:
    """Points for all letters of both trees, those of one letter in order."""
    names = sorted(letters(a) | letters(b))
    arguments = list(dict.fromkeys(_arguments((a, b))))[:12]
    if len(names) == 1:
        return [{names[0]: x} for x in _on_line(names[0], {}, arguments, (a, b))]
    rng = random.Random(7)
    generic = {name: rng.uniform(0.6, 1.9) for name in names}
    found = [{name: _heavy(rng) for name in names} for _ in range(_RANDOM)]
    found += [{name: abs(_heavy(rng)) for name in names} for _ in range(_RANDOM // 3)]
    found += [dict.fromkeys(names, 0.0) | {n: rng.choice(_WHOLE) for n in names} for _ in range(_RANDOM // 3)]
    for name in names[:3]:
        found += [generic | {name: x} for x in _on_line(name, generic, arguments, (a, b))[::3]]
    return found


def _heavy(rng: random.Random) -> float:
    return rng.choice((-1, 1)) * 10 ** rng.uniform(-1.5, 2.5)


def _on_line(name: str, others: dict[str, float], arguments: list[Node], trees: tuple[Node, Node]) -> list[float]:
    kinks = sorted({*_numbers(trees), *_turns(name, others, arguments)})[: 4 * _MAX_KINKS]
    beside = [k + sign * (d + abs(k) * 1e-3) for k in kinks for d in (0.011, 0.29) for sign in (-1, 1)]
    between = [(low + high) / 2 for low, high in itertools.pairwise(kinks)]
    return sorted({*_SPARSE, *_WHOLE, *beside, *between})


def _arguments(tree: Any) -> Iterator[Node]:
    """The parts of a tree whose sign decides about its form."""
    if not isinstance(tree, tuple) or not tree:
        return
    if tree[0] == "fn" and tree[1] in _KINKED:
        yield from tree[2][:2]
        if tree[1] in ("max", "min"):
            parts = tree[2][:4]
            yield from (("add", (x, ("mul", (("num", -1, None), y)))) for x in parts for y in parts if x != y)
    if tree[0] == "pow" and not (tree[2][0] == "num" and tree[2][1].denominator == 1):
        yield tree[1]
    for child in tree:
        yield from _arguments(child)


def _numbers(tree: Any) -> set[float]:
    """The numbers that a tree names, with both signs."""
    if not isinstance(tree, tuple) or not tree:
        return set()
    if tree[0] == "num":
        size = abs(float(tree[1])) if abs(tree[1]) < 10**7 else 0.0
        return {size, -size}
    found = set().union(*map(_numbers, tree))
    return set(sorted(found)[:_MAX_KINKS])


def _turns(name: str, others: dict[str, float], arguments: list[Node]) -> list[float]:
    """Where an argument changes its sign, and where it comes nearest to doing so."""
    found: list[float] = []
    for argument in arguments:
        if name not in letters(argument):
            continue

        def value(x: float, argument: Node = argument) -> float | None:
            return real_value(argument, others | {name: x})

        known = [(x, y) for x in _GRID if (y := value(x)) is not None]
        for (x, y), (next_x, next_y) in itertools.pairwise(known):
            if (y > 0) != (next_y > 0):
                found.append(_bisected(value, x, next_x, y > 0))
        for (x, y), (_, middle), (next_x, next_y) in zip(known, known[1:], known[2:], strict=False):
            if abs(middle) <= min(abs(y), abs(next_y)) and (y > 0) == (middle > 0) == (next_y > 0):
                found.append(_nearest(value, x, next_x))
    return found[:_MAX_KINKS]


def _bisected(value: Any, low: float, high: float, positive: bool) -> float:
    for _ in range(40):
        middle = (low + high) / 2
        y = value(middle)
        if y is None:
            break
        low, high = (middle, high) if (y > 0) == positive else (low, middle)
    return (low + high) / 2


def _nearest(value: Any, low: float, high: float) -> float:
    """The turning point of an argument that keeps its sign at the ends, by ternary search on its size."""
    sign = 1.0 if (value(low) or 0.0) > 0 else -1.0
    for _ in range(40):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        x, y = value(left), value(right)
        if x is None or y is None:
            break
        low, high = (low, right) if sign * x < sign * y else (left, high)
    return (low + high) / 2

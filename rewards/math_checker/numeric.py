"""Floating-point values of expression trees with error bounds: enough to prove two answers different, never equal.

Method: running error analysis on complex doubles (Higham, Accuracy and Stability of Numerical Algorithms, ch. 3), at
points for the symbols. `Undecided` is raised where a bound is lost: overflow, a branch cut, a step of floor, or a
function that is not in `rewards.math_checker.functions`; its subclass `NotRealError` where a real evaluation would
leave the real numbers, on the way or at the end.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

from rewards.math_checker.functions import EPS, NotRealError, Value, apply, multiply, power
from rewards.math_checker.poly import Budget, Undecided

Node = tuple[Any, ...]
Places = Mapping[str, float]

_MARGIN = 1e-9
_NONE: frozenset[str] = frozenset()
_MAX_STEPS = 60
_CONSTANTS = {"pi": math.pi, "e": math.e, "i": 1j}
_LOST = (OverflowError, ZeroDivisionError, ValueError, Undecided, RecursionError)
IMAGINARY: Node = ("const", "i")
# Where a function is first looked at: near one, far out, and on the other side of zero.
_QUICK_PLACES = ((0.6, 1.3, 1), (3.0, 9.0, 1), (0.6, 7.0, -1), (0.05, 0.9, 1))


def surely_different(a: Node, b: Node, budget: Budget) -> bool:
    """Whether two expressions differ by more than all rounding at one of a few points. Never wrongly true.

    Functions of letters are compared where both are real all the way, constants and what contains i as complex
    numbers.
    """
    names = letters(a) | letters(b)
    cost = 3 * (size(a) + size(b))
    if names and not (contains_node(a, IMAGINARY) or contains_node(b, IMAGINARY)):
        for start, width, sign in _QUICK_PLACES:
            budget.pay(cost)
            if differ_at(a, b, {name: sign * (start + width * _spread(name)) for name in names}):
                return True
        return False
    budget.pay(cost)
    places = {name: 0.6 + 1.3 * _spread(name) for name in names}
    try:
        return _apart(evaluate(a, places), evaluate(b, places))
    except _LOST:
        return False


def differ_at(a: Node, b: Node, places: Places, real: bool = True) -> bool | None:
    """Whether two functions differ at a point; None where one of them is not known there, or not real if `real`."""
    try:
        x, y = evaluate(a, places, real), evaluate(b, places, real)
    except _LOST:
        return None
    if not (math.isfinite(x[1]) and math.isfinite(y[1])) or max(x[1], y[1]) > 1e-3 * (1 + abs(x[0]) + abs(y[0])):
        return None
    return _apart(x, y)


def _apart(x: Value, y: Value) -> bool:
    gap = abs(x[0] - y[0])
    return math.isfinite(gap) and gap > 4 * (x[1] + y[1]) + _MARGIN * max(abs(x[0]), abs(y[0]))


def _spread(name: str) -> float:
    """A generic number in [0, 1) for a letter, the same in every process."""
    return (zlib.crc32(name.encode()) % 99_991) / 99_991


def real_value(node: Node, places: Places | None = None) -> float | None:
    """The value as a float if it is a real number with a small error bound, else None."""
    try:
        value, error = evaluate(node, places or {})
    except (*_LOST, KeyError):
        return None
    if not math.isfinite(error) or abs(value.imag) > error or error > _MARGIN * max(1.0, abs(value)):
        return None
    return value.real


def children(node: Any) -> Any:
    """The trees inside a tree; those of tuples that are no nodes, such as the rows of a matrix, included."""
    kind = node[0] if node else ""
    if kind == "num" or kind == "sym" or kind == "const":
        return ()
    if kind == "add" or kind == "mul":
        return node[1]
    if kind == "fn":
        return node[2]
    return [child for child in node if isinstance(child, tuple)]


def letters(tree: Any) -> frozenset[str]:
    """The names of the free symbols of a tree."""
    kind = tree[0] if tree else ""
    if kind == "num" or kind == "const":
        return _NONE
    if kind == "sym":
        return frozenset((tree[1],))
    found = _NONE
    for child in children(tree):
        found = found | letters(child)
    return found - {tree[2]} if kind == "big" else found


def size(tree: Any) -> int:
    """How many nodes a tree has."""
    total = 1
    for child in children(tree):
        total += size(child)
    return total


def contains_node(tree: Any, node: Node) -> bool:
    """Whether `node` is somewhere in the tree."""
    return isinstance(tree, tuple) and (tree == node or any(contains_node(child, node) for child in tree))


def evaluate(node: Node, places: Places, real: bool = False) -> Value:
    """The value of a tree and a bound of its absolute error; `real` refuses to leave the real numbers on the way."""
    kind = node[0]
    if kind == "num":
        value = float(node[1])
        return complex(value), abs(value) * EPS
    if kind == "sym":
        return complex(places[node[1]]), 0.0
    if kind == "const" and node[1] in _CONSTANTS:
        return complex(_CONSTANTS[node[1]]), EPS
    if kind == "add":
        parts = [evaluate(item, places, real) for item in node[1]]
        total = sum(abs(value) for value, _ in parts)
        return sum(value for value, _ in parts), sum(error for _, error in parts) + total * EPS * len(parts)
    if kind == "mul":
        result: Value = (1 + 0j, 0.0)
        for item in node[1]:
            result = multiply(result, evaluate(item, places, real))
        return result
    if kind == "pow":
        return power(evaluate(node[1], places, real), _exponent(node[2], places, real), real)
    if kind == "fn":
        return apply(node[1], [evaluate(argument, places, real) for argument in node[2]], real)
    if kind == "big" and node[1] in ("sum", "prod") and node[3] and node[4]:
        return _repeated(node, places, real)
    raise Undecided(kind)


def _exponent(node: Node, places: Places, real: bool) -> Value:
    value, error = evaluate(node, places, real)
    whole = node[0] == "num" and node[1].denominator == 1
    return value, 0.0 if whole and abs(value) < 2**50 else error


def _repeated(node: Node, places: Places, real: bool) -> Value:
    """A sum or product over a few whole numbers."""
    low, high = evaluate(node[3], places, real)[0], evaluate(node[4], places, real)[0]
    start, end = round(low.real), round(high.real)
    if low != start or high != end or not start <= end < start + _MAX_STEPS:
        raise NotRealError("no whole number of terms")
    result: Value = (0j, 0.0) if node[1] == "sum" else (1 + 0j, 0.0)
    for index in range(start, end + 1):
        x, error = evaluate(node[5], {**places, node[2]: float(index)}, real)
        if node[1] == "sum":
            result = result[0] + x, result[1] + error + abs(result[0] + x) * EPS
        else:
            result = multiply(result, (x, error))
    return result

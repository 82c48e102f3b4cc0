"""Subsets of the real line: intervals, inequalities in one variable, unions, intersections and differences.

Method: the end points of both sets are sorted; they cut the line into points and gaps; two sets are equal when every
point and every gap is in both or in neither. End points closer than floats can tell are compared by `leaf`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rewards.math_checker.numeric import real_value
from rewards.math_checker.poly import Budget, Undecided

Node = tuple[Any, ...]
Leaf = Callable[[Node, Node], bool]

_ORDER = ("<", "<=", ">", ">=", "!=")
_FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!=", "=": "=", "in": "in"}
_FAR = 10**9
_NEAR = 1e-9


def is_region(node: Node) -> bool:
    """Whether the node can only mean a subset of the line (a pair in round brackets can also be a point)."""
    if node[0] == "rel":
        return (node[1] in (("in",), ("notin",)) and is_region_like(node[2][1])) or all(op in _ORDER for op in node[1])
    if node[0] == "list":
        return all(is_region(item) for item in node[1]) and any(item[0] in ("rel", "list") for item in node[1])
    if node[0] == "seq":
        return len(node[3]) == 2 and (node[1], node[2]) in (("(", "]"), ("[", ")"))
    return node[0] == "setop" or (node[0] == "const" and node[1] in ("R", "empty"))


def is_region_like(node: Node) -> bool:
    return is_region(node) or node[0] == "seq"


def same_region(a: Node, b: Node, leaf: Leaf, budget: Budget) -> bool:
    """Whether two nodes are the same subset of the line; False if either is none, or is in several variables."""
    left, right = _region(a), _region(b)
    if left is None or right is None:
        return bool(left is right and a[0] == b[0] == "rel" and leaf(a, b))
    if left.variable and right.variable and left.variable != right.variable:
        return False
    count = len(left.ends) + len(right.ends)
    budget.pay(20 * count + 2 * count * count)
    line = Line(leaf, [*left.ends, *right.ends])
    cells = range(2 * len(line.ends) + 1)
    return all(left.has(cell, line) == right.has(cell, line) for cell in cells)


class NotARegionError(Exception):
    """The node is no subset of the real line."""


def _region(node: Node) -> Region | None:
    try:
        return Region.of(node)
    except NotARegionError:
        return None


class Line:
    """Distinct end points in order: end `k` is cell `2k + 1`, the gaps are the even cells."""

    def __init__(self, leaf: Leaf, ends: list[Node]) -> None:
        self.ends: list[tuple[float, Node]] = []
        self.leaf = leaf
        self.known: dict[Node, int] = {}
        for value, node in sorted(((_value(end), end) for end in ends), key=lambda pair: pair[0]):
            if not self.ends or not self._meets(self.ends[-1], value, node):
                self.ends.append((value, node))
            self.known[node] = 2 * len(self.ends) - 1

    def _meets(self, last: tuple[float, Node], value: float, node: Node) -> bool:
        if value - last[0] > _NEAR * max(1.0, abs(value)):
            return False
        return last[1] == node or self.leaf(last[1], node)

    def cell(self, end: Node) -> int:
        if end == ("const", "inf"):
            return _FAR
        return -_FAR if _infinite(end) else self.known[end]


def _infinite(node: Node) -> bool:
    return node == ("const", "inf") or (node[0] == "mul" and ("const", "inf") in node[1])


def _value(node: Node) -> float:
    value = real_value(node)
    if value is None:
        raise Undecided("end point without a value")
    return value


class Region:
    """A set as a test on cells, with the finite end points it needs and the variable it was written in."""

    def __init__(self, has: Callable[[int, Line], bool], ends: list[Node], variable: str = "") -> None:
        self.has = has
        self.ends = ends
        self.variable = variable

    @staticmethod
    def of(node: Node) -> Region:
        kind = node[0]
        if kind == "const" and node[1] in ("R", "empty"):
            whole = node[1] == "R"
            return Region(lambda cell, line: whole, [])
        if kind == "seq":
            return _points(node[3]) if node[1] == "{" else _interval(node)
        if kind == "setop":
            left, right = Region.of(node[2]), Region.of(node[3])
            return _combine(node[1], left, right)
        if kind == "rel":
            return _relation(node)
        if kind == "list" and any(item[0] in ("rel", "list") for item in node[1]):
            parts = [Region.of(item) for item in node[1]]
            name = "cap" if len(node) > 2 and node[2] == "and" else "cup"
            result = parts[0]
            for part in parts[1:]:
                if part.variable != result.variable:
                    raise NotARegionError
                result = _combine(name, result, part)
            return result
        raise NotARegionError


def _combine(name: str, left: Region, right: Region) -> Region:
    def has(cell: int, line: Line) -> bool:
        if name == "cup":
            return left.has(cell, line) or right.has(cell, line)
        inside = right.has(cell, line)
        return left.has(cell, line) and (inside if name == "cap" else not inside)

    return Region(has, left.ends + right.ends, left.variable or right.variable)


def _points(items: tuple[Node, ...]) -> Region:
    return Region(lambda cell, line: any(line.cell(item) == cell for item in items), list(items))


def _interval(node: Node) -> Region:
    if len(node[3]) != 2:
        raise NotARegionError
    low, high = node[3]
    return _between(low, node[1] == "[", high, node[2] == "]")


def _between(low: Node, low_closed: bool, high: Node, high_closed: bool) -> Region:
    def has(cell: int, line: Line) -> bool:
        start, end = line.cell(low), line.cell(high)
        return (start < cell or (low_closed and start == cell)) and (cell < end or (high_closed and cell == end))

    return Region(has, [end for end in (low, high) if not _infinite(end)])


_MINUS_ONE: Node = ("num", Fraction(-1), None)
_INFINITY: Node = ("const", "inf")
_MINUS_INFINITY: Node = ("mul", (("num", Fraction(-1), None), _INFINITY))


def _relation(node: Node) -> Region:
    """`x in S`, `x < 3`, `1 <= x < 3`, `3 - 2x > 0`; the variable must be the same throughout."""
    if node[1] in (("in",), ("notin",)):
        members = Region.of(node[2][1])
        if node[1] == ("notin",):
            members = _combine("minus", Region.of(("const", "R")), members)
        members.variable = repr(node[2][0][1:]) if node[2][0][0] == "sym" else ""
        return members
    region: Region | None = None
    for operator, left, right in zip(node[1], node[2][:-1], node[2][1:], strict=True):
        part = _half_line(operator, left, right)
        if region is not None and part.variable != region.variable:
            raise NotARegionError
        region = part if region is None else _combine("cap", region, part)
    if region is None:
        raise NotARegionError
    return region


def _half_line(operator: str, left: Node, right: Node) -> Region:
    if operator not in _FLIP:
        raise NotARegionError
    if _has_symbol(left) and not _has_symbol(right):
        return _bounded(operator, left, right)
    if _has_symbol(right) and not _has_symbol(left):
        return _bounded(_FLIP[operator], right, left)
    raise NotARegionError


def _bounded(operator: str, left: Node, end: Node) -> Region:
    """`x < 3`, `-x < 3`, `|x| < 3` and `f(x) < 3`; any other left side is still to be solved."""
    if left[0] == "sym" or (left[0] == "fn" and left[1].startswith("call ")):
        return _ray(operator, repr(left[1:]), end)
    if left[0] == "mul" and left[1][0] == _MINUS_ONE and len(left[1]) == 2 and left[1][1][0] == "sym":
        return _ray(_FLIP[operator], repr(left[1][1][1:]), _negated(end))
    if left[0] == "fn" and left[1] == "abs" and left[2][0][0] == "sym":
        variable = repr(left[2][0][1:])
        if operator in ("<", "<="):
            return _combine("cap", _ray(operator, variable, end), _ray(_FLIP[operator], variable, _negated(end)))
        if operator in (">", ">="):
            return _combine("cup", _ray(operator, variable, end), _ray(_FLIP[operator], variable, _negated(end)))
    raise NotARegionError


def _negated(end: Node) -> Node:
    if end[0] == "num":
        return ("num", -end[1], end[2])
    return end[1][1] if end[0] == "mul" and end[1][0] == _MINUS_ONE and len(end[1]) == 2 else ("mul", (_MINUS_ONE, end))


def _ray(operator: str, variable: str, end: Node) -> Region:
    if operator in ("<", "<="):
        region = _between(_MINUS_INFINITY, False, end, operator == "<=")
    elif operator in (">", ">="):
        region = _between(end, operator == ">=", _INFINITY, False)
    elif operator == "=":
        region = _points((end,))
    else:
        region = _combine("minus", _between(_MINUS_INFINITY, False, _INFINITY, False), _points((end,)))
    region.variable = variable
    return region


def _has_symbol(node: Any) -> bool:
    return isinstance(node, tuple) and ((node and node[0] == "sym") or any(_has_symbol(child) for child in node))

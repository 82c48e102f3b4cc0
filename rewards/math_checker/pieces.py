"""Comparison of functions that are given piece by piece, `("cases", ((value, condition), …))`.

Conditions that are subsets of the real line cut it into points and gaps (`rewards.math_checker.realset`); on each gap
both sides must have the same value as functions, at each point the same number, and both may have none. Other
conditions (`n` even) are matched one to one, each with its value.
"""

from __future__ import annotations

from typing import Any

from rewards.math_checker.items import Match
from rewards.math_checker.poly import Budget
from rewards.math_checker.realset import Leaf, Line, NotARegionError, Region

Node = tuple[Any, ...]

_OTHERWISE: Node = ("const", "otherwise")


def same_pieces(answer: Node, gold: Node, match: Match, leaf: Leaf, budget: Budget) -> bool:
    """Whether two functions of pieces are the same."""
    try:
        left, right = _regions(answer), _regions(gold)
    except NotARegionError:
        return _same_branches(answer[1], gold[1], match)
    names = {region.variable for region in (*left, *right) if region.variable}
    if len(names) != 1:
        return False
    ends = [end for region in (*left, *right) for end in region.ends]
    budget.pay(20 * len(ends) + 2 * len(ends) ** 2 * (len(left) + len(right)))
    line = Line(leaf, ends)
    compared: dict[tuple[int | None, int | None], bool] = {}
    for cell in range(2 * len(line.ends) + 1):
        pair = _active(left, cell, line), _active(right, cell, line)
        if pair not in compared:
            compared[pair] = _same_values(pair, answer, gold, match)
        if compared[pair]:
            continue
        if cell % 2 == 0 or None in pair or not _same_at(pair, answer, gold, line.ends[cell // 2][1], match):
            return False
    return True


def _regions(node: Node) -> list[Region]:
    """The region of each piece; "otherwise" is what the others leave."""
    known = [None if condition == _OTHERWISE else Region.of(condition) for _, condition in node[1]]
    variables = {region.variable for region in known if region is not None}
    if len(variables) != 1 or known.count(None) > 1:
        raise NotARegionError
    named = [region for region in known if region is not None]

    def rest(cell: int, line: Line) -> bool:
        return not any(region.has(cell, line) for region in named)

    return [Region(rest, [], named[0].variable) if region is None else region for region in known]


def _active(regions: list[Region], cell: int, line: Line) -> int | None:
    return next((index for index, region in enumerate(regions) if region.has(cell, line)), None)


def _same_values(pair: tuple[int | None, int | None], answer: Node, gold: Node, match: Match) -> bool:
    x, y = pair
    if x is None or y is None:
        return x is y
    return match(answer[1][x][0], gold[1][y][0])


def _same_at(pair: tuple[int | None, int | None], answer: Node, gold: Node, place: Node, match: Match) -> bool:
    """Whether two pieces have the same value at one point."""
    x, y = pair
    assert x is not None
    assert y is not None
    return match(_put(answer[1][x][0], place), _put(gold[1][y][0], place))


def _put(tree: Any, place: Node) -> Any:
    """The tree with a number in the place of its only letter."""
    if not isinstance(tree, tuple) or not tree:
        return tree
    return place if tree[0] == "sym" else tuple(_put(child, place) for child in tree)


def _same_branches(x: tuple[Any, ...], y: tuple[Any, ...], match: Match) -> bool:
    left = list(y)
    if len(x) != len(y):
        return False
    for value, condition in x:
        found = next((b for b in left if (condition == b[1] or match(condition, b[1])) and match(value, b[0])), None)
        if found is None:
            return False
        left.remove(found)
    return True

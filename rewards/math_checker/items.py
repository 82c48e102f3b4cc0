"""Comparison of lists, tuples, sets and matrices, given how two of their entries are compared (`match`).

Bare lists are unordered and keep repeated numbers; sets, and lists of points, do not; tuples and matrices are ordered;
a vector equals the tuple of its entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rewards.math_checker.poly import Undecided

Node = tuple[Any, ...]
Match = Callable[[Node, Node], bool]

_MAX_UNORDERED = 60
_COMPOUND = ("list", "seq", "rel", "setop", "matrix", "text", "choice", "setof", "cases", "letters", "ratio")


def is_value(node: Node) -> bool:
    """Whether the node is a single value, with or without a unit."""
    return node[0] not in _COMPOUND


def items_of(node: Node) -> tuple[Node, ...] | None:
    """The items of a list, tuple or set."""
    return node[1] if node[0] == "list" else node[3] if node[0] == "seq" else None


def same_items(answer: Node, gold: Node, match: Match, ordered_lists: bool) -> bool:
    """Lists, tuples and sets; at least one of the two is one."""
    x, y = items_of(answer), items_of(gold)
    if x is None or y is None:
        items, other = (x, gold) if x is not None else (y, answer)
        if other[0] == "matrix":
            return _kind(answer if x is not None else gold) != "set" and _same_vector(
                items or (), other, match, answer is other
            )
        if not is_value(other):
            return False
        if y is None and answer[0] == "list":  # "3/8, or 0.375"
            return all(match(item, gold) for item in x or ())
        return items is not None and len(items) == 1 and match((x or (answer,))[0], (y or (gold,))[0])
    kinds = {_kind(answer), _kind(gold)}
    if answer[0] == gold[0] == "seq" and answer[1:3] != gold[1:3] and (len(x) == 2 or "set" in kinds):
        return False
    if "set" in kinds or (kinds == {"list"} and _are_points(x) and _are_points(y)):
        return "tuple" not in kinds and _covers(x, y, match) and _covers(y, x, lambda a, b: match(b, a))
    if len(x) != len(y):
        return False
    if "tuple" in kinds or ordered_lists:
        return all(match(a, b) for a, b in zip(x, y, strict=True))
    return _same_unordered(x, y, match)


def _kind(node: Node) -> str:
    return "list" if node[0] == "list" else "set" if node[1] == "{" else "tuple"


def _are_points(items: tuple[Node, ...]) -> bool:
    return all(item[0] == "seq" for item in items)


def _covers(x: tuple[Node, ...], y: tuple[Node, ...], match: Match) -> bool:
    """Whether every item of `x` is among those of `y`."""
    if len(x) * len(y) > _MAX_UNORDERED**2:
        raise Undecided("list too long to match")
    return all(item in y or any(match(item, other) for other in y) for item in dict.fromkeys(x))


def _same_unordered(x: tuple[Node, ...], y: tuple[Node, ...], match: Match) -> bool:
    """Whether the items match one to one (equality is transitive, so greedy matching is enough)."""
    if len(x) > _MAX_UNORDERED:
        raise Undecided("list too long to match")
    left = list(y)
    unmatched: list[Node] = []
    for item in x:
        if item in left:
            left.remove(item)
        else:
            unmatched.append(item)
    for item in unmatched:
        found = next((index for index, other in enumerate(left) if match(item, other)), None)
        if found is None:
            return False
        del left[found]
    return True


def same_matrix(answer: Node, gold: Node, match: Match) -> bool:
    """Two matrices, entry by entry."""
    if (len(answer[1]), len(answer[1][0])) != (len(gold[1]), len(gold[1][0])):
        return False
    cells = [(a, b) for left, right in zip(answer[1], gold[1], strict=True) for a, b in zip(left, right, strict=True)]
    return all(match(a, b) for a, b in cells)


def _same_vector(items: tuple[Node, ...], matrix: Node, match: Match, flip: bool) -> bool:
    """A tuple against a matrix of one row or one column; a tuple of tuples against the rows of a matrix."""
    rows = matrix[1]
    if len(items) == len(rows) and all(item[0] == "seq" and len(item[3]) == len(rows[0]) for item in items):
        cells = tuple(cell for item in items for cell in item[3])
    elif len(rows) == 1 or len(rows[0]) == 1:
        cells = items
    else:
        return False
    entries = tuple(cell for row in rows for cell in row)
    if len(cells) != len(entries):
        return False
    return all(match(b, a) if flip else match(a, b) for a, b in zip(cells, entries, strict=True))

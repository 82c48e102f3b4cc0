"""Values with names: `x = 1, y = 2` is the pair (1, 2), whatever the order in which it is written.

Names of one letter with indices (`x_1 = 2, x_2 = 3`) or one name said twice (`x = 2 or x = 3`) are several values of
one thing, an unordered list. Of `(x, y) = (1, 2)` each name has its entry.
"""

from __future__ import annotations

from typing import Any

from rewards.math_checker.items import Match, items_of
from rewards.math_checker.relations import is_label, is_name
from rewards.math_checker.tables import GREEK

Node = tuple[Any, ...]
_AXES = frozenset({("sym", "x"), ("sym", "y"), ("sym", "z")})
Named = tuple[tuple[Node, Node], ...]


def same_named(answer: Node, gold: Node, match: Match) -> bool | None:
    """By name where both sides have names, in the order of the names where one has; None where neither has."""
    x, y = _named(answer), _named(gold)
    if x is None and y is None:
        return None
    if x is not None and y is not None:
        values = dict(y)
        return dict(x).keys() == values.keys() and all(match(value, values[name]) for name, value in x)
    named, other = (x, gold) if x is not None else (y, answer)
    assert named is not None
    if other[0] == "rel":
        return None
    wanted = _entries(other)
    if wanted is None or len(wanted) != len(named):
        return False
    orders = [named]
    if y is not None and gold[0] == "list" and not {name for name, _ in named} <= _AXES:
        orders.append(tuple(item[2] for item in gold[1]))
    return any(
        all(match(value, b) if x is not None else match(b, value) for (_, value), b in zip(order, wanted, strict=True))
        for order in orders
    )


def _named(node: Node) -> Named | None:
    """The names and values of a list of assignments to different things, in alphabetical order."""
    if node[0] == "rel" and node[1] == ("=",) and node[2][0][0] == "seq" and node[2][1][0] == "seq":
        names, values = node[2][0][3], node[2][1][3]
        plain = len(names) == len(values) and len({*names}) == len(names) and all(name[0] == "sym" for name in names)
        return tuple(zip(names, values, strict=True)) if plain else None
    if node[0] != "list" or not all(_is_assignment(item) for item in node[1]):
        return None
    pairs = tuple(item[2] for item in node[1])
    names = {name for name, _ in pairs}
    if len(names) != len(pairs) or len({str(name[1]).partition("_")[0] for name in names}) < len(pairs):
        return None
    if any(name[0] == "sym" and name[1].partition("_")[0] in GREEK for name in names):
        return pairs
    return tuple(sorted(pairs, key=lambda pair: repr(pair[0][1:])))


def _is_assignment(node: Node) -> bool:
    return node[0] == "rel" and node[1] == ("=",) and (is_name(node[2][0]) or is_label(node[2][0]))


def _entries(node: Node) -> tuple[Node, ...] | None:
    """The entries of an ordered thing: a tuple, a bare list, a row or a column."""
    if node[0] == "matrix" and (len(node[1]) == 1 or len(node[1][0]) == 1):
        return tuple(cell for row in node[1] for cell in row)
    if node[0] == "seq" and node[1] == "{":
        return None
    return items_of(node)

r"""One form for what can be written in several ways: `±`, percent and degree signs, chains of `=`, sets minus sets.

`forms` returns the trees that an answer can stand for: two where several `±` may or may not go together.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

from rewards.math_checker.numeric import children
from rewards.math_checker.realset import is_region
from rewards.math_checker.relations import has_symbol, is_name

Node = tuple[Any, ...]

_MINUS_ONE: Node = ("num", Fraction(-1), None)
_SIGNS = ("pm", "mp")
_MAX_FREE_SIGNS = 4
_MAX_PLACES = 400


def forms(node: Node) -> list[Node]:
    """The canonical trees of an answer: one, or two where it has several `±`, whose signs go together or are free."""
    count = _count_signs(node)
    if not count:
        return [canonical(node)]
    spelled = [_spell_out(node, together=True)]
    if 1 < count <= _MAX_FREE_SIGNS and not contains(node, ("mp",)):
        spelled.append(_spell_out(node, together=False))
    return [canonical(tree) for tree in spelled]


def canonical(node: Node) -> Node:
    """The node with percent and degree signs as units, chains of `=` shortened, and clauses about letters dropped."""
    kind = node[0]
    if kind == "fn" and node[1] in ("percent", "degree"):
        return ("unit", node[2][0], node[1])
    if kind == "mul" and node[1][-1][:2] == ("fn", "percent"):
        return ("unit", ("mul", (*node[1][:-1], node[1][-1][2][0])), "percent")
    if kind == "add" and (difference := _set_difference(node)):
        return difference
    if kind == "list":
        return _canonical_list(node)
    if kind == "rel" and len(node[2]) > 2 and set(node[1]) == {"="} and not _contradicts_itself(node[2]):
        first, last = node[2][0], node[2][-1]
        return ("rel", ("=",), (first, last)) if is_name(first) or not has_symbol(node) else canonical(last)
    if kind == "rel" and node[1] == ("==",):
        return ("rel", ("==",), (node[2][0], _residue(node[2][1])))
    return node


def _residue(node: Node) -> Node:
    """The right side of `x \\equiv -2 \\pmod 7`, whose sign belongs to the residue."""
    negative = node[0] == "mul" and len(node[1]) == 2 and node[1][0] == _MINUS_ONE
    inner = node[1][1] if negative else node
    if inner[0] != "fn" or inner[1] not in ("pmod", "bmod", "mod") or len(inner[2]) != 2:
        return node
    value, modulus = inner[2]
    return ("fn", "pmod", (("mul", (_MINUS_ONE, value)) if negative else value, modulus))


def _contradicts_itself(sides: tuple[Node, ...]) -> bool:
    """`x = 6 = 5`: a numeral that is neither the last one nor rounds to it."""
    *before, last = [_numeral(side) for side in sides]
    return last is not None and any(
        number is not None and abs(number[0] - last[0]) >= Fraction(1, 10 ** min(number[1], last[1], _MAX_PLACES))
        for number in before
        if number != last
    )


def _numeral(node: Node) -> tuple[Fraction, int] | None:
    """A number that is written out, and its decimal places; those of a fraction have no end."""
    if node[0] == "num":
        return node[1], node[2] or 0
    if node[0] != "mul" or len(node[1]) != 2:
        return None
    left, right = node[1]
    if left == _MINUS_ONE and (number := _numeral(right)):
        return -number[0], number[1]
    if left[0] == "num" and right[0] == "pow" and right[1][0] == "num" and right[1][1] and right[2] == _MINUS_ONE:
        return left[1] / right[1][1], _MAX_PLACES
    return None


def contains(node: Any, kinds: tuple[str, ...]) -> bool:
    """Whether a node of one of these kinds is anywhere in the tree."""
    if not isinstance(node, tuple):
        return False
    if node and isinstance(node[0], str) and node[0] in kinds:
        return True
    return any(contains(child, kinds) for child in node)


def _canonical_list(node: Node) -> Node:
    """A list without `k \\in \\mathbb{Z}` after a formula with k; `x \\neq 0, 1` as two inequalities that both hold."""
    items = node[1]
    kept = tuple(item for item in items if not _is_whole_number_clause(item))
    if kept and len(kept) < len(items) and not any(is_region(item) for item in kept):
        return canonical(kept[0]) if len(kept) == 1 else ("list", kept, *node[2:])
    first = items[0]
    if first[0] == "rel" and first[1] == ("!=",) and all(i[0] != "rel" or i[1] == ("!=",) for i in items):
        excluded = tuple(i if i[0] == "rel" else ("rel", ("!=",), (first[2][0], i)) for i in items)
        return ("list", excluded, "and")
    return node


def _is_whole_number_clause(node: Node) -> bool:
    """`k \\in \\mathbb{Z}` after a formula with k."""
    return node[0] == "rel" and node[1] == ("in",) and node[2][1] in (("const", "Z"), ("const", "N"))


def _set_difference(node: Node) -> Node | None:
    """`\\mathbb{R} - \\{0, 1\\}`, which the parser reads as a sum."""
    left, right = node[1][0], node[1][-1]
    if len(node[1]) != 2 or right[0] != "mul" or len(right[1]) != 2 or right[1][0] != _MINUS_ONE:
        return None
    taken = right[1][1]
    sets = is_region(left) or left[0] == "seq", taken[0] == "seq" and taken[1] == "{"
    return ("setop", "minus", left, taken) if all(sets) else None


def _count_signs(node: Any) -> int:
    return (1 if node and node[0] in _SIGNS else 0) + sum(map(_count_signs, children(node)))


def _spell_out(node: Node, together: bool) -> Node:
    """A list or set with each `±` in it as two items; anything else with `±` becomes a list of two or more."""
    if node[0] == "list" or (node[0] == "seq" and node[1] == "{"):
        items = node[1] if node[0] == "list" else node[3]
        spelled = tuple(version for item in items for version in _versions(item, together))
        return ("list", spelled) if node[0] == "list" else ("seq", node[1], node[2], spelled)
    return ("list", _versions(node, together))


def _versions(node: Node, together: bool) -> tuple[Node, ...]:
    count = _count_signs(node)
    if not count:
        return (node,)
    choices = [(1,) * count, (-1,) * count] if together else list(itertools.product((1, -1), repeat=count))
    return tuple(_choose(node, iter(signs)) for signs in choices)


def _choose(node: Any, signs: Any) -> Any:
    """The tree with the next of `signs` at each `±`; `∓` takes the opposite one."""
    if not isinstance(node, tuple):
        return node
    if node and node[0] in _SIGNS:
        sign = next(signs)
        inner = _choose(node[1], signs)
        return inner if (node[0] == "pm") == (sign > 0) else ("mul", (_MINUS_ONE, inner))
    return tuple(_choose(child, signs) for child in node)

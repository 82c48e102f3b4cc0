"""Comparison of equations and inequalities with each other and with bare values.

`x = 5`, `f(2) = 5`, `AB = 5` and `AB / CD = 5` may stand for `5`. A solved equation or inequality (`x = 2`, `x < 1`) is
not equal to an unsolved one (`2x + 3 = 7`, `3 - 2x > 1`), which may be the problem itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rewards.math_checker.numeric import children, letters
from rewards.math_checker.realset import is_region
from rewards.math_checker.tables import GREEK

_COMPLEX = (("sym", "z"), ("sym", "w"))
_SHIFTED = re.compile(r"_[^_]*[A-Za-z0-9][+-][A-Za-z0-9]")
Node = tuple[Any, ...]
Match = Callable[[Node, Node], bool]


def same_relation(answer: Node, gold: Node, match: Match, leaf: Match, assignment: bool) -> bool | None:
    """Assignments and equations; None leaves inequalities and set membership to the real line."""
    if answer[0] == "rel" and answer[1] == ("==",) and gold[0] != "rel" and gold[:2] != ("fn", "pmod"):
        return False
    x, y = assigned(answer, loose=gold[0] != "rel"), assigned(gold)
    if x is not None and y is not None:
        if "in" in (answer[1][0], gold[1][0]):
            return match(x[1], y[1])
        if (verdict := _same_assignment(x, y, match)) is not None:
            return verdict
    if (x is None) != (y is None):
        value = y if x is None else x
        if value is not None and "rel" not in ((answer if x is None else gold)[0],):
            if y is None:
                value = value[0], _reindexed(value, letters(gold))
            if not assignment and "=" in (gold if x is None else answer)[1][0]:
                return False
            return match(answer, value[1]) if x is None else match(value[1], gold)
        if value is not None and not has_symbol(value[1]) and "=" in answer[1] and "=" in gold[1]:
            return False
    if answer[0] == gold[0] == "rel" and answer[1] == gold[1] == ("=",):
        return leaf(answer, gold)
    if answer[0] == "rel" and answer[1] == ("=",) and gold[0] != "rel" and not has_symbol(answer):
        return match(answer[2][1], gold) and match(answer[2][0], answer[2][1])
    if answer[0] == gold[0] == "rel" and len(answer[1]) == len(gold[1]):
        return None if is_region(answer) and is_region(gold) else leaf(answer, gold)
    return None


def assigned(node: Node, loose: bool = False) -> tuple[Node, Node] | None:
    """The name and the value of `x = value`, `f(x) = value`, `(x, y) = value`, `AB = value` or `x in value`.

    `loose` takes an expression in several letters as the name of a number: `a + b = 12`.
    """
    if node[0] != "rel" or len(node[1]) != 1 or node[1][0] not in ("=", "in", "=="):
        return None
    left, right = node[2]
    if node[1][0] == "==":
        return (left, right) if left[0] == "sym" and right[0] == "fn" and right[1] in ("pmod", "mod") else None
    if is_name(left) and not _mentions(right, left):
        return left, right
    if node[1][0] == "=" and (_is_derivative(left) or (loose and left[0] == "big")):
        return left, right
    if node[1][0] == "in":
        return None
    if is_name(right) and not _mentions(left, right):
        return right, left
    if (is_label(left) or (loose and _is_combination(left))) and not has_symbol(right):
        return left, right
    return None


def is_name(node: Node) -> bool:
    """A letter, `f(x)`, or a tuple of such."""
    if node[0] == "seq" and node[1] == "(":
        return all(is_name(item) for item in node[3])
    return node[0] == "sym" or (node[0] == "fn" and node[1].startswith("call "))


def has_symbol(node: Any) -> bool:
    """Whether a free letter is anywhere in the tree."""
    return bool(letters(node))


def is_label(node: Node) -> bool:
    """What names a number in geometry and calculus: `AB`, `|AB|`, `AB / CD`, `m \\angle A`, `\\sin A`, an integral."""
    if node[0] == "big":
        return True
    if node[0] == "mul":
        below = [part[1] for part in node[1] if part[0] == "pow" and part[2][:2] == ("num", -1)]
        above = [part for part in node[1] if part[0] != "pow"]
        if below:
            if len(above) == len(below) == 1 and _is_differential(above[0]) and _is_differential(below[0]):
                return True
            return len(above) + len(below) == len(node[1]) and all(is_name(p) or is_label(p) for p in above + below)
        return bool(above) and all(_is_measured(part) or part == ("sym", "m") for part in node[1])
    if node[0] == "fn" and len(node[2]) == 1:
        inner = node[2][0]
        if node[1].startswith("call ") or node[1] == "det":
            return is_name(inner) or is_label(inner)
        return _is_measured(inner) or is_label(inner) or (node[1] == "abs" and inner in _COMPLEX)
    return False


def _calls(node: Any) -> list[Node]:
    """The applications `f(2)` in a tree."""
    own = [node] if node[:1] == ("fn",) and node[1].startswith("call ") else []
    return own + [call for child in children(node) for call in _calls(child)]


def _is_measured(node: Node) -> bool:
    """A capital, a Greek letter, or a figure: what has a length or an angle, and is no unknown."""
    return node[0] == "sym" and (node[1][:1].isupper() or " " in node[1] or node[1].partition("_")[0] in GREEK)


def _is_derivative(node: Node) -> bool:
    """`dy / dx`, and `d / dx` of anything."""
    if node[0] != "mul" or node[1][0][0] == "num":
        return False
    parts = [*node[1][0][1], *node[1][1:]] if node[1][0][0] == "mul" else list(node[1])
    below = [part[1] for part in parts if part[0] == "pow" and part[2][:2] == ("num", -1)]
    return bool(below) and _is_differential(parts[0]) and all(map(_is_differential, below))


def _is_differential(node: Node) -> bool:
    """`dy`, `d`, or `\\partial f`."""
    first = node[1][0] if node[0] == "mul" else node
    return first == ("sym", "d") or (first[0] == "sym" and first[1].startswith("partial"))


def _is_combination(node: Node) -> bool:
    """An expression in several letters without a number of its own: `a + b`, `100m + n`, `\\gcd(a, b)`, `xy`.

    `2x + y = 1`, with a factor, is the equation of a line.
    """
    names = letters(node) | {repr(call) for call in _calls(node)}
    if len(names) < 2 or node[0] not in ("add", "mul", "fn", "pow"):
        return False
    items = node[1] if node[0] == "add" else ()
    if any(item[0] == "num" for item in items):
        return False
    scaled = any(item[0] == "mul" and any(f[0] == "num" and f[1] != -1 for f in item[1]) for item in items)
    return not (scaled and names & {"x", "y", "z"})


def _mentions(tree: Any, name: Node) -> bool:
    return tree == name or (isinstance(tree, tuple) and any(_mentions(child, name) for child in tree))


def _same_assignment(x: tuple[Node, Node], y: tuple[Node, Node], match: Match) -> bool | None:
    """Two assignments: by value if their names can be the same, else undecided here."""
    (name, value), (other, wanted) = x, y
    if name == other:
        return match(value, wanted)
    calls = [node for node in (name, other) if node[0] == "fn" and node[1].startswith("call ")]
    if len(calls) == 2 and name[1] == other[1]:
        return _same_definition(x, y, match)
    if len(calls) == 2 and _function(name[1]) == _function(other[1]):  # f' or f^{-1} is not f
        return False
    if calls or "seq" in (name[0], other[0]):
        return match(value, wanted)
    if (
        name[0] == other[0] == "sym"
        and _base(name[1]) == _base(other[1])
        and any(map(_is_shifted, (name[1], other[1])))
    ):
        return False
    if name[0] == other[0] == "sym" and letters(wanted) == {other[1].partition("_")[2]}:
        return _base(name[1]) == _base(other[1]) and match(_reindexed(x, letters(wanted)), wanted)
    if name[0] == other[0] == "sym" and name[1] != other[1] and _base(name[1]) in (name[1], other[1]):
        return match(value, wanted) if _base(name[1]) == _base(other[1]) else None
    return None


def _reindexed(assignment: tuple[Node, Node], wanted: frozenset[str]) -> Node:
    """The value of `a_k = 2k - 1` or `f(t) = t^2` in the one letter that is wanted."""
    name, value = assignment
    calls = name[0] == "fn" and name[1].startswith("call ") and len(name[2]) == 1 and name[2][0][0] == "sym"
    index = name[2][0][1] if calls else name[1].partition("_")[2] if name[0] == "sym" else ""
    if len(wanted) != 1 or letters(value) != {index} or wanted == {index}:
        return value
    (letter,) = wanted
    return _rename(value, {("sym", index): ("sym", letter)})


def _same_definition(x: tuple[Node, Node], y: tuple[Node, Node], match: Match) -> bool:
    """`f(n) = n + 1` and `f(x) = x + 1`: the letter in brackets is a matter of taste, a number is not."""
    given, wanted = x[0][2], y[0][2]
    if len(given) != len(wanted) or any(node[0] != "sym" for node in given + wanted):
        return False
    if not has_symbol(y[1]) and any(node[1].isupper() for node in given + wanted):  # P(A) and P(B)
        return False
    renamed = _rename(x[1], dict(zip(given, wanted, strict=True)))
    return match(renamed, y[1])


def _function(name: str) -> str:
    """The letter of `f'` and `f^{-1}`."""
    return name.rstrip("'").partition("^")[0]


def _is_shifted(name: str) -> bool:
    """Whether a subscript is a sum: `a_{n+1}`, but not `x_{1,2}`."""
    return bool(_SHIFTED.search(name))


def _rename(node: Any, names: dict[Node, Node]) -> Any:
    if not isinstance(node, tuple):
        return node
    return names[node] if node in names else tuple(_rename(child, names) for child in node)


def _base(name: str) -> str:
    return name.partition("_")[0]

"""Decides whether two answer trees mean the same, down to the single expressions, which `leaf` compares.

Conventions (see docs/math_checker.md) are `Options`; the structure rules are here: bare lists are unordered, tuples and
matrices ordered, sets unordered; `x = 5` may stand for `5`; a unit may be omitted but not differ; intervals,
inequalities and unions are compared as subsets of the real line, cell by cell between all their end points.
`leaf(answer, gold)` may raise `Undecided`; then nothing is decided here and a stronger method must run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from rewards.math_checker.poly import Undecided
from rewards.math_checker.realset import is_region, same_region
from rewards.math_checker.units import DEGREE, PERCENT, Unit, resolve

Node = tuple[Any, ...]
Leaf = Callable[[Node, Node], bool]

_HUNDREDTH: Node = ("num", Fraction(1, 100), None)
_RADIANS: Node = ("mul", (("const", "pi"), ("num", Fraction(1, 180), None)))
_MAX_UNORDERED = 60


@dataclass(frozen=True)
class Options:
    """Conventions that benchmarks disagree on.

    `percent`: `lenient` lets `10%` equal `10` and `0.1`; `strict` only `0.1`. `assignment`: `y = x + 1` may stand for
    `x + 1`. `ordered_lists`: whether the order of a bare list `1, 2` counts. `units`: `lenient` lets one side omit its
    unit. `rel_tol`: largest relative difference of two numbers that count as equal; 0 is exact. `float_digits`: a
    decimal with at least so many significant digits is a rounded double and equals what it rounds; 0 is never.
    """

    percent: Literal["lenient", "strict"] = "lenient"
    assignment: bool = True
    ordered_lists: bool = False
    units: Literal["lenient", "strict"] = "lenient"
    rel_tol: float = 0.0
    float_digits: int = 15


def same(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool:
    """Whether two answers mean the same. Raises `Undecided` where a leaf does."""
    if answer == gold:
        return True
    answer, gold = canonical(answer), canonical(gold)
    if answer == gold:
        return True
    if "text" in (answer[0], gold[0]):
        return False
    if "choice" in (answer[0], gold[0]):
        return _same_choice(answer, gold, leaf, options)
    if is_approximation(answer) or is_approximation(gold):
        return _same_approximation(answer, gold, leaf, options)
    if "unit" in (answer[0], gold[0]) and _is_value(answer) and _is_value(gold):
        return _same_quantity(answer, gold, leaf, options)
    if "rel" in (answer[0], gold[0]) and (verdict := _same_relation(answer, gold, leaf, options)) is not None:
        return verdict
    if (is_region(answer) and _maybe_region(gold)) or (is_region(gold) and _maybe_region(answer)):
        return same_region(answer, gold, leaf)
    if _items(answer) is not None or _items(gold) is not None:
        return _same_items(answer, gold, leaf, options)
    if "matrix" in (answer[0], gold[0]):
        return _same_matrix(answer, gold, leaf, options)
    if answer[0] in ("rel", "setop") or gold[0] in ("rel", "setop"):
        return False
    return leaf(answer, gold)


def canonical(node: Node) -> Node:
    """The node with `±` spelled out as a list, percent and degree signs as units, and chains of `=` shortened."""
    if contains(node, ("pm", "mp")):
        node = _spell_out(node)
    if node[0] == "fn" and node[1] in ("percent", "degree"):
        return ("unit", node[2][0], node[1])
    if node[0] == "mul" and node[1][-1][:2] == ("fn", "percent"):
        inner = (*node[1][:-1], node[1][-1][2][0])
        return ("unit", ("mul", inner), "percent")
    if node[0] == "list" and len(node[1]) > 1:
        kept = tuple(item for item in node[1] if not _is_whole_number_clause(item))
        return kept[0] if len(kept) == 1 else (("list", kept, *node[2:]) if kept else node)
    if node[0] == "rel" and len(node[2]) > 2 and set(node[1]) == {"="}:
        return ("rel", ("=",), (node[2][0], node[2][-1])) if node[2][0][0] == "sym" else canonical(node[2][-1])
    return node


def _is_whole_number_clause(node: Node) -> bool:
    """`k \\in \\mathbb{Z}` after a formula with k."""
    return node[0] == "rel" and node[1] == ("in",) and node[2][1] in (("const", "Z"), ("const", "N"))


def contains(node: Any, kinds: tuple[str, ...]) -> bool:
    """Whether a node of one of these kinds is anywhere in the tree."""
    if not isinstance(node, tuple):
        return False
    if node and isinstance(node[0], str) and node[0] in kinds:
        return True
    return any(contains(child, kinds) for child in node)


def _spell_out(node: Node) -> Node:
    """Items with `±` become two items; alone, they become a list of two."""
    items = _items(node)
    if items is None:
        return ("list", (_choose_sign(node, 1), _choose_sign(node, -1)))
    spelled: list[Node] = []
    for item in items:
        both = [_choose_sign(item, 1), _choose_sign(item, -1)] if contains(item, ("pm", "mp")) else [item]
        spelled.extend(both)
    return ("list", tuple(spelled)) if node[0] == "list" else ("seq", node[1], node[2], tuple(spelled))


def _choose_sign(node: Any, sign: int) -> Any:
    if not isinstance(node, tuple):
        return node
    if node and node[0] in ("pm", "mp"):
        inner = _choose_sign(node[1], sign)
        positive = (node[0] == "pm") == (sign > 0)
        return inner if positive else ("mul", (("num", Fraction(-1), None), inner))
    return tuple(_choose_sign(child, sign) for child in node)


def _is_value(node: Node) -> bool:
    return node[0] not in ("list", "seq", "rel", "setop", "matrix", "text", "choice")


def _maybe_region(node: Node) -> bool:
    return is_region(node) or node[0] in ("seq", "const", "list") or _is_value(node)


def _items(node: Node) -> tuple[Node, ...] | None:
    """The items of a list, tuple or set."""
    return node[1] if node[0] == "list" else node[3] if node[0] == "seq" else None


def _same_choice(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool:
    """Options of a multiple-choice question: by letter; against a value, by what stands after the letter."""
    if answer[0] == gold[0]:
        return bool(answer[1] == gold[1])
    choice, other = (answer, gold) if answer[0] == "choice" else (gold, answer)
    if other[0] in ("sym", "const"):
        return bool(choice[1] == other[1].upper())
    return choice[2] is not None and same(choice[2], other, leaf, options)


def is_approximation(node: Node) -> bool:
    return node[0] == "rel" and "~" in node[1]


def _same_approximation(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool:
    """`x = 1/3 ≈ 0.33` is 1/3; `x ≈ 11` is 11."""
    return same(_exact_side(answer), _exact_side(gold), leaf, options)


def _exact_side(node: Node) -> Node:
    if not is_approximation(node):
        return node
    cut = node[1].index("~")
    left, right = node[2][: cut + 1], node[2][cut + 1]
    if len(left) == 1:
        return right if left[0][0] in ("sym", "text") else left[0]
    return ("rel", node[1][:cut], left)


def _quantity(node: Node) -> tuple[Node, Unit | None]:
    return (node[1], resolve(node[2])) if node[0] == "unit" else (node, None)


def _same_quantity(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool:
    """Values with units: both given, they must measure the same; one omitted is a convention."""
    (x, x_unit), (y, y_unit) = _quantity(answer), _quantity(gold)
    if x_unit is not None and y_unit is not None:
        if x_unit[0] != y_unit[0]:
            return False
        ratio = x_unit[1] / y_unit[1]
        return same(x if ratio == 1 else ("mul", (("num", ratio, None), x)), y, leaf, options)
    value, unit, bare = (x, x_unit, y) if x_unit is not None else (y, y_unit, x)
    if unit in (PERCENT, DEGREE):
        converted = ("mul", (value, _HUNDREDTH if unit == PERCENT else _RADIANS))
        if leaf(converted, bare):
            return True
        return (unit == DEGREE or options.percent == "lenient") and leaf(value, bare)
    return options.units == "lenient" and same(value, bare, leaf, options)


def assigned(node: Node) -> Node | None:
    """The value of `x = value`, `f(x) = value`, `(x, y) = value` or `x in value`."""
    if node[0] != "rel" or len(node[1]) != 1 or node[1][0] not in ("=", "in"):
        return None
    left, right = node[2]
    if _is_name(left) and not _mentions(right, left):
        return right
    return left if _is_name(right) and node[1][0] == "=" and not _mentions(left, right) else None


def _is_name(node: Node) -> bool:
    if node[0] == "seq" and node[1] == "(":
        return all(_is_name(item) for item in node[3])
    return node[0] == "sym" or (node[0] == "fn" and node[1].startswith("call "))


def _mentions(tree: Any, name: Node) -> bool:
    return tree == name or (isinstance(tree, tuple) and any(_mentions(child, name) for child in tree))


def _same_relation(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool | None:
    """Assignments and equations; None leaves inequalities and set membership to the real line."""
    x, y = assigned(answer), assigned(gold)
    if x is not None and y is not None:
        names = answer[2][0], gold[2][0]
        if names[0] == names[1] or "fn" in (names[0][0], names[1][0]) or "in" in (answer[1][0], gold[1][0]):
            return same(x, y, leaf, options)
    elif (x is not None or y is not None) and "rel" not in ((answer if x is None else gold)[0],):
        if not options.assignment and "=" in ((answer if y is None else gold)[1][0],):
            return False
        return same(answer if x is None else x, gold if y is None else y, leaf, options)
    if answer[0] == gold[0] == "rel" and answer[1] == gold[1] == ("=",):
        return leaf(answer, gold)
    if answer[0] == gold[0] == "rel" and len(answer[1]) == len(gold[1]):
        if is_region(answer) and is_region(gold):
            return None
        return leaf(answer, gold)
    return None


def _same_items(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool:
    """Lists, tuples and sets."""
    x, y = _items(answer), _items(gold)
    if x is None or y is None:
        items, other = (x, gold) if x is not None else (y, answer)
        if other[0] == "matrix":
            return _same_vector(items or (), other, leaf, options, answer is other)
        single = items is not None and len(items) == 1 and _is_value(other)
        return single and same((x or (answer,))[0], (y or (gold,))[0], leaf, options)
    kinds = {_kind(answer), _kind(gold)}
    if len(x) != len(y):
        return False
    if answer[0] == gold[0] == "seq" and answer[1:3] != gold[1:3] and (len(x) == 2 or "set" in kinds):
        return False
    ordered = "tuple" in kinds or (options.ordered_lists and "set" not in kinds)
    pairs = list(zip(x, y, strict=True))
    if ordered:
        return all(same(a, b, leaf, options) for a, b in pairs)
    return _same_unordered(x, y, leaf, options)


def _kind(node: Node) -> str:
    return "list" if node[0] == "list" else "set" if node[1] == "{" else "tuple"


def _same_unordered(x: tuple[Node, ...], y: tuple[Node, ...], leaf: Leaf, options: Options) -> bool:
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
        match = next((index for index, other in enumerate(left) if same(item, other, leaf, options)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_matrix(answer: Node, gold: Node, leaf: Leaf, options: Options) -> bool:
    if answer[0] != "matrix" or gold[0] != "matrix":
        return leaf(answer, gold) if contains((answer, gold), ("add", "mul", "pow")) else False
    if (len(answer[1]), len(answer[1][0])) != (len(gold[1]), len(gold[1][0])):
        return False
    cells = [(a, b) for left, right in zip(answer[1], gold[1], strict=True) for a, b in zip(left, right, strict=True)]
    return all(same(a, b, leaf, options) for a, b in cells)


def _same_vector(items: tuple[Node, ...], matrix: Node, leaf: Leaf, options: Options, flip: bool) -> bool:
    """A tuple against a matrix of one row or one column."""
    if len(matrix[1]) != 1 and len(matrix[1][0]) != 1:
        return False
    cells = tuple(cell for row in matrix[1] for cell in row)
    if len(cells) != len(items):
        return False
    pairs = zip(cells, items, strict=True) if flip else zip(items, cells, strict=True)
    return all(same(a, b, leaf, options) for a, b in pairs)

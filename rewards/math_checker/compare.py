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

from rewards.math_checker.canonical import contains, forms
from rewards.math_checker.items import Match, is_value, items_of, same_items, same_matrix
from rewards.math_checker.meanings import constant_apart
from rewards.math_checker.named import same_named
from rewards.math_checker.numeric import size
from rewards.math_checker.pieces import same_pieces
from rewards.math_checker.poly import Budget
from rewards.math_checker.realset import is_region, same_region
from rewards.math_checker.relations import same_relation
from rewards.math_checker.units import DEGREE, PERCENT, RADIAN, Unit, fits, resolve

Node = tuple[Any, ...]
Leaf = Callable[[Node, Node], bool]

_HUNDREDTH: Node = ("num", Fraction(1, 100), None)
_RADIANS: Node = ("mul", (("const", "pi"), ("num", Fraction(1, 180), None)))
_HALF_DAY = 12 * 3600


@dataclass(frozen=True)
class Options:
    """Conventions that benchmarks disagree on.

    `percent`: `lenient` lets `10%` equal `10` and `0.1`; `strict` only `0.1`. `assignment`: `y = x + 1` may stand for
    `x + 1`. `ordered_lists`: whether the order of a bare list `1, 2` counts. `units`: `lenient` lets one side omit its
    unit. `rel_tol`: largest relative difference of two numbers that count as equal; 0 is exact. `float_digits`: a
    decimal with at least so many significant digits is a rounded double and equals what it rounds, with one digit less
    only if a program would print just those; 0 is never.
    """

    percent: Literal["lenient", "strict"] = "lenient"
    assignment: bool = True
    ordered_lists: bool = False
    units: Literal["lenient", "strict"] = "lenient"
    rel_tol: float = 0.0
    float_digits: int = 16


def same(answer: Node, gold: Node, leaf: Leaf, options: Options, budget: Budget) -> bool:
    """Whether two answers mean the same. Raises `Undecided` where a leaf does."""
    if answer == gold:
        return True
    budget.pay(20 + 2 * (size(answer) + size(gold)))
    return any(_same(x, y, leaf, options, budget) for x in forms(answer) for y in forms(gold))


def _same(answer: Node, gold: Node, leaf: Leaf, options: Options, budget: Budget) -> bool:
    """Whether two canonical trees mean the same, by the kinds of their roots."""
    if answer == gold:
        return True
    kinds = (answer[0], gold[0])

    def match(x: Node, y: Node) -> bool:
        return same(x, y, leaf, options, budget)

    if "text" in kinds or "letters" in kinds:
        return _same_letters(answer, gold)
    if "clock" in kinds:
        return kinds == ("clock", "clock") and _same_clock(answer, gold)
    if "ratio" in kinds:
        return kinds == ("ratio", "ratio") and _same_ratio(answer[1], gold[1], leaf)
    if "choice" in kinds:
        return _same_choice(answer, gold, match)
    if kinds == ("sym", "sym") and _same_figure(answer[1], gold[1]):
        return True
    if "cases" in kinds and "rel" not in kinds:
        return kinds == ("cases", "cases") and same_pieces(answer, gold, match, leaf, budget)
    if kinds == ("add", "add") and (apart := constant_apart(answer, gold)):
        return match(*apart[:2]) or (apart[2] and leaf(("anti", apart[0]), ("anti", apart[1])))
    if is_approximation(answer) or is_approximation(gold):
        return match(_exact_side(answer), _exact_side(gold))
    if (ours := _modulus(answer)) and (theirs := _modulus(gold)) and not match(ours, theirs):
        return False
    if "unit" in kinds and is_value(answer) and is_value(gold):
        return _same_quantity(answer, gold, leaf, options, budget)
    if (named := same_named(answer, gold, match)) is not None:
        return named
    if "rel" in kinds and (verdict := same_relation(answer, gold, match, leaf, options.assignment)) is not None:
        return verdict
    return _same_collection(answer, gold, match, leaf, options, budget)


def _same_collection(answer: Node, gold: Node, match: Match, leaf: Leaf, options: Options, budget: Budget) -> bool:
    """Sets, regions, lists and matrices; what is none of them is a value."""
    kinds = (answer[0], gold[0])
    if "setof" in kinds:
        return kinds == ("setof", "setof") and match(answer[1], gold[1]) and match(answer[2], gold[2])
    if (is_region(answer) and _maybe_region(gold)) or (is_region(gold) and _maybe_region(answer)):
        return same_region(answer, gold, leaf, budget)
    if items_of(answer) is not None or items_of(gold) is not None:
        return same_items(answer, gold, match, options.ordered_lists)
    if kinds == ("matrix", "matrix"):
        return same_matrix(answer, gold, match)
    if "matrix" in kinds:
        return contains((answer, gold), ("add", "mul", "pow")) and leaf(answer, gold)
    return not {"rel", "setop"} & set(kinds) and leaf(answer, gold)


def _same_letters(answer: Node, gold: Node) -> bool:
    """Words are compared before; `BC` is itself, and the list of the choices B and C."""
    if answer[0] == gold[0] == "letters":
        return bool(answer[1] == gold[1])
    run, other = (answer, gold) if answer[0] == "letters" else (gold, answer)
    if run[0] != "letters" or items_of(other) is None:
        return False
    return sorted(run[1]) == sorted(item[1] if item[0] in ("sym", "choice") else "?" for item in items_of(other) or ())


def _same_figure(x: str, y: str) -> bool:
    """A triangle has no first vertex, an angle no first side."""
    (kind, _, name), (other, _, wanted) = x.partition(" "), y.partition(" ")
    if kind != other or not name:
        return False
    return sorted(name) == sorted(wanted) if kind == "triangle" else kind == "angle" and name == wanted[::-1]


def _maybe_region(node: Node) -> bool:
    return is_region(node) or node[0] in ("seq", "const", "list") or is_value(node)


def _same_clock(answer: Node, gold: Node) -> bool:
    """Times of day; where only one says a.m. or p.m., the other may be in 24 hours or have left it out."""
    if answer[2] == gold[2]:
        return bool(answer[1] == gold[1])
    if answer[2] and gold[2]:
        return False
    (full, half), (other, _) = (answer[1:], gold[1:]) if answer[2] else (gold[1:], answer[1:])
    return other in (full, full % _HALF_DAY + (_HALF_DAY if half == "p" else 0))


def _same_ratio(x: tuple[Node, ...], y: tuple[Node, ...], leaf: Leaf) -> bool:
    """Ratios of three numbers or more, up to a factor."""
    if len(x) != len(y):
        return False
    return all(leaf(("mul", (a, y[0])), ("mul", (b, x[0]))) for a, b in zip(x[1:], y[1:], strict=True))


def _same_choice(answer: Node, gold: Node, match: Match) -> bool:
    """Options of a multiple-choice question: by letter; against a value, by what stands after the letter."""
    if answer[0] == gold[0]:
        return bool(answer[1] == gold[1])
    choice, other = (answer, gold) if answer[0] == "choice" else (gold, answer)
    if other[0] in ("sym", "const"):
        return bool(choice[1] == other[1].upper())
    return choice[2] is not None and match(choice[2], other)


def _modulus(node: Node) -> Node | None:
    """The 7 of `x \\equiv 5 \\pmod 7`, and of `5 \\pmod 7` alone."""
    if node[0] == "rel" and node[1] == ("==",):
        node = node[2][1]
    if node[0] == "mul" and node[1]:
        node = node[1][-1]
    return node[2][1] if node[0] == "fn" and node[1] in ("pmod", "mod") and len(node[2]) == 2 else None


def is_approximation(node: Node) -> bool:
    """Whether `≈` is one of the node's relations."""
    return node[0] == "rel" and "~" in node[1]


def _exact_side(node: Node) -> Node:
    """`x = 1/3 ≈ 0.33` is 1/3; `x ≈ 11` is 11."""
    if not is_approximation(node):
        return node
    cut = node[1].index("~")
    left, right = node[2][: cut + 1], node[2][cut + 1]
    if len(left) == 1:
        return right if left[0][0] in ("sym", "text") else left[0]
    return ("rel", node[1][:cut], left)


def _quantity(node: Node) -> tuple[Node, Unit | None]:
    """The value and its unit."""
    if node[0] != "unit":
        return node, None
    return node[1], resolve(node[2])


def _same_quantity(answer: Node, gold: Node, leaf: Leaf, options: Options, budget: Budget) -> bool:
    """Values with units: both given, they must measure the same; one omitted is a convention."""
    lenient = options.units == "lenient"
    (x, x_unit), (y, y_unit) = _quantity(answer), _quantity(gold)
    if x_unit is None and y_unit is None:
        return same(x, y, leaf, options, budget)
    if x_unit is not None and y_unit is not None:
        if lenient and (fits(x_unit, y_unit) or fits(y_unit, x_unit)):
            return same(x, y, leaf, options, budget)
        if {x_unit, y_unit} == {DEGREE, RADIAN}:
            return leaf(("mul", (x, _RADIANS)), y) if x_unit == DEGREE else leaf(x, ("mul", (y, _RADIANS)))
        if x_unit[0] != y_unit[0]:
            return False
        ratio = x_unit[1] / y_unit[1]
        return same(x if ratio == 1 else ("mul", (("num", ratio, None), x)), y, leaf, options, budget)
    value, unit, bare = (x, x_unit, y) if x_unit is not None else (y, y_unit, x)
    if unit is not None and any(name in ("percent", "degree") and power != 1 for name, power in unit[0]):
        return False
    if unit in (PERCENT, DEGREE):
        converted = ("mul", (value, _HUNDREDTH if unit == PERCENT else _RADIANS))
        if leaf(converted, bare):
            return True
        return (unit == DEGREE or options.percent == "lenient") and leaf(value, bare)
    return lenient and same(value, bare, leaf, options, budget)

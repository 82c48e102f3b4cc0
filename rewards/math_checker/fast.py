"""The comparison of single expressions without sympy: exact normal forms first, floats with error bounds second.

`fast_leaf` proves equality (`rewards.math_checker.algebra`) or inequality (either module) or raises `Undecided`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from rewards.math_checker.algebra import equal, normal_form
from rewards.math_checker.canonical import contains
from rewards.math_checker.compare import Leaf, Options
from rewards.math_checker.numeric import letters, real_value, surely_different
from rewards.math_checker.poly import Budget, Poly, Ratio, Undecided, multiply, rational, subtract

Node = tuple[Any, ...]

_DOUBLE_STEP = Fraction(2, 2**52)
_EXPRESSIONS = frozenset({"num", "sym", "const", "add", "mul", "pow", "fn", "big"})


def fast_leaf(options: Options, budget: Budget) -> Leaf:
    """The leaf comparison under these options, paid from `budget`."""

    def leaf(answer: Node, gold: Node) -> bool:
        if answer == gold:
            return True
        if answer[0] == "num" and gold[0] == "num":
            return same_number(answer, gold, options)
        if answer[0] == gold[0] == "rel":
            return _same_equation(answer, gold, budget)
        if answer[0] == "anti":
            raise Undecided("antiderivatives")
        if answer[0] not in _EXPRESSIONS or gold[0] not in _EXPRESSIONS:
            if contains((answer, gold), ("matrix",)):
                raise Undecided("matrix arithmetic")
            return False
        return _same_expression(answer, gold, options, budget)

    return leaf


def same_number(answer: Node, gold: Node, options: Options) -> bool:
    """Two numerals: exact, unless a tolerance is set or one is a rounded double."""
    x, y = answer[1], gold[1]
    if x == y:
        return True
    if options.rel_tol:
        return bool(abs(x - y) <= Fraction(options.rel_tol) * max(abs(x), abs(y)))
    return any(
        _significant(short) > _significant(exact) and _is_double_of(short, exact[1], options)
        for short, exact in ((answer, gold), (gold, answer))
    )


def _significant(node: Node) -> int:
    """The number of significant digits of a decimal; 0 for what has none, is zero, or has hundreds."""
    if node[0] != "num" or not node[2] or node[2] >= 400 or abs(node[1]) >= 10**400:
        return 0
    digits = int(abs(node[1]) * 10 ** node[2])
    return len(str(digits)) if digits else 0


def _is_double_of(short: Node, exact: Fraction | float, options: Options) -> bool:
    """Whether a decimal is a printed double of `exact`.

    With `float_digits` digits it is `exact` up to one unit in its last place and two steps of a double; with one digit
    less it is what a program prints for that double, no more and no less.
    """
    digits = _significant(short)
    if not options.float_digits or digits < options.float_digits - 1 or not 1e-300 < float(abs(short[1])) < 1e300:
        return False
    if digits < options.float_digits:
        return Fraction(repr(float(exact))) == short[1]
    return bool(abs(short[1] - Fraction(exact)) <= Fraction(1, 10 ** short[2]) + abs(short[1]) * _DOUBLE_STEP)


def _same_expression(answer: Node, gold: Node, options: Options, budget: Budget) -> bool:
    if _infinite(answer) or _infinite(gold):
        return False
    if options.rel_tol and (verdict := _within(answer, gold, options.rel_tol)) is not None:
        return verdict
    for short, exact in ((answer, gold), (gold, answer)):
        if exact[0] != "num" and options.float_digits and _significant(short) >= options.float_digits - 1:
            value = None if letters(exact) else real_value(exact)
            return value is not None and _is_double_of(short, value, options)
    if surely_different(answer, gold, budget):
        return False
    return equal(answer, gold, budget)


def _infinite(node: Node) -> bool:
    return node == ("const", "inf") or (node[0] == "mul" and ("const", "inf") in node[1])


def _within(answer: Node, gold: Node, rel_tol: float) -> bool | None:
    x, y = real_value(answer), real_value(gold)
    return None if x is None or y is None else abs(x - y) <= rel_tol * max(abs(x), abs(y))


def _same_equation(answer: Node, gold: Node, budget: Budget) -> bool:
    """Relations with the same difference of sides up to a constant factor, positive where they are inequalities."""
    if len(answer[1]) != 1 or len(gold[1]) != 1:
        return _same_chain(answer, gold, budget)
    left, right = _difference(answer, budget), _difference(gold, budget)
    flip = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    operators = answer[1][0], gold[1][0]
    symmetric = operators[0] == operators[1] and operators[0] in ("=", "!=", "==", "~")
    if not symmetric and operators[0] != operators[1] and flip.get(operators[0]) != operators[1]:
        return False
    factor = _constant_factor(left, right, budget)
    if factor is None:
        return False
    return symmetric or (factor > 0) == (operators[0] == operators[1])


def _same_chain(answer: Node, gold: Node, budget: Budget) -> bool:
    """`a < b < c` against itself, or read from the other end."""
    flip = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    for operators, operands in (
        (gold[1], gold[2]),
        (tuple(flip.get(op, op) for op in reversed(gold[1])), tuple(reversed(gold[2]))),
    ):
        if answer[1] == operators and len(answer[2]) == len(operands):
            return all(a == b or equal(a, b, budget) for a, b in zip(answer[2], operands, strict=True))
    return False


def _difference(relation: Node, budget: Budget) -> Ratio:
    left, right = relation[2]
    if left[0] not in _EXPRESSIONS or right[0] not in _EXPRESSIONS:
        raise Undecided("no expressions")
    return subtract(normal_form(left, budget), normal_form(right, budget), budget)


def _constant_factor(a: Ratio, b: Ratio, budget: Budget) -> Fraction | None:
    """The rational c with a = c * b, or None if there is none and both are polynomials in symbols."""
    if not a[0] or not b[0]:
        return None
    top, bottom = multiply(a, (b[1], {(): Fraction(1)}), budget), multiply(b, (a[1], {(): Fraction(1)}), budget)
    factor = _polynomial_factor(top[0], bottom[0])
    if factor is not None and rational((top[1], bottom[1])) == 1:
        return factor
    if all(atom.startswith("x ") for poly in (top[0], bottom[0]) for monomial in poly for atom, _ in monomial):
        return None
    raise Undecided("no rational factor")


def _polynomial_factor(a: Poly, b: Poly) -> Fraction | None:
    if a.keys() != b.keys():
        return None
    factors = {a[monomial] / b[monomial] for monomial in a}
    return factors.pop() if len(factors) == 1 else None

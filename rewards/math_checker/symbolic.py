"""The symbolic check, run inside a worker process: answer trees become sympy expressions, built node by node.

Method: the difference of both expressions is expanded, then evaluated by sympy's evalf, whose significance arithmetic
raises the precision until a non-zero value is certain. A constant without a significant digit up to 600 is zero; two
functions are the same when they agree at every point of `rewards.math_checker.points` where both are real, as doubles,
and exactly at some of them. Left out: differential equations and everything the parser leaves out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy
from sympy.core.evalf import PrecisionExhausted

from rewards.math_checker.build import TooLarge, build
from rewards.math_checker.canonical import contains
from rewards.math_checker.compare import Options, same
from rewards.math_checker.fast import fast_leaf
from rewards.math_checker.lexer import MathTextError, TooLargeError
from rewards.math_checker.numeric import IMAGINARY, contains_node, differ_at, letters
from rewards.math_checker.points import places
from rewards.math_checker.poly import WORKER_UNITS, Budget, Undecided
from rewards.math_checker.read import pairings, readings

Node = tuple[Any, ...]

_POINTS = ((3, 7), (11, 13), (17, 5))
_EXACT = 3
_VARIABLES = ("x", "t", "u", "y", "s", "z", "theta", "r", "v", "w")
_DIGITS = 60
_UNDEFINED = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)


def handle(job: dict[str, Any]) -> dict[str, Any]:
    """The worker's entry: `{"answer", "gold", "options"}` to `{"equal"}` or `{"reason"}`."""
    options, budget = Options(**job["options"]), Budget(WORKER_UNITS)
    try:
        verdicts = [
            same(answer, gold, _leaf(options, budget), options, budget)
            for answer, gold in pairings(readings(job["answer"]), readings(job["gold"]))
        ]
    except (TooLarge, TooLargeError, MemoryError, OverflowError):
        return {"reason": "too_large"}
    except (MathTextError, Undecided):
        return {"equal": False}
    except (ArithmeticError, TypeError, ValueError, AttributeError, NotImplementedError, RecursionError):
        return {"equal": False}
    return {"equal": any(verdicts)}


def _leaf(options: Options, budget: Budget) -> Any:
    quick = fast_leaf(options, budget)

    def leaf(answer: Node, gold: Node) -> bool:
        try:
            return quick(answer, gold)
        except Undecided:
            return _same_symbolic(answer, gold, options)

    return leaf


def _same_symbolic(answer: Node, gold: Node, options: Options) -> bool:
    if answer[0] == gold[0] == "anti":
        return _same_up_to_constant(answer[1], gold[1])
    if answer[0] == "rel" or gold[0] == "rel":
        return _same_relation(answer, gold)
    agreed = _agreement(answer, gold)
    if agreed is None:
        return False
    x, y = build(answer), build(gold)
    if isinstance(x, sympy.MatrixBase) or isinstance(y, sympy.MatrixBase):
        return isinstance(x, sympy.MatrixBase) and isinstance(y, sympy.MatrixBase) and _same_matrices(x, y)
    if options.rel_tol and not (x.free_symbols or y.free_symbols):
        return bool(abs(sympy.N(x - y, 30)) <= options.rel_tol * max(abs(sympy.N(x, 30)), abs(sympy.N(y, 30))))
    return _is_zero(x, y, agreed)


def _same_up_to_constant(answer: Node, gold: Node) -> bool:
    """Whether two antiderivatives differ by a constant: their derivatives agree wherever both are real."""
    name = min(letters(answer) & letters(gold), key=lambda letter: (letter not in _VARIABLES, letter))
    slope = sympy.diff(build(answer) - build(gold), sympy.Symbol(name, real=True))
    if slope == 0:
        return True
    agreed = 0
    for place in places(answer, gold)[::7]:
        if differ_at(answer, gold, place) is None:
            continue
        exact = {s: sympy.Rational(Fraction(place[s.name]).limit_denominator(10**6)) for s in slope.free_symbols}
        value = sympy.N(slope.subs(exact), 30)
        if value.is_number and not value.has(*_UNDEFINED):
            if abs(value) > sympy.Float("1e-15"):
                return False
            agreed += 1
    return agreed > 2


def _same_matrices(x: Any, y: Any) -> bool:
    return x.shape == y.shape and all(sympy.simplify(a - b) == 0 for a, b in zip(x, y, strict=True))


def _same_relation(answer: Node, gold: Node) -> bool:
    """Equations or inequalities whose differences of sides have a constant quotient."""
    if answer[0] != gold[0] or len(answer[1]) != 1 or len(gold[1]) != 1:
        return False
    (a, b), (c, d) = answer[2], gold[2]
    left, right = build(a) - build(b), build(c) - build(d)
    if left == 0 or right == 0:
        return bool(left == right)
    quotient = sympy.simplify(left / right)
    if quotient.free_symbols or quotient == 0:
        return False
    flip = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    if answer[1] == gold[1]:
        return answer[1][0] not in flip or bool(quotient > 0)
    return flip.get(answer[1][0]) == gold[1][0] and bool(quotient < 0)


def _is_zero(x: Any, y: Any, agreed: list[dict[str, float]]) -> bool:
    """Whether x - y is zero; `agreed` are the places where both are known to be real and the same as doubles."""
    if any(side.has(sympy.nan, sympy.zoo) or side in (sympy.oo, -sympy.oo) for side in (x, y)):
        return False
    difference = _evaluated(x - y)
    if difference.is_Number:
        return bool(difference == 0)
    if not difference.free_symbols:
        return _vanishes(difference)
    symbols = sorted(difference.free_symbols, key=lambda symbol: symbol.name)
    if agreed:
        chosen = agreed[len(agreed) // (2 * _EXACT) :: max(1, len(agreed) // _EXACT)][:_EXACT]
    else:
        chosen = [{s.name: start / (start + 2 + k * step) for k, s in enumerate(symbols)} for start, step in _POINTS]
    verdicts = [_zero_at(difference, symbols, place) for place in chosen]
    return False not in verdicts and verdicts.count(True) >= min(2, len(chosen))


def _agreement(answer: Node, gold: Node) -> list[dict[str, float]] | None:
    """Where two functions are both real, and the same as doubles; None if they differ somewhere.

    What contains i, or is real nowhere, is looked at as complex numbers; a matrix not at all.
    """
    trees = (answer, gold)
    if not letters(trees) or contains(trees, ("matrix",)):
        return []
    points = places(answer, gold)
    for real in (False,) if contains_node(trees, IMAGINARY) else (True, False):
        verdicts = [differ_at(answer, gold, place, real) for place in points]
        if True in verdicts:
            return None
        if False in verdicts:
            return [place for place, verdict in zip(points, verdicts, strict=True) if verdict is False]
    return []


def _evaluated(difference: Any) -> Any:
    if difference.has(sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit):
        difference = difference.doit()
    if difference.has(sympy.factorial, sympy.binomial):
        difference = sympy.combsimp(difference)
    return sympy.expand(difference)


def _vanishes(constant: Any, digits: tuple[int, ...] = (200, 600)) -> bool:
    """Whether a closed expression is zero: no significant digit up to the last of `digits`, and tiny.

    Raises `Undecided` if it has no value.
    """
    for most in digits:
        try:
            return bool(constant.evalf(_DIGITS, maxn=most, strict=True) == 0)
        except PrecisionExhausted:
            continue
    value = constant.evalf(20, maxn=digits[-1])
    if not value.is_number or value.has(*_UNDEFINED):
        raise Undecided("no value")
    return bool(abs(value) < sympy.Float("1e-100"))


def _zero_at(difference: Any, symbols: list[Any], place: dict[str, float]) -> bool | None:
    """Whether the difference vanishes at a point; None where it has no value there."""
    exact = {s: sympy.Rational(Fraction(place[s.name]).limit_denominator(10**6)) for s in symbols}
    value = sympy.expand(difference.subs(exact))
    if value.has(*_UNDEFINED):
        return None
    return bool(value == 0) if value.is_Number else _vanishes(value, (200,))

"""Exact normal forms for the fast path: quotients of polynomials over Q in symbols, roots of primes, pi, e and i.

Method: a value is a pair of sparse polynomials `(numerator, denominator)`; a polynomial maps monomials to rationals, a
monomial is a sorted tuple of `(atom, exponent)`. Roots of rationals are split into primes with exponents in [0, 1), so
`sqrt(8) = 2*2^(1/2)`; such monomials are linearly independent over Q (Besicovitch 1940), so a non-zero normal form in
symbols, roots and i is a non-zero value, and `zero` decides both ways. Functions of normal forms are opaque
atoms, if `rewards.math_checker.transcendental` does not resolve them: equality is still proven by cancellation,
inequality is not, and `Undecided` is raised.
Every operation is paid from a budget of terms and bits; past it `Undecided` is raised, never a long computation begun.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from rewards.math_checker.poly import (
    MAX_BITS,
    ONE,
    UNIT,
    Budget,
    Ratio,
    Undecided,
    add,
    constant,
    frozen,
    monomial_root,
    multiply,
    rational,
    subtract,
    term_power,
    tidy,
)
from rewards.math_checker.transcendental import CIRCULAR, circular, exponential, general_power, logarithm

Node = tuple[Any, ...]


_MAX_POWER = 24


def normal_form(node: Node, budget: Budget) -> Ratio:
    """The normal form of an expression tree. Raises `Undecided` on nodes or sizes outside the method."""
    budget.pay(1)
    kind = node[0]
    if kind == "num":
        return constant(node[1])
    if kind == "sym":
        budget.pay(len(node[1]) // 8)
        return {((("x " + node[1]), Fraction(1)),): Fraction(1)}, UNIT
    if kind == "const" and node[1] in ("pi", "e", "i"):
        return {((node[1], Fraction(1)),): Fraction(1)}, UNIT
    if kind == "add":
        total = normal_form(node[1][0], budget)
        for item in node[1][1:]:
            total = add(total, normal_form(item, budget), budget)
        return total
    if kind == "mul":
        total = normal_form(node[1][0], budget)
        for item in node[1][1:]:
            total = multiply(total, normal_form(item, budget), budget)
        return total
    if kind == "pow":
        return power(normal_form(node[1], budget), normal_form(node[2], budget), budget)
    if kind == "fn":
        return _function(node, budget)
    raise Undecided(kind)


def zero(value: Ratio) -> bool:
    """Whether the value is zero. Raises `Undecided` if it is not in normal form zero but has opaque atoms."""
    if not value[0]:
        return True
    atoms = {atom for poly in value for monomial in poly for atom, _ in monomial}
    if any(atom.startswith("opaque") for atom in atoms) or ("e" in atoms and "pi" in atoms):
        raise Undecided("opaque atoms")
    return False


def equal(a: Node, b: Node, budget: Budget) -> bool:
    """Whether two expressions are the same function. Raises `Undecided` if this method cannot tell."""
    left, right = normal_form(a, budget), normal_form(b, budget)
    return zero(subtract(left, right, budget))


def power(base: Ratio, exponent: Ratio, budget: Budget) -> Ratio:
    """base ** exponent: whole powers by multiplication, rational powers of one term by its factors, else opaque."""
    exact = rational(exponent)
    if exact is None:
        known = rational(base)
        if known == 1:
            return constant(Fraction(1))
        return general_power(base, exponent, budget) or _opaque("pow", (base, exponent), budget)
    if exact.denominator == 1:
        return _whole_power(base, exact.numerator, budget)
    if len(base[0]) == 1 and len(base[1]) == 1 and ONE in base[1]:
        ((monomial, coefficient),) = base[0].items()
        root = monomial_root(monomial, coefficient / base[1][ONE], exact, budget)
        if root is not None:
            return root
    if not base[0] and exact > 0:
        return {}, UNIT
    return _opaque("pow", (base, exponent), budget)


def _opaque(name: str, arguments: tuple[Ratio, ...], budget: Budget) -> Ratio:
    atom = budget.atom(name, tuple(frozen(argument, budget) for argument in arguments))
    return {((atom, Fraction(1)),): Fraction(1)}, UNIT


def _function(node: Node, budget: Budget) -> Ratio:
    name = node[1]
    if name in ("det", "pmod", "mod", "bmod"):
        raise Undecided(name)
    arguments = tuple(normal_form(argument, budget) for argument in node[2])
    if name == "percent":
        return multiply(arguments[0], constant(Fraction(1, 100)), budget)
    if name == "degree":
        return multiply(arguments[0], ({(("pi", Fraction(1)),): Fraction(1, 180)}, UNIT), budget)
    exact = [rational(argument) for argument in arguments]
    if name == "oddroot" and exact[1]:
        negative = exact[0] is not None and exact[0] < 0
        inner = multiply(arguments[0], constant(Fraction(-1 if negative else 1)), budget)
        root = power(inner, constant(1 / exact[1]), budget)
        return multiply(root, constant(Fraction(-1)), budget) if negative else root
    if name == "exp":
        return exponential(arguments[0], budget)
    if name in CIRCULAR and arguments[0][1] == UNIT:
        return circular(name, arguments[0], budget)
    if name in ("ln", "log", "lg"):
        return _logarithm(name, arguments, budget)
    if any(value is None for value in exact):
        return _opaque(name, arguments, budget)
    return _of_rationals(name, [value for value in exact if value is not None], arguments, budget)


def _logarithm(name: str, arguments: tuple[Ratio, ...], budget: Budget) -> Ratio:
    top = logarithm(arguments[0], budget) or _opaque("ln", arguments[:1], budget)
    if name == "ln" or (name == "log" and len(arguments) == 1):
        return top
    base = arguments[1] if len(arguments) > 1 else constant(Fraction(10))
    bottom = logarithm(base, budget) or _opaque("ln", (base,), budget)
    if not bottom[0]:
        raise Undecided("logarithm to the base 1")
    return multiply(top, tidy(bottom[1], bottom[0], budget), budget)


def _of_rationals(name: str, values: list[Fraction], arguments: tuple[Ratio, ...], budget: Budget) -> Ratio:
    """Functions that keep rationals rational; others stay opaque."""
    first = values[0]
    if name == "abs":
        return constant(abs(first))
    if name in ("floor", "ceil"):
        return constant(Fraction(math.floor(first) if name == "floor" else math.ceil(first)))
    if name in ("max", "min"):
        return constant(max(values) if name == "max" else min(values))
    whole = all(value.denominator == 1 and value >= 0 for value in values)
    if name in ("gcd", "lcm") and whole:
        numbers = [value.numerator for value in values]
        return constant(Fraction(math.gcd(*numbers) if name == "gcd" else math.lcm(*numbers[:20])))
    if name == "factorial" and whole:
        bits = first.numerator * max(1, first.numerator.bit_length())
        if first > MAX_BITS or bits > MAX_BITS:
            raise Undecided("factorial too large")
        budget.pay(bits // 20)
        return constant(Fraction(math.factorial(first.numerator)))
    if name == "binom" and whole:
        if first.numerator.bit_length() > 64 or values[1] > 500 or first > MAX_BITS:
            raise Undecided("binomial too large")
        budget.pay(int(values[1]) + 1)
        return constant(Fraction(math.comb(first.numerator, values[1].numerator)))
    return _opaque(name, arguments, budget)


def _whole_power(base: Ratio, exponent: int, budget: Budget) -> Ratio:
    if exponent < 0:
        if not base[0]:
            raise Undecided("division by zero")
        return _whole_power(tidy(base[1], base[0], budget), -exponent, budget)
    if len(base[0]) == 1 and len(base[1]) == 1:
        ((monomial, coefficient),) = base[0].items()
        if ONE in base[1]:
            return term_power(monomial, coefficient / base[1][ONE], exponent, budget)
    if exponent > _MAX_POWER:
        return _power_of_sum(base, exponent, budget)
    result: Ratio = (UNIT, UNIT)
    for _ in range(exponent):
        result = multiply(result, base, budget)
    return result


def _power_of_sum(base: Ratio, exponent: int, budget: Budget) -> Ratio:
    """A high power of a sum, whose first coefficient is taken out: `(a - x)^{6000}` is `(x - a)^{6000}`."""
    result: Ratio = (UNIT, UNIT)
    for poly, sign in zip(base, (1, -1), strict=True):
        first = poly[min(poly)]
        scaled = {monomial: coefficient / first for monomial, coefficient in poly.items()}
        budget.pay(4 * len(poly))
        if scaled == UNIT:
            part: Ratio = (UNIT, UNIT)
        else:
            part = (
                {((budget.atom("sum", frozen((scaled, UNIT), budget)), Fraction(sign * exponent)),): Fraction(1)},
                UNIT,
            )
        outside, _ = term_power(ONE, first**sign, exponent, budget)
        result = multiply(result, multiply(part, (outside, UNIT), budget), budget)
    return result

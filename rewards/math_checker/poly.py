"""Sparse polynomials over Q whose monomials keep roots of primes and i reduced, with every operation paid for.

A polynomial maps monomials to rationals; a monomial is a sorted tuple of `(atom, exponent)`. The atom `p2` is the prime
2, with an exponent in [0, 1); `i` has exponent 0 or 1. `Undecided` is raised before a long computation begins.
"""

from __future__ import annotations

import math
from fractions import Fraction

Monomial = tuple[tuple[str, Fraction], ...]
Poly = dict[Monomial, Fraction]
Ratio = tuple[Poly, Poly]

MAX_BITS = 40_000
CALLER_UNITS = 40_000
WORKER_UNITS = 400_000
ONE: Monomial = ()
UNIT: Poly = {ONE: Fraction(1)}
_MAX_TERMS = 120
_MAX_EXPONENT_BITS = 512
_PRIME_LIMIT = 2_000


class Undecided(Exception):  # noqa: N818 (an outcome, not an error)
    """This method cannot tell; a stronger one may."""


class Budget:
    """What the comparisons of one verdict may spend together; a unit is about a microsecond on an ordinary core.

    It also names the opaque atoms: the same function of the same normal forms has the same short name.
    """

    def __init__(self, units: int = CALLER_UNITS) -> None:
        self.units = units
        self.names: dict[object, str] = {}

    def pay(self, units: int) -> None:
        """Takes `units`; raises `Undecided` when they are spent."""
        self.units -= units
        if self.units < 0:
            raise Undecided("budget spent")

    def atom(self, kind: str, key: object) -> str:
        """The name of the opaque atom `kind` of `key`."""
        return self.names.setdefault((kind, key), f"opaque {kind} {len(self.names)}")


def frozen(value: Ratio, budget: Budget) -> object:
    """A normal form as a key that can be hashed."""
    budget.pay(4 * sum(1 + len(monomial) for poly in value for monomial in poly))
    return tuple(tuple(sorted(poly.items())) for poly in value)


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _cost(bits: int) -> int:
    """Of one operation on rationals of so many bits: a greatest common divisor is quadratic in them."""
    return 3 + bits // 200 + bits * bits // 500_000


def sum_of(a: Poly, b: Poly, budget: Budget) -> Poly:
    budget.pay(1 + (len(a) + len(b)) // 4)
    result = dict(a)
    for monomial, coefficient in b.items():
        known = result.get(monomial)
        if known is None:
            result[monomial] = coefficient
            continue
        budget.pay(_cost(_bits(known) + _bits(coefficient)))
        total = known + coefficient
        if total:
            result[monomial] = total
        else:
            del result[monomial]
    if len(result) > _MAX_TERMS:
        raise Undecided("too many terms")
    return result


def times(a: Poly, b: Poly, budget: Budget) -> Poly:
    if a == UNIT:
        return b
    if b == UNIT:
        return a
    if len(a) * len(b) > _MAX_TERMS * 8:
        raise Undecided("too many terms")
    result: Poly = {}
    for left, x in a.items():
        for right, y in b.items():
            bits = _bits(x) + _bits(y)
            budget.pay(_cost(bits) + 4 * (len(left) + len(right)))
            if bits > MAX_BITS * 2:
                raise Undecided("number too large")
            monomial, factor = join(left, right) if left and right else (left or right, 1)
            product = x * y * factor if factor != 1 else x * y
            total = result.get(monomial, 0) + product
            if total:
                result[monomial] = Fraction(total)
            else:
                result.pop(monomial, None)
    if len(result) > _MAX_TERMS:
        raise Undecided("too many terms")
    return result


def join(left: Monomial, right: Monomial) -> tuple[Monomial, Fraction | int]:
    """The product of two monomials, with what whole powers of primes and of i leave as a factor."""
    exponents = dict(left)
    for atom, exponent in right:
        exponents[atom] = exponents.get(atom, Fraction(0)) + exponent
    factor: Fraction | int = 1
    for atom in [atom for atom in exponents if atom == "i" or (atom[0] == "p" and atom[1].isdigit())]:
        whole = exponents[atom] // (2 if atom == "i" else 1)
        exponents[atom] -= whole * (2 if atom == "i" else 1)
        factor *= Fraction(-1) ** (int(whole) % 2) if atom == "i" else Fraction(int(atom[1:])) ** int(whole)
    return tuple(sorted((atom, exponent) for atom, exponent in exponents.items() if exponent)), factor


def tidy(top: Poly, bottom: Poly, budget: Budget) -> Ratio:
    """Moves a one-term denominator into the numerator."""
    if not bottom:
        raise Undecided("division by zero")
    if bottom == UNIT or len(bottom) > 1:
        return top, bottom
    ((monomial, coefficient),) = bottom.items()
    inverse, factor = join(tuple((atom, -exponent) for atom, exponent in monomial), ())
    return times(top, {inverse: Fraction(factor) / coefficient}, budget), UNIT


def small_exponent(exponent: Fraction) -> Fraction:
    """The exponent; `Undecided` where its own digits would make the arithmetic of monomials slow."""
    if _bits(exponent) > _MAX_EXPONENT_BITS:
        raise Undecided("exponent has too many digits")
    return exponent


def term_power(monomial: Monomial, coefficient: Fraction, exponent: int, budget: Budget) -> Ratio:
    bits = 0 if abs(coefficient) == 1 else _bits(coefficient) * exponent
    roots = [(int(a[1:]), e) for a, e in monomial if a[0] == "p" and a[1].isdigit()]
    bits += sum(math.ceil(abs(e) * exponent) * prime.bit_length() for prime, e in roots)
    if bits > MAX_BITS:
        raise Undecided("power too large")
    budget.pay(1 + bits // 20 + 4 * len(monomial) + sum(_cost(_bits(power)) for _, power in monomial))
    raised, factor = join(tuple((atom, small_exponent(power * exponent)) for atom, power in monomial), ())
    return {raised: coefficient**exponent * factor}, UNIT


def factor_rational(value: Fraction, budget: Budget) -> dict[int, int] | None:
    """Prime exponents of a positive rational by trial division, or None where a factor may be composite."""
    exponents: dict[int, int] = {}
    for number, sign in ((value.numerator, 1), (value.denominator, -1)):
        if number.bit_length() > 200:
            return None
        prime = 2
        while prime * prime <= number and prime < _PRIME_LIMIT:
            while number % prime == 0:
                exponents[prime] = exponents.get(prime, 0) + sign
                number //= prime
            prime += 1 if prime == 2 else 2
        budget.pay(prime // 8)
        if number > 1 and number >= _PRIME_LIMIT**2:
            return None
        if number > 1:
            exponents[number] = exponents.get(number, 0) + sign
    return exponents


def monomial_root(monomial: Monomial, coefficient: Fraction, exponent: Fraction, budget: Budget) -> Ratio | None:
    """(coefficient * monomial) ** exponent if that is a product of roots of primes and of one bare atom."""
    if len(monomial) > 1 or (monomial and (coefficient != 1 or monomial[0][1] != 1 or monomial[0][0] == "i")):
        return None
    if monomial and monomial[0][0].startswith("opaque exp"):
        return None
    imaginary = coefficient < 0
    if imaginary and exponent.denominator != 2:
        return None
    primes = factor_rational(abs(coefficient), budget)
    if primes is None or abs(exponent) * max((abs(e) for e in primes.values()), default=0) > 500:
        return None
    small_exponent(exponent)
    atoms = {f"p{prime}": power * exponent for prime, power in primes.items()}
    if imaginary:
        atoms["i"] = Fraction(exponent.numerator % 4)
    if monomial:
        atoms[monomial[0][0]] = exponent
    joined, factor = join(tuple(sorted(atoms.items())), ())
    return {joined: Fraction(factor)}, UNIT


def rational(value: Ratio) -> Fraction | None:
    """The value as a rational number, if it is one."""
    if not value[0]:
        return Fraction(0)
    if len(value[0]) == 1 and len(value[1]) == 1 and ONE in value[0] and ONE in value[1]:
        return value[0][ONE] / value[1][ONE]
    return None


def subtract(a: Ratio, b: Ratio, budget: Budget) -> Ratio:
    return add(a, ({m: -c for m, c in b[0].items()}, b[1]), budget)


def add(a: Ratio, b: Ratio, budget: Budget) -> Ratio:
    if a[1] == b[1]:
        return sum_of(a[0], b[0], budget), a[1]
    top = sum_of(times(a[0], b[1], budget), times(b[0], a[1], budget), budget)
    return tidy(top, times(a[1], b[1], budget), budget)


def multiply(a: Ratio, b: Ratio, budget: Budget) -> Ratio:
    return tidy(times(a[0], b[0], budget), times(a[1], b[1], budget), budget)


def constant(value: Fraction) -> Ratio:
    return ({ONE: value} if value else {}), UNIT

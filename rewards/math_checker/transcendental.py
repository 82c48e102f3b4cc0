"""Normal forms of exponentials, logarithms and circular functions, so that their identities become polynomial ones.

Method: `e^(c*m)` is the atom of the monomial `m` with exponent `c`, so sums in an exponent are products of atoms; sine
and cosine are written with `e^(i*x)` (Euler), and at multiples of pi/12 with their surds; `a^x` is a product over the
primes of `a`; logarithms of products are sums over their factors. All of these atoms are opaque: they prove equality,
never inequality. Left out: inverse functions and other rational multiples of pi, which stay opaque as a whole.
"""

from __future__ import annotations

from fractions import Fraction

from rewards.math_checker.poly import (
    ONE,
    UNIT,
    Budget,
    Monomial,
    Poly,
    Ratio,
    Undecided,
    add,
    constant,
    factor_rational,
    join,
    multiply,
    small_exponent,
    subtract,
    tidy,
    times,
)

_PI: Monomial = (("pi", Fraction(1)),)
_I_PI: Monomial = (("i", Fraction(1)), ("pi", Fraction(1)))
_I: Ratio = ({(("i", Fraction(1)),): Fraction(1)}, UNIT)
_HALF = Fraction(1, 2)
_ROOT = {n: ((f"p{n}", _HALF),) for n in (2, 3)}
_ROOT_6: Monomial = (("p2", _HALF), ("p3", _HALF))
# cos(k * pi / 12) for k = 0 … 6
_COSINES: tuple[Poly, ...] = (
    {ONE: Fraction(1)},
    {_ROOT[2]: Fraction(1, 4), _ROOT_6: Fraction(1, 4)},
    {_ROOT[3]: _HALF},
    {_ROOT[2]: _HALF},
    {ONE: _HALF},
    {_ROOT[2]: Fraction(-1, 4), _ROOT_6: Fraction(1, 4)},
    {},
)
CIRCULAR = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch"})


def exponential(exponent: Ratio, budget: Budget) -> Ratio:
    """e ** exponent for an exponent that is a polynomial."""
    if exponent[1] != UNIT:
        raise Undecided("exponent with a denominator")
    result: Ratio = (UNIT, UNIT)
    for monomial, coefficient in exponent[0].items():
        if monomial == _I_PI and (12 * coefficient).denominator == 1:
            factor = _root_of_unity(int(12 * coefficient), budget)
        else:
            atom = "e" if monomial == ONE else budget.atom("exp", monomial)
            factor = ({((atom, small_exponent(coefficient)),): Fraction(1)}, UNIT)
        result = multiply(result, factor, budget)
    return result


def circular(name: str, angle: Ratio, budget: Budget) -> Ratio:
    """A circular or hyperbolic function of a polynomial angle."""
    hyperbolic = name.endswith("h")
    turn = angle if hyperbolic else multiply(angle, _I, budget)
    forward = exponential(turn, budget)
    backward = exponential(({m: -c for m, c in turn[0].items()}, turn[1]), budget)
    cosine = multiply(add(forward, backward, budget), constant(_HALF), budget)
    sine = multiply(subtract(forward, backward, budget), constant(_HALF), budget)
    if not hyperbolic:
        sine = _divide(sine, _I, budget)
    one: Ratio = (UNIT, UNIT)
    top, bottom = {
        "sin": (sine, one), "cos": (cosine, one), "tan": (sine, cosine), "cot": (cosine, sine), "sec": (one, cosine),
        "csc": (one, sine),
    }[name.removesuffix("h")]  # fmt: skip
    return _divide(top, bottom, budget)


def logarithm(value: Ratio, budget: Budget) -> Ratio | None:
    """ln of one positive term, as the sum over its factors; None if the value is no such term."""
    if len(value[0]) != 1 or value[1] != UNIT:
        return None
    ((monomial, coefficient),) = value[0].items()
    primes = factor_rational(coefficient, budget) if coefficient > 0 else None
    if primes is None or any(atom.startswith(("opaque", "i")) for atom, _ in monomial):
        return None
    total: Ratio = constant(Fraction(0))
    exponents: dict[str, Fraction] = {f"p{prime}": Fraction(power) for prime, power in primes.items()}
    for atom, exponent in monomial:
        exponents[atom] = exponents.get(atom, Fraction(0)) + exponent
    for atom, exponent in exponents.items():
        part: Monomial = ONE if atom == "e" else ((f"opaque ln {atom}", Fraction(1)),)
        total = add(total, ({part: exponent}, UNIT), budget)
    return total


def general_power(base: Ratio, exponent: Ratio, budget: Budget) -> Ratio | None:
    """base ** exponent for a positive rational or a symbol as base and a polynomial exponent; None otherwise."""
    if len(base[0]) != 1 or base[1] != UNIT or exponent[1] != UNIT:
        return None
    ((monomial, coefficient),) = base[0].items()
    primes = factor_rational(coefficient, budget) if coefficient > 0 else None
    if primes is None or len(monomial) > 1 or (monomial and (coefficient != 1 or monomial[0][1] != 1)):
        return None
    if monomial == (("e", Fraction(1)),):
        return exponential(exponent, budget)
    atoms = {f"p{prime}": power for prime, power in primes.items()} if not monomial else {monomial[0][0]: 1}
    if any(atom.startswith(("opaque", "i")) or abs(power) > 500 for atom, power in atoms.items()):
        return None
    result: Ratio = (UNIT, UNIT)
    for part, scale in exponent[0].items():
        for atom, power in atoms.items():
            if part == ONE and abs(scale * power) > 500:
                raise Undecided("power too large")
            name = atom if part == ONE else budget.atom("pow", (atom, part))
            joined, factor = join(((name, small_exponent(scale * power)),), ())
            result = multiply(result, ({joined: Fraction(factor)}, UNIT), budget)
    return result


def _root_of_unity(twelfths: int, budget: Budget) -> Ratio:
    """e ** (i * pi * twelfths / 12)."""
    imaginary = times(_cosine(twelfths - 6), _I[0], budget)
    return add((_cosine(twelfths), UNIT), (imaginary, UNIT), budget)


def _cosine(twelfths: int) -> Poly:
    step = min(twelfths % 24, -twelfths % 24)
    return _COSINES[step] if step <= 6 else {m: -c for m, c in _COSINES[12 - step].items()}


def _divide(top: Ratio, bottom: Ratio, budget: Budget) -> Ratio:
    if not bottom[0]:
        raise Undecided("division by zero")
    return multiply(top, tidy(bottom[1], bottom[0], budget), budget)

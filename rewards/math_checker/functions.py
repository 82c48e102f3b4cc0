"""The named functions of answers in complex floating point, each with a bound of its absolute error.

A value is `(complex, error)`. `Undecided` is raised where the bound is lost; `NotRealError`, one of them, where `real`
is asked for and the function leaves the real numbers: a root or logarithm of a negative number, an arcsine beyond 1.
"""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Callable

from rewards.math_checker.poly import Undecided

Value = tuple[complex, float]

EPS = 2.0**-50
ONE: Value = (1 + 0j, 0.0)
_MINUS_ONE: Value = (-1 + 0j, 0.0)


class NotRealError(Undecided):
    """A real evaluation left the real numbers."""


def multiply(a: Value, b: Value) -> Value:
    """a * b."""
    value = a[0] * b[0]
    return value, abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1] + 3 * abs(value) * EPS


def _plus(a: Value, b: Value, sign: int = 1) -> Value:
    return a[0] + sign * b[0], a[1] + b[1] + (abs(a[0]) + abs(b[0])) * EPS


def _relative(value: Value) -> float:
    if abs(value[0]) <= 4 * value[1]:
        raise Undecided("may be zero")
    return value[1] / abs(value[0])


def power(base: Value, exponent: Value, real: bool = False) -> Value:
    """base ** exponent, the principal value."""
    if base[0] == 0 and base[1] == 0:
        if exponent[0].real > 4 * exponent[1]:
            return 0j, 0.0
        raise Undecided("power of zero")
    relative = _relative(base)
    whole = exponent[0].imag == 0 and exponent[0].real == round(exponent[0].real)
    if not whole and base[0].real < 0:
        if real:
            raise NotRealError("root of a negative number")
        if abs(base[0].imag) <= 4 * base[1] and base[0].imag != 0:
            raise Undecided("branch cut")
    value = from_above(base[0]) ** exponent[0]
    if real:
        value = complex(value.real)
    slack = abs(exponent[0]) * relative + (abs(cmath.log(base[0])) + 1) * (exponent[1] + abs(exponent[0]) * EPS)
    if slack > 1e-3:
        raise Undecided("bound lost")
    return value, abs(value) * (2 * slack + 8 * EPS)


def from_above(x: complex) -> complex:
    """A real number with the imaginary part +0.0: on the branch cut, -0.0 would choose the other side."""
    return complex(x.real, 0.0) if x.imag == 0 else x


def apply(name: str, arguments: list[Value], real: bool = False) -> Value:
    """The function `name` of its arguments."""
    if name in _RECIPROCALS:
        return power(apply(_RECIPROCALS[name], arguments, real), _MINUS_ONE)
    if name in _OF_RECIPROCAL:
        return apply(_OF_RECIPROCAL[name], [power(arguments[0], _MINUS_ONE)], real)
    if len(arguments) == 1 and name in _SMOOTH:
        return _smooth(name, arguments[0])
    if len(arguments) == 1 and name in _INVERSE:
        return _inverse(name, arguments[0], real)
    if name in _OTHERS:
        return _OTHERS[name](arguments, real)
    if name.startswith("call "):
        return _unknown(name, arguments)
    raise Undecided(name)


def _unknown(name: str, arguments: list[Value]) -> Value:
    """A generic smooth function in the place of one that has only a name: what differs for it differs for most."""
    total: Value = (complex(zlib.crc32(name.encode()) % 9973 / 997), 0.0)
    for index, argument in enumerate(arguments):
        total = _plus(total, multiply((complex(1.37 + 0.71 * index), 0.0), argument))
    return _smooth("sin", total)


Pair = tuple[Callable[[complex], complex], Callable[[complex], complex]]
_SMOOTH: dict[str, Pair] = {
    "sin": (cmath.sin, cmath.cos),
    "cos": (cmath.cos, cmath.sin),
    "tan": (cmath.tan, lambda x: 1 / cmath.cos(x) ** 2),
    "exp": (cmath.exp, cmath.exp),
    "sinh": (cmath.sinh, cmath.cosh),
    "cosh": (cmath.cosh, cmath.sinh),
    "tanh": (cmath.tanh, lambda x: 1 / cmath.cosh(x) ** 2),
    "arctan": (cmath.atan, lambda x: 1 / (1 + x * x)),
    "arcsinh": (cmath.asinh, lambda x: 1 / cmath.sqrt(1 + x * x)),
    "degree": (lambda x: x * math.pi / 180, lambda x: math.pi / 180),
    "percent": (lambda x: x / 100, lambda x: 0.01),
}
# With the interval on which they are real.
_INVERSE: dict[str, tuple[Pair, float, float]] = {
    "arcsin": ((cmath.asin, lambda x: 1 / cmath.sqrt(1 - x * x)), -1.0, 1.0),
    "arccos": ((cmath.acos, lambda x: 1 / cmath.sqrt(1 - x * x)), -1.0, 1.0),
    "arccosh": ((cmath.acosh, lambda x: 1 / cmath.sqrt(x * x - 1)), 1.0, math.inf),
    "arctanh": ((cmath.atanh, lambda x: 1 / (1 - x * x)), -1.0, 1.0),
}
_RECIPROCALS = {"sec": "cos", "csc": "sin", "cot": "tan", "sech": "cosh", "csch": "sinh", "coth": "tanh"}
_OF_RECIPROCAL = {
    "arcsec": "arccos", "arccsc": "arcsin", "arccot": "arctan", "arcsech": "arccosh", "arccsch": "arcsinh",
    "arccoth": "arctanh",
}  # fmt: skip


def _smooth(name: str, argument: Value) -> Value:
    (x, error), (function, slope) = argument, _SMOOTH[name]
    if error > 1e-4 or abs(x) > 1e6:
        raise Undecided("bound lost")
    value, steep = function(x), abs(slope(x))
    return value, 2 * steep * error + error * error + 16 * EPS * (abs(value) + steep * abs(x))


def _inverse(name: str, argument: Value, real: bool) -> Value:
    (x, error), ((function, slope), low, high) = argument, _INVERSE[name]
    near = min(abs(x - end) for end in (low, high) if math.isfinite(end))
    if near <= 1e-9 + 16 * error:
        raise Undecided("at the end of the interval")
    if x.imag != 0 and abs(x.imag) <= 4 * error:
        raise Undecided("branch cut")
    if real and not low < x.real < high:
        raise NotRealError(name)
    value, steep = function(from_above(x)), abs(slope(x))
    return value, 4 * steep * error + 16 * EPS * (abs(value) + steep * abs(x))


def _logarithm(arguments: list[Value], real: bool) -> Value:
    x, error = arguments[0]
    relative = _relative((x, error))
    if x.real < 0 and real:
        raise NotRealError("logarithm of a negative number")
    if x.real < 0 and abs(x.imag) <= 4 * error and x.imag != 0:
        raise Undecided("branch cut")
    found = cmath.log(from_above(x))
    value: Value = (found, 2 * relative + 8 * EPS * (1 + abs(found)))
    if len(arguments) == 1:
        return value
    return multiply(value, power(_logarithm([arguments[1]], real), _MINUS_ONE))


def _absolute(arguments: list[Value], real: bool) -> Value:
    x, error = arguments[0]
    return complex(abs(x)), error + abs(x) * EPS


def _odd_root(arguments: list[Value], real: bool) -> Value:
    x, error = arguments[0]
    negative = x.imag == 0 and x.real < 0
    root = power((-x if negative else x, error), power(arguments[1], _MINUS_ONE))
    return (-root[0] if negative else root[0]), root[1]


def _whole_part(arguments: list[Value], up: bool) -> Value:
    x, error = arguments[0]
    if x.imag or abs(x) > 1e12 or (error and abs(x.real - round(x.real)) <= 4 * error + 1e-12):
        raise Undecided("at a step")
    return complex(math.ceil(x.real) if up else math.floor(x.real)), 0.0


def _extreme(arguments: list[Value], largest: bool) -> Value:
    if any(x.imag for x, _ in arguments):
        raise Undecided("order of complex numbers")
    choose = max if largest else min
    return complex(choose(x.real for x, _ in arguments)), max(error for _, error in arguments)


def _remainder(arguments: list[Value], real: bool) -> Value:
    quotient = multiply(arguments[0], power(arguments[1], _MINUS_ONE))
    return _plus(arguments[0], multiply(arguments[1], _whole_part([quotient], up=False)), -1)


def _gamma(argument: Value) -> Value:
    """The factorial, and between the whole numbers its continuation Γ(x + 1)."""
    x, error = argument
    if x.imag or not -0.5 < x.real < 150 or error > 1e-6:
        raise Undecided("factorial")
    value = math.gamma(x.real + 1)
    return complex(value), abs(value) * (8 * error * (2 + math.log(2 + abs(x.real))) + 64 * EPS)


def _double_factorial(arguments: list[Value], real: bool) -> Value:
    number = round(arguments[0][0].real)
    if arguments[0][0] != number or not 0 <= number <= 150:
        raise Undecided("double factorial")
    value = float(math.prod(range(number, 0, -2)))
    return complex(value), value * EPS * 4


def _binomial(arguments: list[Value], real: bool) -> Value:
    rest = _gamma(_plus(arguments[0], arguments[1], -1))
    return multiply(_gamma(arguments[0]), power(multiply(_gamma(arguments[1]), rest), _MINUS_ONE))


def _whole(name: str, arguments: list[Value]) -> Value:
    numbers = [round(x.real) for x, _ in arguments]
    if any(x != n or abs(n) > 1e12 for (x, _), n in zip(arguments, numbers, strict=True)):
        raise Undecided("not whole")
    return complex(math.gcd(*numbers) if name == "gcd" else math.lcm(*numbers)), 0.0


_OTHERS: dict[str, Callable[[list[Value], bool], Value]] = {
    "ln": _logarithm,
    "log": _logarithm,
    "lg": lambda arguments, real: _logarithm([arguments[0], (10 + 0j, 0.0)], real),
    "abs": _absolute,
    "oddroot": _odd_root,
    "floor": lambda arguments, real: _whole_part(arguments, up=False),
    "ceil": lambda arguments, real: _whole_part(arguments, up=True),
    "max": lambda arguments, real: _extreme(arguments, largest=True),
    "min": lambda arguments, real: _extreme(arguments, largest=False),
    "mod": _remainder,
    "bmod": _remainder,
    "factorial": lambda arguments, real: _gamma(arguments[0]),
    "factorial2": _double_factorial,
    "binom": _binomial,
    "gcd": lambda arguments, real: _whole("gcd", arguments),
    "lcm": lambda arguments, real: _whole("lcm", arguments),
}

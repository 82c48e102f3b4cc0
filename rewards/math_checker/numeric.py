"""Floating-point values of expression trees with error bounds: enough to prove two answers different, never equal.

Method: running error analysis on complex doubles (Higham, Accuracy and Stability of Numerical Algorithms, ch. 3), at
fixed generic points for the symbols. `Undecided` is raised where a bound is lost: overflow, a branch cut, a step of
floor, or a function that is not here.
"""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Callable
from typing import Any

from rewards.math_checker.poly import Undecided

Node = tuple[Any, ...]
Value = tuple[complex, float]

_EPS = 2.0**-50
_MARGIN = 1e-9
_CONSTANTS = {"pi": math.pi, "e": math.e, "i": 1j}


def surely_different(a: Node, b: Node) -> bool:
    """Whether the two expressions differ at a generic positive point by more than all rounding. Never wrongly true.

    Where one of two functions is not real at the point, they may still agree wherever both are.
    """
    try:
        (x, x_error), (y, y_error) = evaluate(a), evaluate(b)
    except (OverflowError, ZeroDivisionError, ValueError, Undecided, RecursionError):
        return False
    if (x.imag != 0) != (y.imag != 0) and _has_odd_root((a, b)):
        return False
    gap = abs(x - y)
    return math.isfinite(gap) and gap > 4 * (x_error + y_error) + _MARGIN * max(abs(x), abs(y))


def _has_odd_root(tree: object) -> bool:
    return isinstance(tree, tuple) and (tree[:2] == ("fn", "oddroot") or any(_has_odd_root(child) for child in tree))


def real_value(node: Node) -> float | None:
    """The value as a float if it is a real number with a small error bound, else None."""
    try:
        value, error = evaluate(node)
    except (OverflowError, ZeroDivisionError, ValueError, Undecided):
        return None
    if not math.isfinite(error) or abs(value.imag) > error or error > _MARGIN * max(1.0, abs(value)):
        return None
    return value.real


def evaluate(node: Node, places: dict[str, float] | None = None) -> Value:
    """The value of a tree and a bound of its absolute error."""
    kind = node[0]
    if kind == "num":
        value = float(node[1])
        return complex(value), abs(value) * _EPS
    if kind == "sym":
        return complex(places[node[1]] if places else _point(node[1])), 0.0
    if kind == "const" and node[1] in _CONSTANTS:
        return complex(_CONSTANTS[node[1]]), _EPS
    if kind == "add":
        parts = [evaluate(item, places) for item in node[1]]
        size = sum(abs(value) for value, _ in parts)
        return sum(value for value, _ in parts), sum(error for _, error in parts) + size * _EPS * len(parts)
    if kind == "mul":
        result: Value = (1 + 0j, 0.0)
        for item in node[1]:
            result = _multiply(result, evaluate(item, places))
        return result
    if kind == "pow":
        return _power(evaluate(node[1], places), evaluate(node[2], places))
    if kind == "fn":
        return _apply(node[1], [evaluate(argument, places) for argument in node[2]])
    raise Undecided(kind)


def _point(name: str) -> float:
    """A generic place in (0.6, 1.9) for a symbol, the same in every process."""
    return 0.6 + 1.3 * (zlib.crc32(name.encode()) % 99_991) / 99_991


def _multiply(a: Value, b: Value) -> Value:
    value = a[0] * b[0]
    return value, abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1] + 3 * abs(value) * _EPS


def _relative(value: Value) -> float:
    if abs(value[0]) <= 4 * value[1]:
        raise Undecided("may be zero")
    return value[1] / abs(value[0])


def _power(base: Value, exponent: Value) -> Value:
    if base[0] == 0 and base[1] == 0:
        if exponent[0].real > 4 * exponent[1]:
            return 0j, 0.0
        raise Undecided("power of zero")
    relative = _relative(base)
    whole = exponent[0].imag == 0 and exponent[0].real == round(exponent[0].real)
    if not whole and base[0].real < 0 and abs(base[0].imag) <= 4 * base[1] and base[0].imag != 0:
        raise Undecided("branch cut")
    value = _from_above(base[0]) ** exponent[0]
    slack = abs(exponent[0]) * relative + (abs(cmath.log(base[0])) + 1) * (exponent[1] + abs(exponent[0]) * _EPS)
    if slack > 1e-3:
        raise Undecided("bound lost")
    return value, abs(value) * (2 * slack + 8 * _EPS)


def _log(x: complex) -> complex:
    return cmath.log(_from_above(x))


def _from_above(x: complex) -> complex:
    """A real number with the imaginary part +0.0: on the branch cut, -0.0 would choose the other side."""
    return complex(x.real, 0.0) if x.imag == 0 else x


_SMOOTH: dict[str, tuple[Callable[[complex], complex], Callable[[complex], complex]]] = {
    "sin": (cmath.sin, cmath.cos),
    "cos": (cmath.cos, cmath.sin),
    "tan": (cmath.tan, lambda x: 1 / cmath.cos(x) ** 2),
    "exp": (cmath.exp, cmath.exp),
    "sinh": (cmath.sinh, cmath.cosh),
    "cosh": (cmath.cosh, cmath.sinh),
    "tanh": (cmath.tanh, lambda x: 1 / cmath.cosh(x) ** 2),
    "arctan": (cmath.atan, lambda x: 1 / (1 + x * x)),
    "degree": (lambda x: x * math.pi / 180, lambda x: math.pi / 180),
    "percent": (lambda x: x / 100, lambda x: 0.01),
}
_RECIPROCALS = {"sec": "cos", "csc": "sin", "cot": "tan"}


def _apply(name: str, arguments: list[Value]) -> Value:
    if name in _RECIPROCALS:
        return _power(_apply(_RECIPROCALS[name], arguments), (-1 + 0j, 0.0))
    x, error = arguments[0]
    if name in _SMOOTH and len(arguments) == 1:
        function, slope = _SMOOTH[name]
        if error > 1e-4 or abs(x) > 1e6:
            raise Undecided("bound lost")
        value = function(x)
        return value, 2 * abs(slope(x)) * error + error * error + 16 * _EPS * (abs(value) + abs(slope(x) * x))
    if name in ("ln", "log", "lg"):
        return _logarithm(name, arguments)
    if name == "abs":
        return complex(abs(x)), error + abs(x) * _EPS
    if name == "oddroot":
        negative = x.imag == 0 and x.real < 0
        root = _power((-x if negative else x, error), _power(arguments[1], (-1 + 0j, 0.0)))
        return (-root[0] if negative else root[0]), root[1]
    if name in ("factorial", "binom"):
        return _counting(name, arguments)
    raise Undecided(name)


def _logarithm(name: str, arguments: list[Value]) -> Value:
    x, error = arguments[0]
    relative = _relative((x, error))
    if x.real < 0 and abs(x.imag) <= 4 * error and x.imag != 0:
        raise Undecided("branch cut")
    value: Value = (_log(x), 2 * relative + 8 * _EPS * (1 + abs(_log(x))))
    if len(arguments) == 1 and name != "lg":
        return value
    base = arguments[1] if len(arguments) > 1 else (10 + 0j, 0.0)
    return _multiply(value, _power(_logarithm("ln", [base]), (-1 + 0j, 0.0)))


def _counting(name: str, arguments: list[Value]) -> Value:
    numbers = [round(value.real) for value, _ in arguments]
    if any(value != number or number < 0 for (value, _), number in zip(arguments, numbers, strict=True)):
        raise Undecided("not whole")
    if numbers[0] > 150:
        raise Undecided("too large")
    result = float(math.factorial(numbers[0]) if name == "factorial" else math.comb(*numbers))
    return complex(result), result * _EPS * 4

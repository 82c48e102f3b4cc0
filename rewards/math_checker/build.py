"""From answer trees to sympy objects, with the size of every power, factorial and product estimated first.

Only named constructors are called; no text reaches sympy. `TooLarge` is raised before a computation whose result would
pass `MAX_BITS` bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

from rewards.math_checker.poly import Undecided

Node = tuple[Any, ...]

MAX_BITS = 2_000_000
_MAX_POLYNOMIAL_POWER = 200
_MAX_STEPS = 2_000


class TooLarge(Exception):  # noqa: N818 (an outcome, not an error)
    """A value would be beyond the bounds."""


_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "coth": sympy.coth, "arcsin": sympy.asin,
    "arccos": sympy.acos, "arctan": sympy.atan, "arccot": sympy.acot, "arcsec": sympy.asec, "arccsc": sympy.acsc,
    "arcsinh": sympy.asinh, "arccosh": sympy.acosh, "arctanh": sympy.atanh, "sech": sympy.sech,
    "csch": sympy.csch, "arcsech": sympy.asech, "arccsch": sympy.acsch, "arccoth": sympy.acoth,
    "ln": sympy.log, "abs": sympy.Abs,
    "exp": sympy.exp, "floor": sympy.floor, "ceil": sympy.ceiling, "gcd": sympy.gcd, "lcm": sympy.lcm,
    "max": sympy.Max, "min": sympy.Min, "mod": sympy.Mod, "bmod": sympy.Mod, "pmod": sympy.Mod,
}  # fmt: skip


def build(node: Node) -> Any:
    """The sympy object of a tree. Raises `TooLarge`, or `Undecided` on nodes that have none."""
    kind = node[0]
    if kind == "num":
        return sympy.Rational(node[1].numerator, node[1].denominator)
    if kind == "sym":
        return sympy.Symbol(node[1], real=True)
    if kind == "const" and node[1] in _CONSTANTS:
        return _CONSTANTS[node[1]]
    if kind == "add":
        return _fold([build(item) for item in node[1]], lambda a, b: a + b)
    if kind == "mul":
        return _fold([build(item) for item in node[1]], _product)
    if kind == "pow":
        return _power(build(node[1]), build(node[2]))
    if kind == "fn":
        return _function(node[1], [build(argument) for argument in node[2]])
    if kind == "matrix":
        return sympy.Matrix([[build(cell) for cell in row] for row in node[1]])
    if kind == "big":
        return _big(node)
    raise Undecided(kind)


def _fold(items: list[Any], combine: Callable[[Any, Any], Any]) -> Any:
    result = items[0]
    for item in items[1:]:
        result = combine(result, item)
    return result


def _product(a: Any, b: Any) -> Any:
    if isinstance(a, sympy.Rational) and isinstance(b, sympy.Rational) and _bits(a) + _bits(b) > MAX_BITS:
        raise TooLarge("product")
    return a * b


def _bits(value: Any) -> int:
    return int(value.p).bit_length() + int(value.q).bit_length()


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, sympy.MatrixBase):
        return _matrix_power(base, exponent)
    if isinstance(exponent, sympy.Rational):
        size = abs(exponent)
        if isinstance(base, sympy.Rational) and abs(base) not in (0, 1) and size * _bits(base) > MAX_BITS:
            raise TooLarge("power")
        if not base.is_number and size > _MAX_POLYNOMIAL_POWER and base.is_Add:
            raise TooLarge("power of a sum")
        if base.is_number and size > MAX_BITS:
            raise TooLarge("power")
    elif exponent.is_number and abs(sympy.N(exponent, 15)) > MAX_BITS:
        raise TooLarge("power")
    return base**exponent


def _matrix_power(base: Any, exponent: Any) -> Any:
    if exponent == sympy.Symbol("T", real=True):
        return base.T
    if not exponent.is_Integer or abs(exponent) > _MAX_POLYNOMIAL_POWER:
        raise TooLarge("power of a matrix")
    return base**exponent


def _function(name: str, arguments: list[Any]) -> Any:
    first = arguments[0]
    if name in ("factorial", "factorial2", "binom"):
        if any(argument.is_number and abs(sympy.N(argument, 15)) > MAX_BITS // 32 for argument in arguments):
            raise TooLarge(name)
        return {"factorial": sympy.factorial, "factorial2": sympy.factorial2, "binom": sympy.binomial}[name](*arguments)
    if name in ("log", "lg"):
        base = arguments[1] if len(arguments) > 1 else sympy.Integer(10) if name == "lg" else sympy.E
        return sympy.log(first, base) if base != sympy.E else sympy.log(first)
    if name == "oddroot":
        return _odd_root(first, arguments[1])
    if name == "percent":
        return first / 100
    if name == "degree":
        return first * sympy.pi / 180
    if name == "det":
        return first.det()
    if name in ("exp", "sinh", "cosh") and first.is_number and abs(sympy.N(first, 15)) > MAX_BITS:
        raise TooLarge(name)
    if name.startswith("call "):
        return sympy.Function(name[5:])(*arguments)
    if name not in _FUNCTIONS:
        raise Undecided(name)
    return _FUNCTIONS[name](*arguments)


def _odd_root(radicand: Any, index: Any) -> Any:
    """The real root of a real number or function."""
    if radicand.is_number:
        return sympy.real_root(radicand, index)
    return sympy.sign(radicand) * sympy.Abs(radicand) ** (1 / index)


def _big(node: Node) -> Any:
    """Sums, products, integrals and limits; sympy evaluates them later, inside the wall limit."""
    _, name, variable, low, high, body = node
    symbol = sympy.Symbol(variable, real=True)
    expression = build(body)
    if name == "lim":
        return sympy.limit(expression, symbol, build(low))
    if name == "int":
        bounds = symbol if low is None or high is None else (symbol, build(low), build(high))
        return sympy.Integral(expression, bounds)
    if low is None or high is None:
        raise Undecided("sum without bounds")
    start, end = build(low), build(high)
    if start.is_Integer and end.is_Integer and end - start > _MAX_STEPS and name == "prod":
        raise TooLarge("product")
    return (sympy.Sum if name == "sum" else sympy.Product)(expression, (symbol, start, end))

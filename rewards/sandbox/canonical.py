"""One text for all answers that Python calls equal: the wire form of a value, in any spelling, to a canonical text.

1, 1.0, True, Decimal("1.00") and Fraction(2, 2) become the same text, so do a set and a frozenset with the same
members; a list and a tuple do not. Comparing texts runs no method of a value, hashes nothing that a program chose into
a table of its own choices, and costs no more than the expected value is large: `Canonical` reads at most as many parts
of an answer as it was told to. Not covered: tolerances, and nan, which has the text of nan.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from rewards.sandbox import wire

_FAR_EXPONENT, _MANY_DIGITS = 1100, 5000  # every float lies within the first
_LONG_FRACTION = 20_000  # hexadecimal digits
_INFINITY = float("inf")
_SEQUENCES = {"l": "l", "t": "t", "s": "s", "fs": "s"}


def count_parts(raw: Any) -> int:
    """The number of values in a wire form, itself included."""
    if type(raw) is not list:
        return 1
    if raw[0] == "d":
        return 1 + sum(count_parts(part) for pair in raw[1:] for part in pair)
    return 1 + (sum(map(count_parts, raw[1:])) if raw[0] in _SEQUENCES else 0)


class Canonical:
    """Writes canonical texts of wire forms with at most `parts` values altogether. `strict`: True is not 1, and a
    bytearray not bytes."""

    def __init__(self, parts: int, strict: bool = False) -> None:
        self._parts, self._strict = parts, strict

    def text(self, raw: Any, depth: int = 0) -> str:
        """The text; `wire.WireError` for what is larger, deeper, malformed, or an object."""
        self._parts -= 1
        if self._parts < 0 or depth > wire.MAX_DEPTH:
            raise wire.WireError("more than was expected")
        if type(raw) is not list:
            return self._plain(raw)
        tag = raw[0] if raw else None
        if type(tag) is not str or len(raw) > self._parts + 4:
            raise wire.WireError("malformed, or more than was expected")
        if tag in _SEQUENCES:
            parts = [self.text(part, depth + 1) for part in raw[1:]]
        elif tag == "d":
            parts = [self._pair(pair, depth) for pair in raw[1:]]
        else:
            return self._scalar(raw)
        ordered = sorted(parts) if tag in ("s", "fs", "d") else parts
        return f"{_SEQUENCES.get(tag, tag)}{len(ordered)}({''.join(ordered)})"

    def _pair(self, pair: Any, depth: int) -> str:
        if type(pair) is not list or len(pair) != 2:
            raise wire.WireError("not a pair")
        return self.text(pair[0], depth + 1) + self.text(pair[1], depth + 1)

    def _plain(self, value: Any) -> str:
        if type(value) is str:
            return f"'{len(value)}:{value}"
        if value is None or (self._strict and type(value) is bool):
            return f"{value};"
        return number_text(value)

    def _scalar(self, raw: list[Any]) -> str:
        if raw[0] == "q" and sum(len(str(digits)) for digits in raw[1:]) > _LONG_FRACTION:
            raise wire.WireError("a fraction too long to reduce")
        try:
            value = wire.decode_scalar(raw)
        except (TypeError, ValueError, KeyError, ArithmeticError) as error:
            raise wire.WireError(f"malformed value: {error}") from None
        if isinstance(value, type):
            return f"T{value.__name__};"
        if isinstance(value, bytes | bytearray):
            return f"b{self._strict and raw[1]}{len(value)}:{value.hex()}"
        return number_text(value)


def number_text(value: complex | Decimal | Fraction) -> str:
    """The same text for numbers that are equal, however they are held: numerator and denominator."""
    if isinstance(value, complex):
        return number_text(value.real) + (f"j{number_text(value.imag)}" if value.imag != 0 else "")
    if isinstance(value, Decimal):
        if value.is_nan():  # also the signaling one, which may not even be compared
            return "nan;"
        _, digits, exponent = value.as_tuple()
        if value.is_finite() and any(digits) and (abs(int(exponent)) > _FAR_EXPONENT or len(digits) > _MANY_DIGITS):
            written = "".join(map(str, digits)).strip("0")  # too costly as a fraction: equal to the same decimal only
            return f"{'-' if value < 0 else ''}{written}e{value.adjusted()};"
    if value != value:
        return "nan;"
    if value in (_INFINITY, -_INFINITY):
        return "inf;" if value > 0 else "-inf;"
    numerator, denominator = value.as_integer_ratio() if value else (0, 1)
    return f"{numerator:x}/{denominator:x};"

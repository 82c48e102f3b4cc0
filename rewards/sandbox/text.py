"""Is the printed text the expected one: line by line and word by word, as LiveCodeBench compares.

Blanks and empty lines do not count, and on a line of numbers alone neither does how they are written: 3, 3.0 and 3e0
are equal, exactly, however many digits they have. With a tolerance, numbers that are not both integers may differ by
it. Linear in both texts. Not covered: order of lines and rounding, which APPS forgives; several right outputs.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

_INTEGER = re.compile(r"[+-]?[0-9]+")


def same_text(expected: str, printed: str, tolerance: float | None = None) -> bool:
    """Whether a program printed what was expected."""
    if expected == printed:
        return True
    wanted, got = _lines(expected), _lines(printed)
    return len(wanted) == len(got) and all(_same_line(w, g, tolerance) for w, g in zip(wanted, got, strict=True))


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.isspace()]


def _same_line(expected: str, printed: str, tolerance: float | None) -> bool:
    wanted, got = expected.split(), printed.split()
    if wanted == got:
        return True
    if len(wanted) != len(got):
        return False
    if tolerance is not None:
        return all(w == g or _close(w, g, tolerance) for w, g in zip(wanted, got, strict=True))
    try:
        return [_number(word) for word in wanted] == [_number(word) for word in got]
    except ArithmeticError:  # a word that is no number, or a signaling nan
        return False


def _number(word: str) -> Decimal:
    """A number as programs print it: no `1_000`, which Python reads too, and no digits of other scripts."""
    if "_" in word or not word.isascii():
        raise InvalidOperation
    return Decimal(word)


def _close(wanted: str, got: str, tolerance: float) -> bool:
    try:
        if _number(wanted) == _number(got):
            return True
        if _INTEGER.fullmatch(wanted) and _INTEGER.fullmatch(got):
            return False
        return math.isclose(float(wanted), float(got), rel_tol=tolerance, abs_tol=tolerance)
    except (ArithmeticError, ValueError):
        return False

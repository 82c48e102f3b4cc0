"""Does what the program returned equal what the test expects: plain data, strict types, no code of the program
involved.

The comparison walks the *expected* value and looks at the undecoded answer beside it, so the answer can neither bring a
method of its own nor cost more than the expected value is large. Rules of `same`: True and 1 differ; 1 and 1.0 are
equal, as in Python; nan equals nan; an expected list accepts a tuple, which JSON cannot write, and any other iterable
(a generator, a range, a view of a dict, a deque), while an expected tuple needs a tuple; expected string keys that JSON
made of numbers accept the numbers; with a tolerance, numbers that are not both integers may differ by it, relatively or
absolutely. `equal_to` and `truth` follow Python to the letter. Not covered: printed text (`text.py`); custom
checkers for problems with several right answers (write them as an `assert` test).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from rewards.sandbox import wire
from rewards.sandbox.canonical import Canonical, count_parts

_UNREADABLE = (wire.WireError, RecursionError)


def same(expected: Any, raw: Any, tolerance: float | None = None) -> bool:
    """Whether the answer `raw`, in wire form, equals `expected`."""
    kind = type(expected)
    if kind is int or kind is float:
        return _same_number(expected, raw, tolerance)
    if kind is str or kind is bool or expected is None:
        return type(raw) is kind and raw == expected
    tag = raw[0] if type(raw) is list and raw else None
    if isinstance(expected, list | tuple):
        if tag != "t" and not (kind is list and tag in ("l", "it")):
            return False
        return len(raw) - 1 == len(expected) and all(
            same(e, r, tolerance) for e, r in zip(expected, raw[1:], strict=True)
        )
    if isinstance(expected, dict):
        return tag == "d" and _same_pairs(expected, raw[1:], tolerance)
    if isinstance(expected, set | frozenset):
        return tag in ("s", "fs") and _keys_of(raw[1:], _canonical_keys(expected)) is not None
    return _same_scalar(expected, raw)


def _same_number(expected: int | float, raw: Any, tolerance: float | None) -> bool:
    if type(raw) is list:
        if _same_scalar(expected, raw):
            return True
        raw = None if tolerance is None else _as_float(raw)
    if type(raw) not in (int, float):
        return False
    if expected == raw or (expected != expected and raw != raw):
        return True
    if tolerance is None or (type(expected) is int and type(raw) is int):
        return False
    try:
        return math.isclose(expected, raw, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an int beyond the floats is not close to a different number
        return False


def _as_float(raw: list[Any]) -> float | None:
    """A Decimal or Fraction as the number that a tolerance is applied to."""
    try:
        return float(wire.decode_scalar(raw)) if raw[:1] in (["n"], ["q"]) else None
    except (ValueError, ArithmeticError):
        return None


def _same_scalar(expected: Any, raw: Any) -> bool:
    wanted = wire.encode(expected)
    if raw == wanted and type(raw) is type(wanted):  # also what is too long for a canonical text
        return True
    try:
        return Canonical(1, strict=True).text(raw) == Canonical(1, strict=True).text(wanted)
    except _UNREADABLE:
        return False


def _canonical_keys(values: Any) -> dict[str, Any]:
    """The canonical texts of dict keys or set members, and the keys themselves."""
    raw = [wire.encode(value) for value in values]
    writer = Canonical(sum(map(count_parts, raw)), strict=True)
    return {writer.text(form): value for form, value in zip(raw, values, strict=True)}


def _keys_of(raw: list[Any], wanted: Mapping[str, Any]) -> list[Any] | None:
    """The wanted key that each of the raw ones is, if they are exactly the wanted ones."""
    if len(raw) != len(wanted):
        return None
    writer = Canonical(sum(count_parts(wire.encode(key)) for key in wanted.values()), strict=True)
    try:
        found = [writer.text(form) for form in raw]
    except _UNREADABLE:
        return None
    if not all(text in wanted for text in found) or len(set(found)) != len(wanted):
        return None
    return [wanted[text] for text in found]


def _same_pairs(expected: Mapping[Any, Any], pairs: list[Any], tolerance: float | None) -> bool:
    if len(pairs) != len(expected) or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        return False
    keys = [pair[0] for pair in pairs]
    if all(type(key) is str for key in expected) and not any(type(key) is str for key in keys):
        keys = [_json_key(key) for key in keys]
    found = _keys_of(keys, _canonical_keys(expected))
    return found is not None and all(same(expected[k], p[1], tolerance) for k, p in zip(found, pairs, strict=True))


def _json_key(key: Any) -> Any:
    """The text that JSON makes of a key that is a number, a truth value or None."""
    if type(key) is bool or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    return repr(key) if type(key) in (int, float) else key


def equal_to(expected: Any) -> Callable[[Any], bool]:
    """Whether `expected == answer` holds in Python, as a function of the answer, for an expected value made of
    literals. Objects equal nothing. The canonical text of the expected value is made once."""
    form = wire.encode(expected)
    parts = count_parts(form)
    wanted = Canonical(parts).text(form)

    def holds(raw: Any) -> bool:
        if raw == form and type(raw) is type(form):  # as nearly always
            return True
        try:
            return Canonical(parts).text(raw) == wanted
        except _UNREADABLE:
            return False

    return holds


def truth(raw: Any) -> bool:
    """Whether the answer is true in Python."""
    if type(raw) is not list:
        return bool(raw)
    tag, items = (raw[0], raw[1:]) if raw else ("", [])
    if tag in ("l", "t", "s", "fs", "d"):
        return bool(items)
    if tag in ("b", "c"):
        return any(bool(item) for item in items[-2 if tag == "c" else -1 :])
    if tag in ("n", "q", "i") and items and type(items[0]) is str:
        digits = items[0].partition("E")[0].removeprefix("-").removeprefix("0x")
        return bool(digits.strip("0."))
    return True

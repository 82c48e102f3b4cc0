"""Does what the program returned equal what the test expects: plain data, strict types, no code of the program
involved.

The comparison walks the *expected* value and looks at the undecoded answer beside it, so the answer can neither bring a
method of its own nor cost more than its length. Rules: True and 1 differ; 1 and 1.0 are equal, as in Python; nan equals
nan; an expected list accepts a tuple, since JSON cannot write tuples, while an expected tuple needs a tuple; with a
tolerance, numbers may differ by it, relatively or absolutely. Standard output: trailing blanks and blank lines at the
end do not count. Not covered: custom checkers for problems with several right answers (write them as an `assert` test).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rewards.sandbox import wire

Key = Callable[[Any], Any]
Equal = Callable[[Any, Any], bool]

_SHORT_NUMBER = re.compile(r"-?[0-9]{1,100}(?:[./][0-9]{1,100})?(?:E[+-]?[0-9]{1,3})?|-?Infinity")
_ZERO = re.compile(r"-?0+(?:\.0*)?(?:/.*)?(?:E.*)?", re.IGNORECASE)


def same(expected: Any, raw: Any, tolerance: float | None = None) -> bool:
    """Whether the answer `raw`, in wire form, equals `expected`."""
    kind = type(expected)
    if expected is None or kind is bool:
        return raw is expected
    if kind is int or kind is float:
        return _same_number(expected, raw, tolerance)
    if kind is str:
        return type(raw) is str and raw == expected
    tag = raw[0] if type(raw) is list and raw else None
    if kind is list or kind is tuple:
        if tag != "t" and not (tag == "l" and kind is list):
            return False
        return len(raw) - 1 == len(expected) and all(
            same(e, r, tolerance) for e, r in zip(expected, raw[1:], strict=True)
        )
    if kind is dict:
        return tag == "d" and _same_pairs(expected, raw[1:], partial(same, tolerance=tolerance), _key)
    if kind is set or kind is frozenset:
        return tag in ("s", "fs") and _same_members(expected, raw[1:], _key)
    return type(raw) is list and raw == wire.encode(expected)


def python_equal(expected: Any, raw: Any) -> bool:
    """Whether `expected == answer` holds in Python, for an expected value made of literals. Objects equal nothing."""
    kind = type(expected)
    if expected is None:
        return raw is None
    if kind in (bool, int, float, complex):
        return _equal_numbers(expected, raw)
    if kind is str:
        return type(raw) is str and raw == expected
    if type(raw) is not list or not raw:
        return False
    if kind is bytes:
        return raw[0] == "b" and len(raw) == 3 and raw[2] == expected.hex()
    if kind is list or kind is tuple:
        equal_lengths = raw[0] == ("l" if kind is list else "t") and len(raw) - 1 == len(expected)
        return equal_lengths and all(python_equal(e, r) for e, r in zip(expected, raw[1:], strict=True))
    if kind is dict:
        return raw[0] == "d" and _same_pairs(expected, raw[1:], python_equal, _loose_key)
    return raw[0] in ("s", "fs") and _same_members(expected, raw[1:], _loose_key)


def truth(raw: Any) -> bool:
    """Whether the answer is true in Python."""
    if type(raw) is not list:
        return bool(raw)
    tag, items = (raw[0], raw[1:]) if raw else ("", [])
    if tag in ("l", "t", "s", "fs", "d"):
        return bool(items)
    if tag in ("b", "c"):
        return any(bool(item) for item in items[-2 if tag == "c" else -1 :])
    return tag != "n" or not _ZERO.fullmatch(str(items[-1:][0] if items else ""))


def _equal_numbers(expected: complex, raw: Any) -> bool:
    if type(raw) in (bool, int, float):
        return bool(expected == raw)
    if type(raw) is not list or not raw:
        return False
    if raw[0] == "i":  # an int beyond every float
        return type(expected) is int and raw == wire.encode(expected)
    short = raw[0] == "c" or (raw[0] == "n" and _SHORT_NUMBER.fullmatch(str(raw[-1])))
    try:
        return bool(short) and bool(expected == wire.decode(raw))
    except wire.WireError:
        return False


def _same_number(expected: int | float, raw: Any, tolerance: float | None) -> bool:
    if type(raw) is list:  # only a huge int is written as an array
        return type(expected) is int and raw == wire.encode(expected)
    if type(raw) not in (int, float):
        return False
    if expected == raw or (expected != expected and raw != raw):
        return True
    if tolerance is None:
        return False
    try:
        return math.isclose(expected, raw, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an int beyond the floats is not close to a different number
        return False


def _key(raw: Any) -> Any:
    """A hashable form of a dict key or set member. Only scalars and tuples of them: hashing anything else that a
    program chose could be made slow."""
    if type(raw) is not list:
        return (type(raw) is bool, raw)
    if raw and raw[0] == "t":
        return tuple(_key(r) for r in raw[1:])
    if raw and raw[0] in ("i", "b"):
        return (False, wire.decode(raw))
    raise wire.WireError("not a simple key")


def _loose_key(raw: Any) -> Any:
    """As `_key`, but True is 1, as in Python's dicts and sets."""
    strict = _key(raw)
    return tuple(_loose_key(r) for r in raw[1:]) if type(raw) is list and raw[0] == "t" else (False, strict[1])


def _same_pairs(expected: Mapping[Any, Any], pairs: list[Any], equal: Equal, key: Key) -> bool:
    if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        return False
    wanted = {key(wire.encode(k)): v for k, v in expected.items()}
    found = _found(wanted, [pair[0] for pair in pairs], key)
    return found is not None and all(equal(wanted[k], p[1]) for k, p in zip(found, pairs, strict=True))


def _same_members(expected: set[Any] | frozenset[Any], members: list[Any], key: Key) -> bool:
    return _found({key(wire.encode(m)): None for m in expected}, members, key) is not None


def _found(wanted: Mapping[Any, Any], keys: list[Any], key_of: Key) -> list[Any] | None:
    """The hashable form of `keys` in their order if they are exactly the wanted ones."""
    if len(keys) != len(wanted):
        return None
    found = []
    for raw in keys:
        try:
            key = key_of(raw)
            if key not in wanted:
                return None
        except (wire.WireError, RecursionError):
            return None
        found.append(key)
    return found if len(set(found)) == len(wanted) else None


def same_text(expected: str, printed: str, tolerance: float | None = None) -> bool:
    """Whether the printed text is the expected one, up to trailing blanks; with a tolerance, word by word."""
    wanted, got = _lines(expected), _lines(printed)
    if wanted == got:
        return True
    if tolerance is None or len(wanted) != len(got):
        return False
    return all(_same_words(w.split(), g.split(), tolerance) for w, g in zip(wanted, got, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_words(wanted: list[str], got: list[str], tolerance: float) -> bool:
    return len(wanted) == len(got) and all(w == g or _close(w, g, tolerance) for w, g in zip(wanted, got, strict=True))


def _close(wanted: str, got: str, tolerance: float) -> bool:
    try:
        return math.isclose(float(wanted), float(got), rel_tol=tolerance, abs_tol=tolerance)
    except ValueError:
        return False

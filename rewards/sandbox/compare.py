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
from collections.abc import Mapping
from typing import Any

from rewards.sandbox import wire


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
        return tag == "d" and _same_pairs(expected, raw[1:], tolerance)
    if kind is set or kind is frozenset:
        return tag in ("s", "fs") and _same_members(expected, raw[1:])
    return type(raw) is list and raw == wire.encode(expected)


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


def _same_pairs(expected: Mapping[Any, Any], pairs: list[Any], tolerance: float | None) -> bool:
    if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        return False
    wanted = {_key(wire.encode(k)): v for k, v in expected.items()}
    found = _found(wanted, [pair[0] for pair in pairs])
    return found is not None and all(same(wanted[k], p[1], tolerance) for k, p in zip(found, pairs, strict=True))


def _same_members(expected: set[Any] | frozenset[Any], members: list[Any]) -> bool:
    return _found({_key(wire.encode(m)): None for m in expected}, members) is not None


def _found(wanted: Mapping[Any, Any], keys: list[Any]) -> list[Any] | None:
    """The hashable form of `keys` in their order if they are exactly the wanted ones."""
    if len(keys) != len(wanted):
        return None
    found = []
    for raw in keys:
        try:
            key = _key(raw)
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

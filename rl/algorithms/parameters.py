"""Are these settings what a function or dataclass takes? Names by its signature, types by its annotations."""

from __future__ import annotations

import contextlib
import math
import re
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rollout.errors import UserError

_NAMES = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
# What YAML 1.1 reads as text although it is a number: 1e-3, which it wants as 1.0e-3.
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def nearest(name: Any, allowed: Mapping[str, Any] | list[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    near = get_close_matches(str(name), list(allowed), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def typed(value: Any, hint: Any, place: str) -> Any:
    """`value` as its annotation says (float, int, str or bool, or one of them or None; others pass). Raises
    `UserError`."""
    options = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if len(options) == 1 and type(None) in typing.get_args(hint):
        return None if value is None else typed(value, options[0], place)
    if hint is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    kind = _NAMES.get(hint)
    if kind is None:
        return value
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    else:
        fits = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    if not fits:
        raise UserError(f"{place} is {value!r}; allowed: {kind}")
    return float(value) if hint is float else value


def type_hints(thing: Any) -> dict[str, Any]:
    """The annotations of a function or dataclass; empty where they cannot be read, as in a user's file."""
    with contextlib.suppress(Exception):
        return typing.get_type_hints(thing)
    return {}

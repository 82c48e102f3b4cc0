"""What a parameter may be stands in its annotation; here it is read, checked and said in words.

    alpha: Annotated[float, Ge(0)] = 0.1            a range, of `annotated_types` or of pydantic's Field(ge=0)
    shape: Literal["target", "budget"]              a choice
    margin: Annotated[float | Mapping, check]       `check(value)` raises `UserError` for a value that is not allowed

Rewards, algorithms and the configuration mean the same by an annotation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import annotated_types as at

from rollout.errors import UserError

AtLeastZero = Annotated[float, at.Ge(0)]
AboveZero = Annotated[float, at.Gt(0)]
Share = Annotated[float, at.Ge(0), at.Le(1)]

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null", Any: "any"}
LISTS = (list, Sequence)
CONTAINERS = {list: "a list", Sequence: "a list", dict: "a section of keys", Mapping: "a section of keys"}
# What YAML 1.1 reads as text although it is a number: 1e-3, which it wants as 1.0e-3.
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def typed(value: Any, hint: Any, place: str) -> Any:
    """`value` as its annotation says; a type that is not known here lets everything pass. Raises `UserError` naming the
    value, what is allowed and the place.

    >>> typed("1e-3", AtLeastZero, "algorithm.kappa")
    0.001
    """
    if isinstance(value, str) and _EXPONENT.fullmatch(value) and not _fits(value, hint):
        value = float(value)
    if not _fits(value, hint):
        raise UserError(f"{place} is {value!r}; allowed: {describe(hint)}")
    kind, limits = unwrap(hint)
    for limit in limits:
        if isinstance(limit, types.FunctionType):
            limit(value)
    return float(value) if kind is float else value


def type_hints(thing: Any) -> dict[str, Any]:
    """The annotations of a function or dataclass; empty where they cannot be read, as in a user's file."""
    with contextlib.suppress(Exception):
        return typing.get_type_hints(thing, include_extras=True)
    return {}


def describe(hint: Any) -> str:
    """What a type allows.

    >>> describe(Share), describe(Annotated[int, at.Ge(0)] | None)
    ('0 to 1', 'a whole number, 0 or more, or null')
    """
    hint, limits = unwrap(hint)
    if is_union(hint):
        options = [describe(option) for option in typing.get_args(hint)]
        return (", or " if any("," in option for option in options) else " or ").join(options)
    names = choices(hint, limits)
    pattern = next((limit.pattern for limit in limits if getattr(limit, "pattern", None)), "")
    if names:
        return ", ".join(names) + (f", or text with {pattern!r}" if pattern else "")
    if dataclasses.is_dataclass(hint):
        return "a section of keys"
    kind = typing.get_origin(hint) or hint
    words = CONTAINERS.get(kind) or WORDS.get(kind, str(kind))
    if pattern:
        return f"text that begins with {pattern.removeprefix('^')}"
    bounds = _bounds(limits)
    return bounds if bounds and kind is float else f"{words}, {bounds}" if bounds else words


def unwrap(hint: Any) -> tuple[Any, list[Any]]:
    """A type without its annotations, and those as a flat list."""
    limits: list[Any] = []
    while hasattr(hint, "__metadata__"):
        for item in hint.__metadata__:
            limits += getattr(item, "metadata", None) or [item]
        hint = hint.__origin__
    return hint, limits


def is_union(hint: Any) -> bool:
    """Whether it is `A | B`."""
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def choices(hint: Any, limits: Iterable[Any] = ()) -> list[str]:
    """The names that a choice has; none for other types."""
    hint, more = unwrap(hint)
    for limit in [*limits, *more]:
        if getattr(limit, "names", None):
            return list(limit.names)
    return [str(name) for name in typing.get_args(hint)] if typing.get_origin(hint) is typing.Literal else []


def _fits(value: Any, hint: Any) -> bool:
    kind, limits = unwrap(hint)
    return _is_a(value, kind) and all(_within(value, limit) for limit in limits)


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, as a configuration means it: `true` is no number."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if is_union(kind):
        return any(_fits(value, option) for option in inner)
    if origin is typing.Literal:
        return any(value == one and type(value) is type(one) for one in inner)
    if origin in LISTS:
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value if inner)
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    known: tuple[Any, ...] = (str, bool, type(None), Mapping, dict, Callable)
    return isinstance(value, origin) if origin in known else True


def _within(value: Any, limit: Any) -> bool:
    return not (
        (isinstance(limit, at.Ge) and value < limit.ge)
        or (isinstance(limit, at.Gt) and value <= limit.gt)
        or (isinstance(limit, at.Le) and value > limit.le)
        or (isinstance(limit, at.Lt) and value >= limit.lt)
    )


def _bounds(limits: Iterable[Any]) -> str:
    low = high = ""
    for limit in limits:
        if isinstance(limit, at.Gt):
            low = f"above {limit.gt:g}"
        elif isinstance(limit, at.Ge):
            low = _shown(limit.ge)
        elif isinstance(limit, at.Lt):
            high = f"below {limit.lt:g}"
        elif isinstance(limit, at.Le):
            high = _shown(limit.le)
    if low and high:
        if high.startswith("below"):
            return f"{low} or more, {high}" if low[0].isdigit() else f"{low}, {high}"
        return f"{low} to {high}" if low[0].isdigit() else f"{low}, up to {high}"
    if low:
        return low if low.startswith("above") else f"{low} or more"
    return f"{high} or less" if high and not high.startswith("below") else high


def _shown(limit: Any) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"

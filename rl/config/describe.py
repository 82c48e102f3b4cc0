"""What a configuration type allows, in words; and every key of a run as a table for readers."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import annotated_types as at
from pydantic.fields import FieldInfo

from rl.config.types import OneOf

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null", Any: "any"}
CONTAINERS = {list: "a list", dict: "a section of keys"}


def describe(hint: Any) -> str:
    """What a type allows.

    >>> from rl.config.types import Count, Share
    >>> describe(Share), describe(Count | None)
    ('0 to 1', 'a whole number, 0 or more, or null')
    """
    hint, limits = unwrap(hint)
    if is_union(hint):
        options = [describe(option) for option in typing.get_args(hint)]
        return (", or " if any("," in option for option in options) else " or ").join(options)
    names = choices(hint, limits)
    if names:
        pattern = next((limit.pattern for limit in limits if isinstance(limit, OneOf) and limit.pattern), "")
        return ", ".join(names) + (f", or text with {pattern!r}" if pattern else "")
    if dataclasses.is_dataclass(hint):
        return "a section of keys"
    kind = typing.get_origin(hint) or hint
    words = CONTAINERS.get(kind) or WORDS.get(kind, str(kind))
    pattern = next((limit.pattern for limit in limits if getattr(limit, "pattern", None)), "")
    if pattern:
        return f"text that begins with {pattern.removeprefix('^')}"
    bounds = _bounds(limits)
    return bounds if bounds and kind is float else f"{words}, {bounds}" if bounds else words


def keys(section: type, place: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Every key below a section: its name, what is allowed, its default, its meaning."""
    fields = typing.cast(Any, section).__pydantic_fields__
    hints = typing.get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        name, hint = f"{place}.{field.name}" if place else field.name, unwrap(hints[field.name])[0]
        default = fields[field.name].get_default(call_default_factory=True)
        if dataclasses.is_dataclass(hint):
            yield from keys(typing.cast(type, hint), name)
        else:
            yield name, describe(hints[field.name]), default, fields[field.name].description or ""


def sections(config: type) -> Iterator[tuple[str, type]]:
    """The sections of a configuration, by name."""
    for name, hint in typing.get_type_hints(config).items():
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
        if dataclasses.is_dataclass(inner):
            yield name, typing.cast(type, inner)


def table(section: type, place: str) -> list[str]:
    """A section as lines of Markdown: what it is for, then one row a key."""
    about = " ".join((inspect.getdoc(section) or "").split())
    lines = [f"## `{place}`", "", about, "", "| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    return [*lines, *map(_row, keys(section, place)), ""]


def unwrap(hint: Any) -> tuple[Any, list[Any]]:
    """A type without its annotations, and those as a flat list."""
    limits: list[Any] = []
    while hasattr(hint, "__metadata__"):
        for item in hint.__metadata__:
            limits += item.metadata if isinstance(item, FieldInfo) else [item]
        hint = hint.__origin__
    return hint, limits


def is_union(hint: Any) -> bool:
    """Whether it is `A | B`."""
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def choices(hint: Any, limits: Iterable[Any] = ()) -> list[str]:
    """The names that a choice has; none for other types."""
    hint, more = unwrap(hint)
    for limit in [*limits, *more]:
        if isinstance(limit, OneOf):
            return list(limit.names)
    return [str(name) for name in typing.get_args(hint)] if typing.get_origin(hint) is typing.Literal else []


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
    return (low if low.startswith("above") else f"{low} or more") if low else high


def _shown(limit: Any) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _row(row: tuple[str, str, Any, str]) -> str:
    name, allowed, default, meaning = row
    cells = (f"`{name}`", f"`{_yaml(default)}`", allowed, " ".join(meaning.split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    return "''" if value == "" else str(value)


def document(config: type) -> str:
    """The whole reference of a configuration, as Markdown."""
    fields = typing.cast(Any, config).__pydantic_fields__
    parts = dict(sections(config))
    lines = [
        "# Configuration",
        "",
        "One YAML file a run; `section.key=value` on the command line overrides a value. This page is made from",
        "`rl/config/` by `make docs`.",
        "",
        "| key | default | allowed | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [_row(row) for row in keys(config) if row[0] in fields and row[0] not in parts]
    lines.append("")
    for name, section in parts.items():
        lines += table(section, f"{name}[i]" if name == "stages" else name)
    lines += [*_former(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _former() -> list[str]:
    """The settings of earlier versions as lines of Markdown."""
    from rl.config.former import FORMER

    lines = ["## Settings of earlier versions", "", "A setting that is read is left out, with a warning.", ""]
    lines += ["| key | value | now | in its place |", "| --- | --- | --- | --- |"]
    for one in FORMER:
        now = "refused" if one.refused else "read"
        lines.append(f"| `{one.place}` | `{one.value}` | {now} | {one.instead} |")
    return lines


if __name__ == "__main__":
    from rl.config.schema import Config

    print(document(Config), end="")

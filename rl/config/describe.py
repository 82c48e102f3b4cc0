"""Every key of a run with what it allows, as rows for readers."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any

from rewards.parameters import describe, unwrap


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
        lines += table(section, f"{name}[i]" if name in ("stages", "teachers") else name)
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

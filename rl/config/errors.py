"""A configuration that cannot be run, said in one line: the key, its value, what is allowed, the nearest known name."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from rewards.parameters import choices, describe, is_union, unwrap
from rl.config.foreign import NAMES_ELSEWHERE
from rollout.errors import UserError, nearest

Path = tuple[str | int, ...]


class ConfigError(UserError):
    """A configuration that cannot be run; one line."""


def one_line(error: ValidationError, root: type, raw: Mapping[str, Any]) -> ConfigError:
    """The first thing that is wrong, with its place, where `raw` was read as the section `root`."""
    first = error.errors()[0]
    path, hint = _walk(root, first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        return _unknown(path, _walk(root, first["loc"][:-1])[1])
    if first["type"] == "value_error":
        return ConfigError(str(first["ctx"]["error"]))
    value = _value_at(raw, path, first["input"])
    wish = nearest(value, choices(hint))
    return ConfigError(f"{dotted(path)} is {value!r}; allowed: {describe(hint)}{wish and f' ({wish})'}")


def dotted(path: Iterable[str | int]) -> str:
    """A place as it is written on a command line, list entries in brackets.

    >>> dotted(["stages", 0, "steps"])
    'stages[0].steps'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _walk(root: Any, place: Path) -> tuple[Path, Any]:
    """The keys of a place and the type found there; pydantic puts the names of a union's branches between them."""
    hint: Any = root
    path: list[str | int] = []
    for part in place:
        kind, _ = unwrap(hint)
        options = [option for option in typing.get_args(kind) if option is not type(None)] if is_union(kind) else []
        if len(options) == 1:
            kind, options = unwrap(options[0])[0], []
        if options:
            continue_with = [option for option in options if str(part).startswith(_branch(option))]
            if (path and part == place[-1]) or not continue_with:
                break
            hint = continue_with[0]
            continue
        path.append(part)
        if dataclasses.is_dataclass(kind):
            hint = typing.get_type_hints(kind, include_extras=True).get(str(part), Any)
        else:
            hint = (typing.get_args(kind) or (Any,))[-1]
    return tuple(path), hint


def _branch(option: Any) -> str:
    kind = unwrap(option)[0]
    return (typing.get_origin(kind) or kind).__name__


def _value_at(raw: Any, path: Path, otherwise: Any) -> Any:
    """The value as the user wrote it: keys of a mapping may be numbers in YAML."""
    for part in path:
        keys = {str(key): key for key in raw} if isinstance(raw, Mapping) else {}
        if str(part) in keys:
            raw = raw[keys[str(part)]]
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            return otherwise
    return raw


def _unknown(path: Path, section: Any) -> ConfigError:
    key, known = str(path[-1]), [field.name for field in dataclasses.fields(unwrap(section)[0])]
    if key in NAMES_ELSEWHERE:
        return ConfigError(f"unknown key {dotted(path)!r}; its name here: {NAMES_ELSEWHERE[key]}")
    hint = nearest(key, known, f"allowed: {', '.join(known)}")
    return ConfigError(f"unknown key {dotted(path)!r}; {hint}")

"""YAML to `Config`, with `section.key=value` overrides from the command line.

An unknown key is an error that names the nearest known one, a wrong type or value an error that says what is allowed.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from rl.config.contradictions import check_together
from rl.config.errors import ConfigError, dotted, one_line
from rl.config.former import without_former
from rl.config.schema import Config

_READ = TypeAdapter(Config)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a YAML file with `section.key=value` overrides. Raises `ConfigError` in one line."""
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"no configuration file {str(path)!r} (looked in {Path.cwd()})")
    try:
        raw = read_yaml(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds a {type(raw).__name__}; allowed: a mapping of sections")
    for override in overrides:
        _override(raw, override)
    return parse_config(raw)


class _EachKeyOnce(yaml.SafeLoader):
    """YAML in which a key stands once: the first of two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            name = getattr(key, "value", None)
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(name, str):
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {name!r} stands twice, in lines {seen[name]} and {key.start_mark.line + 1}"
                    )
                seen[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises `yaml.YAMLError`, also for a key that stands twice in a mapping."""
    return yaml.load(text, Loader=_EachKeyOnce)


def parse_config(raw: Mapping[str, Any]) -> Config:
    """A checked `Config` from plain mappings. Raises `ConfigError` in one line."""
    raw = without_former(copy.deepcopy(raw))
    try:
        text = json.dumps(raw)
    except RecursionError:
        raise ConfigError("the configuration is nested too deeply; allowed: sections of keys") from None
    except (TypeError, ValueError) as error:
        if "Circular" in str(error):
            raise ConfigError("an anchor of the configuration holds itself; allowed: values that end") from None
        raise ConfigError(_unreadable(raw, ())) from None
    try:
        # As JSON, since only there a strict reader takes a mapping for a section.
        config = _READ.validate_json(text)
    except ValidationError as error:
        raise one_line(error, Config, raw) from None
    check_together(config)
    return config


def _unreadable(value: Any, place: tuple[str | int, ...]) -> str:
    """The first value that YAML knows and JSON does not, such as a date."""
    if isinstance(value, Mapping):
        inside: list[tuple[str | int, Any]] = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        inside = list(enumerate(value))
    elif value is None or isinstance(value, str | int | float):
        return ""
    else:
        allowed = "text, numbers, true, false, null, lists and sections; in quotes it is text"
        return f"{dotted(place)} is {value!r}; allowed: {allowed}"
    return next(filter(None, (_unreadable(item, (*place, key)) for key, item in inside)), "")


def overridden(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration with `section.key=value` overrides. Raises `ConfigError` in one line."""
    raw = json.loads(json.dumps(to_dict(config)))
    for override in overrides:
        _override(raw, override)
    return parse_config(raw)


def to_dict(config: Config) -> dict[str, Any]:
    """The resolved configuration as plain values, for `config.json`."""
    return dataclasses.asdict(config)


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_dict(config), indent=2) + "\n", encoding="utf-8")


def _override(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    node: Any = raw
    *parents, last = key.split(".")
    for part in parents:
        node = _step_into(node, part, key)
    try:
        value = read_yaml(text) if text else ""
    except yaml.YAMLError as error:
        twice = error.problem if isinstance(error, yaml.constructor.ConstructorError) else ""
        reason = twice or "the value is not valid YAML"
        raise ConfigError(f"override {override!r}: {reason}") from error
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    else:
        node[last] = value


def _step_into(node: Any, part: str, key: str) -> Any:
    child = node[_index(node, part, key)] if isinstance(node, list) else node.setdefault(part, {})
    if child is None and isinstance(node, dict):
        child = node[part] = {}
    if not isinstance(child, dict | list):
        raise ConfigError(f"override {key!r}: {part!r} is a value, not a section")
    return child


def _index(node: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"override {key!r}: {part!r} is no index; allowed: 0 to {len(node) - 1}")
    return int(part)

"""YAML to `Config`, with `section.key=value` overrides from the command line.

An unknown key is an error that names the nearest known one, a wrong type or value an error that says what is allowed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from rl.config.schema import Config, ConfigError
from rl.curriculum.phases import check_stages
from rl.data.draw import WAYS
from rl.data.settings import check_settings
from rollout.errors import UserError
from rollout.protocol import LAYOUTS
from rollout.types import MODES

_CHOICES: dict[str, tuple[str, ...]] = {
    "resume": ("auto", "never"),
    "protocol.name": LAYOUTS,
    "rollout.engine": ("auto", "hf", "vllm", "vllm_server"),
    "wandb.mode": ("online", "offline", "disabled"),
    "data.on_bad_row": ("stop", "skip"),
    "data.draw": WAYS,
    "reward_errors.policy": ("stop", "drop"),
    "trainer.schedule": ("constant", "constant_with_warmup", "linear", "cosine"),
    "cold_start.gears.keep": ("best", "each_mode"),
    "cold_start.schedule": ("constant", "constant_with_warmup", "linear", "cosine"),
    "model.dtype": ("float32", "bfloat16", "float16"),
    "history.resample": ("off", "srpo", "mode_aware"),
    "guard.action": ("off", "log", "floor", "balance", "stop"),
}
_RANGES = {
    "rollout.temperature": (0.01, 100.0),
    "rollout.top_p": (1e-6, 1.0),
    "rollout.vllm.gpu_memory_utilization": (0.01, 1.0),
    "history.decay": (0.0, 1.0),
    "reward_errors.max_share": (0.0, 0.99),
    "data.max_bad_share": (0.0, 1.0),
    "data.max_bad_gold": (0.0, 1.0),
    "data.max_drop": (0.0, 1.0),
    "label.problems": (0, 10**9),
    "label.delta": (0.0, 1.0),
    "label.random_share": (0.0, 1.0),
    "select.mu": (0.0, 1.0),
    "select.sigma": (0.01, 100.0),
    "select.floor": (0.0, 1.0),
    "cold_start.gears.manual_steps": (0, 10**9),
    "cold_start.gears.automatic_steps": (0, 10**9),
    "cold_start.gears.think_share": (0.05, 0.95),
    "cold_start.gears.manual_share": (0.0, 0.9),
    "cold_start.gate.problems": (0, 10**9),
    "cold_start.gate.min_switch_probability": (0.0, 1.0),
    "cold_start.gate.max_switch_probability": (0.0, 1.0),
    "cold_start.gate.min_obedience": (0.0, 1.0),
    "history.settled": (0.0, 1.0),
    "history.return_probability": (0.0, 1.0),
    "guard.share": (0.0, 0.5),
    "guard.disagreement": (0.0, 1.0),
    "guard.floor": (0.0, 1.0),
    "control.flip_rewards": (0.0, 1.0),
    "trainer.clip_low": (0.0, 1.0),
    "trainer.clip_high": (0.0, 100.0),
    "trainer.engine_ratio_cap": (1.0, 1e6),
    "trainer.learning_rate": (0.0, 10.0),
    "cold_start.learning_rate": (0.0, 10.0),
    "cold_start.gears.automatic_learning_rate": (0.0, 10.0),
    "trainer.kl": (0.0, 100.0),
}
_POSITIVE = (
    "rollout.save_every",
    "wandb.table_every",
    "rollout.group_size",
    "rollout.max_new_tokens",
    "rollout.max_prompt_tokens",
    "rollout.vllm.timeout",
    "rollout.vllm.concurrency",
    "trainer.steps",
    "trainer.prompts_per_step",
    "trainer.iterations",
    "trainer.save_every",
    "trainer.learning_rate",
    "cold_start.steps",
    "cold_start.batch",
    "cold_start.problems",
    "label.samples",
    "label.batch",
    "evaluation.problems",
    "evaluation.batch",
    "evaluation.probe",
    "history.warmup_visits",
    "guard.patience",
)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a YAML file with `section.key=value` overrides. Raises `ConfigError` in one line."""
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"no configuration file {str(path)!r} (looked in {Path.cwd()})")
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds a {type(raw).__name__}; allowed: a mapping of sections")
    for override in overrides:
        _override(raw, override)
    return parse_config(raw)


def parse_config(raw: Mapping[str, Any]) -> Config:
    """A checked `Config` from plain mappings."""
    config = _section(Config, raw, "")
    _check(config)
    check_stages(config)
    return config


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
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML") from error
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


def _section(cls: type, raw: Any, place: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{place} is {raw!r}; allowed: a section of keys")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]
    values = {}
    for key, value in raw.items():
        name = f"{place}.{key}" if place else str(key)
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known)}"
            raise ConfigError(f"unknown key {name!r}; {hint}")
        values[key] = _value(hints[key], value, name)
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _value(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _section(hint, value, name)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if any(_fits(option, value) for option in arguments):
            return value
        raise ConfigError(f"{name} is {value!r}; allowed: {_describe(hint)}")
    if hint is float and isinstance(value, str):
        # YAML reads 1e-4 as text.
        with contextlib.suppress(ValueError):
            value = float(value)
    if not _fits(hint, value):
        raise ConfigError(f"{name} is {value!r}; allowed: {_describe(hint)}")
    if hint is float:
        return float(value)
    if origin is dict and arguments[0] is str:
        return {str(k): _value(arguments[1], v, f"{name}.{k}") for k, v in value.items()}
    if origin is list:
        return [_value(arguments[0], v, f"{name}[{i}]") for i, v in enumerate(value)]
    return value


def _fits(hint: Any, value: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    if origin is Any:
        return True
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is type(None):
        return value is None
    if origin is str and isinstance(value, int | float) and not isinstance(value, bool):
        return False
    return isinstance(value, origin)


def _describe(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_describe(a) for a in arguments)
    return names.get(hint, {list: "a list", dict: "a section of keys"}.get(origin or hint, str(hint)))


def _get(config: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        config = getattr(config, part)
    return config


def _check(config: Config) -> None:
    for key, allowed in _CHOICES.items():
        value = _get(config, key)
        if value not in allowed:
            near = get_close_matches(str(value), allowed, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(f"{key} is {value!r}; allowed: {', '.join(allowed)}{hint}")
    for key in _POSITIVE:
        if _get(config, key) <= 0:
            raise ConfigError(f"{key} is {_get(config, key)}; allowed: above 0")
    for key, (lowest, highest) in _RANGES.items():
        value = _get(config, key)
        if value is not None and not lowest <= value <= highest:
            raise ConfigError(f"{key} is {value}; allowed: {lowest} to {highest}")
    for section in ("trainer", "cold_start"):
        warmup = _get(config, f"{section}.warmup_steps")
        if warmup and _get(config, f"{section}.schedule") == "constant":
            raise ConfigError(
                f"{section}.warmup_steps is {warmup} with {section}.schedule 'constant', which has no warm-up; "
                "allowed: constant_with_warmup, linear, cosine, or warmup_steps 0"
            )
    try:
        check_settings(config.data)
    except UserError as error:
        raise ConfigError(str(error)) from error
    for key in ("data.train_size", "data.test_size"):
        size = _get(config, key)
        if size is not None and size <= 0:
            raise ConfigError(f"{key} is {size}; allowed: above 0, or null for all")
    if not isinstance(config.algorithm.get("name", "step_srpo"), str):
        raise ConfigError(f"algorithm.name is {config.algorithm['name']!r}; allowed: a name or file.py:function")
    if config.protocol.tags and set(config.protocol.tags) != set(MODES):
        raise ConfigError(f"protocol.tags has {', '.join(config.protocol.tags)}; allowed: both of {', '.join(MODES)}")
    floors = config.cold_start.gate.min_accuracy
    if not set(floors) <= set(MODES) or not all(0 <= value <= 1 for value in floors.values()):
        raise ConfigError(f"cold_start.gate.min_accuracy is {floors}; allowed: 0 to 1 for {', '.join(MODES)}")
    if config.cold_start.gears.manual_steps and not config.protocol.tags:
        raise ConfigError(
            "cold_start.gears.manual_steps needs protocol.tags, the texts that state a mode in the prompt, such as "
            "{think: /think, no_think: /no_think}"
        )
    if config.trainer.keep_checkpoints < 2:
        raise ConfigError(
            f"trainer.keep_checkpoints is {config.trainer.keep_checkpoints}; allowed: 2 or more, so that a run killed "
            "while saving still has one"
        )
    try:
        config.rollout.sampling()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    forced, size = config.rollout.forced, config.rollout.group_size
    if 2 * forced.minimum > size:
        raise ConfigError(
            f"rollout.forced.minimum is {forced.minimum}; allowed: at most half of rollout.group_size, {size // 2}"
        )
    if config.trainer.save_every % config.trainer.iterations:
        raise ConfigError(
            f"trainer.save_every is {config.trainer.save_every}; allowed: a multiple of trainer.iterations "
            f"({config.trainer.iterations}), so that a resumed run continues exactly"
        )

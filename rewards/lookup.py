"""Finds a function by name: a shipped reward, an entry point of the group `step_srpo.rewards`, `file.py:function`,
`module:function`, or a dotted path. A file is loaded once, whatever the number of its functions in use."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rewards.plugin import RewardError
from rollout.errors import nearest

SHIPPED = {
    "judge": "rewards.builtin.judge:judge",
    "math": "rewards.builtin.math_answer:math",
    "math_verify": "rewards.builtin.peer_math:math_verify",
    "code": "rewards.builtin.code_tests:code_tests",
    "format": "rewards.builtin.format:format_ok",
    "choice": "rewards.builtin.choice:choice",
    "exact": "rewards.builtin.exact:exact",
    "length": "rewards.builtin.length:length",
    "repetition": "rewards.builtin.repetition:repetition",
    "language": "rewards.builtin.language:language",
    "reasoning_gym": "rewards.builtin.gym:reasoning_gym",
    "trl": "rewards.builtin.adapters:trl_reward",
    "verl": "rewards.builtin.adapters:verl_reward",
}
ENTRY_POINTS = "step_srpo.rewards"


def find_function(name: str, place: str = "reward") -> Callable[..., Any]:
    """The function of this name. Raises `RewardError` that begins with `place`."""
    target = SHIPPED.get(name, name)
    if target == name:
        points = importlib.metadata.entry_points(group=ENTRY_POINTS)
        if name in points.names:
            return _load_entry_point(list(points.select(name=name)), name, place)
    module_name, _, attribute = target.rpartition(":" if ":" in target else ".")
    is_module = all(part.isidentifier() for part in module_name.split("."))
    if not attribute or not (is_module or module_name.endswith(".py")):
        known = [*SHIPPED, *sorted(points.names)]
        hint = nearest(name, known)
        known_names = f"(known: {', '.join(known)}, file.py:function)"
        raise RewardError(f"{place}: no reward named {name!r}{hint and f'; {hint}'} {known_names}")
    module = _load_file(module_name, place) if module_name.endswith(".py") else _load_module(module_name, place)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise RewardError(f"{place}: {module_name} has no function {attribute!r}")
    try:
        inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise RewardError(f"{place}: {name!r} does not say what it takes; allowed: a function of Python") from error
    return function


def _load_entry_point(points: list[importlib.metadata.EntryPoint], name: str, place: str) -> Callable[..., Any]:
    origins = sorted({point.dist.name if point.dist else "?" for point in points})
    if len({point.value for point in points}) > 1:
        raise RewardError(f"{place}: {name!r} is published by {' and by '.join(origins)}; use a dotted path instead")
    try:
        function = points[0].load()
    except (Exception, SystemExit) as error:
        # Whatever a package does when it is imported, the package is what the user must mend.
        raise RewardError(
            f"{place}: {name!r} of the package {origins[0]!r} fails to load: {type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise RewardError(f"{place}: {name!r} of the package {origins[0]!r} is no function")
    return function


_files: dict[tuple[Path, int], Any] = {}


def _load_file(path: str, place: str) -> Any:
    try:
        file = Path(path).expanduser()
        there = file.is_file()
    except (OSError, RuntimeError):  # a name that is too long, a user that is none
        there = False
    if not there:
        raise RewardError(f"{place}: no file {path[:200]!r} (looked in {Path.cwd()})")
    version = (file.resolve(), file.stat().st_mtime_ns)
    if version not in _files:
        _files[version] = _execute(version[0], path, place)
    return _files[version]


def _execute(file: Path, path: str, place: str) -> Any:
    name = f"reward_plugin_{file.stem}_{zlib.crc32(str(file).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RewardError(f"{place}: {path!r} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # Whatever a plug-in does when it is loaded, its file is what the user must mend.
        raise RewardError(f"{place}: {path!r} fails to load: {type(error).__name__}: {error}") from error
    return module


def _load_module(name: str, place: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RewardError(f"{place}: cannot import {name!r} ({error})") from error
    except (Exception, SystemExit) as error:
        # As for a file: the user must mend the module.
        raise RewardError(f"{place}: {name!r} fails to load: {type(error).__name__}: {error}") from error

"""From a line of configuration to a reward function.

A reward is a plain function. Of one rollout: `f(rollout, **parameters) -> float` or a mapping with the key "score"
(other keys become metrics). Of a whole group, marked by the attribute `scope = "group"`:
`f(group, **parameters) -> [float, …]`. It is found by a shipped name, as `file.py:function`, or by dotted path.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rollout.errors import UserError

SHIPPED = {
    "judge": "rewards.judge:judge",
    "math": "rewards.math_answer:math",
    "code": "rewards.code_tests:code_tests",
    "format": "rewards.format:format_ok",
}
STEPS = ("judge", "answer")
RESERVED = ("correct", "answer_reward", "judge_reward")
# What a function is given by the trainer when its signature has it: the problem's pass counts, the optimizer step, and
# where a controlled margin stands.
INJECTED = ("history", "step", "controlled_margin")


class RewardError(UserError):
    """A reward that cannot be found, or that returned something that is no score."""


@dataclass(frozen=True)
class Reward:
    """One configured reward. `correct` marks the answer reward that says whether the answer is right; `domains`
    and `sources` limit it to some problems (empty: all)."""

    name: str
    step: str
    weight: float
    function: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    correct: bool = False
    domains: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def of_group(self) -> bool:
        """Whether the function takes a whole group."""
        return getattr(self.function, "scope", "rollout") == "group"

    def wants(self, name: str) -> bool:
        """Whether the function takes this one of `INJECTED`."""
        return name in inspect.signature(self.function).parameters

    def applies_to(self, domain: str, source: str) -> bool:
        """Whether problems of this domain and source are scored by it."""
        return (not self.domains or domain in self.domains) and (not self.sources or source in self.sources)


def build_rewards(configured: Sequence[Mapping[str, Any]]) -> list[Reward]:
    """Rewards of a config section. When none is marked `correct`, the first of step `answer` is."""
    rewards = [_build(dict(entry), index) for index, entry in enumerate(configured)]
    answers = [i for i, reward in enumerate(rewards) if reward.step == "answer"]
    if not answers:
        raise RewardError("rewards has no entry with step 'answer'; allowed: at least one, such as {name: math}")
    for index, reward in enumerate(rewards):
        if reward.correct and reward.step == "judge":
            raise RewardError(
                f"rewards[{index}] is of step judge and marked `correct`; allowed: rewards of step answer"
            )
    if not any(reward.correct for reward in rewards):
        first = rewards[answers[0]]
        rewards[answers[0]] = Reward(**{**vars(first), "correct": True})
    names = [reward.name for reward in rewards]
    for name in names:
        if names.count(name) > 1 or name in RESERVED:
            raise RewardError(f"rewards: the name {name!r} is used twice or reserved; set `label` to tell them apart")
    return rewards


def _build(entry: dict[str, Any], index: int) -> Reward:
    place = f"rewards[{index}]"
    name = entry.pop("name", None)
    if not isinstance(name, str):
        raise RewardError(f"{place}.name is {name!r}; allowed: a shipped name, file.py:function or a dotted path")
    step = entry.pop("step", "judge" if name == "judge" else "answer")
    if step not in STEPS:
        raise RewardError(f"{place}.step is {step!r}; allowed: {', '.join(STEPS)}")
    label = entry.pop("label", name.rsplit(":", 1)[-1].rsplit(".", 1)[-1])
    weight = entry.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise RewardError(f"{place}.weight is {weight!r}; allowed: a number")
    correct = bool(entry.pop("correct", False))
    domains, sources = (_names(entry, key, place) for key in ("domains", "sources"))
    function = find_function(name, place)
    _check_parameters(function, entry, place)
    return Reward(label, step, float(weight), function, entry, correct, domains, sources)


def _names(entry: dict[str, Any], key: str, place: str) -> tuple[str, ...]:
    value = entry.pop(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise RewardError(f"{place}.{key} is {value!r}; allowed: a list of names")
    return tuple(value)


def _check_parameters(function: Callable[..., Any], parameters: Mapping[str, Any], place: str) -> None:
    signature = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.values()):
        return
    allowed = [name for name in list(signature)[1:] if name not in INJECTED]
    for name in parameters:
        if name not in allowed:
            near = get_close_matches(name, allowed, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed) or 'none'}"
            raise RewardError(f"{place} has an unknown parameter {name!r}{hint}")


def find_function(name: str, place: str = "reward") -> Callable[..., Any]:
    """The function behind a shipped name, `file.py:function`, `package.module:function` or a dotted path."""
    target = SHIPPED.get(name, name)
    if ":" in target:
        module_name, _, attribute = target.rpartition(":")
    elif "." in target:
        module_name, _, attribute = target.rpartition(".")
    else:
        module_name = attribute = ""
    if not module_name or not attribute:
        near = get_close_matches(name, SHIPPED, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RewardError(f"{place}: no reward named {name!r}{hint} (shipped: {', '.join(SHIPPED)})")
    module = _load_file(module_name, place) if module_name.endswith(".py") else _load_module(module_name, place)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise RewardError(f"{place}: {module_name} has no function {attribute!r}")
    return function


def _load_file(path: str, place: str) -> Any:
    file = Path(path).expanduser()
    if not file.is_file():
        raise RewardError(f"{place}: no file {path!r} (looked in {Path.cwd()})")
    spec = importlib.util.spec_from_file_location(f"reward_plugin_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise RewardError(f"{place}: {path!r} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # Whatever a plug-in does when it is loaded, its file is what the user must mend.
        raise RewardError(f"{place}: {path!r} fails to load: {type(error).__name__}: {error}") from error
    return module


def _load_module(name: str, place: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RewardError(f"{place}: cannot import {name!r} ({error})") from error

"""From a line of configuration to a reward: its function, weight, limits and parameters, all checked at once.

`rewards/lookup.py` finds the function, `rewards/plugin.py` says what it may take and return. A parameter that is
called `function` names another function and is found in the same way: that is how the adapters take one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rewards.lookup import find_function
from rewards.parameters import AboveZero, type_hints, typed
from rewards.plugin import SCOPES, RewardError
from rollout.errors import nearest

STEPS = ("judge", "answer")
# What an entry may say besides name, step, label and the function's own parameters: (type, default).
OWN = {"weight": (float, 1.0), "correct": (bool, False), "domains": (list[str], []), "sources": (list[str], [])}
RESERVED = ("correct", "answer_reward", "judge_reward")
# What a function is given by the trainer when its signature has it: the problem's pass counts, the optimizer step.
INJECTED = ("history", "step")


@dataclass(frozen=True)
class Reward:
    """One configured reward. `correct` marks the answer reward that says whether the answer is right; `domains`
    and `sources` limit it to some problems (empty: all); `timeout_s` is the limit of one call (None: none)."""

    name: str
    step: str
    weight: float
    function: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    correct: bool = False
    domains: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    timeout_s: float | None = None

    @property
    def scope(self) -> str:
        """What the function takes: a rollout, a group, or a batch."""
        return getattr(self.function, "scope", "rollout")

    def wants(self, name: str) -> bool:
        """Whether the function takes this one of `INJECTED`."""
        return name in inspect.signature(self.function).parameters

    def applies_to(self, domain: str, source: str) -> bool:
        """Whether problems of this domain and source are scored by it; "MATH" is the domain math."""
        return _is_named(domain, self.domains) and _is_named(source, self.sources)


def _is_named(name: str, names: Sequence[str]) -> bool:
    return not names or name.casefold() in {one.casefold() for one in names}


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
        rewards[answers[0]] = replace(rewards[answers[0]], correct=True)
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
    label = typed(entry.pop("label", _last_part(entry.get("function", name))), str, f"{place}.label")
    known = {key: typed(entry.pop(key, default), hint, f"{place}.{key}") for key, (hint, default) in OWN.items()}
    known |= {key: tuple(known[key]) for key in ("domains", "sources")}
    function = find_function(name, place)
    if isinstance(entry.get("function"), str):
        entry["function"] = find_function(entry["function"], f"{place}.function")
    timeout_s = _timeout(function, entry, place)
    _check_function(function, entry, place)
    hints = type_hints(function)
    parameters = {key: typed(value, hints.get(key, Any), f"{place}.{key}") for key, value in entry.items()}
    return Reward(label, step, function=function, parameters=parameters, timeout_s=timeout_s, **known)


def _last_part(name: Any) -> str:
    return str(name).rsplit(":", 1)[-1].rsplit(".", 1)[-1]


def _timeout(function: Callable[..., Any], entry: dict[str, Any], place: str) -> float | None:
    """The limit of one call; None where the function takes `timeout_s` itself, as math does."""
    if "timeout_s" in inspect.signature(function).parameters:
        return None
    value = entry.pop("timeout_s", None)
    return None if value is None else typed(value, AboveZero, f"{place}.timeout_s")


def _check_function(function: Callable[..., Any], parameters: Mapping[str, Any], place: str) -> None:
    scope = getattr(function, "scope", "rollout")
    if scope not in SCOPES:
        raise RewardError(f"{place}: its scope is {scope!r}; allowed: {', '.join(SCOPES)}")
    signature = list(inspect.signature(function).parameters.values())
    if scope == "batch" and "history" in [p.name for p in signature]:
        raise RewardError(f"{place} is a batch reward with a parameter 'history'; allowed: rollout and group rewards")
    named = [p for p in signature[1:] if p.name not in INJECTED and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in parameters:
            raise RewardError(f"{place} lacks the parameter {parameter.name!r}, which has no default")
    if any(p.kind is p.VAR_KEYWORD for p in signature):
        return
    allowed = [p.name for p in named]
    for name in parameters:
        if name not in allowed:
            hint = nearest(name, allowed, f"allowed: {', '.join(allowed) or 'none'}")
            raise RewardError(f"{place} has an unknown parameter {name!r}; {hint}")

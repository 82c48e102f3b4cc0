"""A group from plain lists, every value checked: what `rl.algorithms.compute` accepts.

`context`, all of it optional:

    switch_probs        {think, no_think} or a pair, one a rollout or one for the group (default ½, ½)
    forced, truncated   a flag a rollout (default none)
    judge_scores        q, one a rollout (default: from `correct`, see `judge_scores`)
    history             {mode: pass rate} or {mode: (successes, trials)} of earlier visits
    necessity           think or no_think, the problem's label
    batch_think_share   in [0, 1] (default: unknown)
    batch_target_share  in [0, 1] (default: unknown)
    reference_accuracy  a number (default: the history's pass rate of thinking, else unknown)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.builtin.judge import PassCounts, pooled_pass_rates, right_mode
from rl.algorithms.group import Array, GroupArrays
from rl.algorithms.parameters import nearest
from rollout.errors import UserError
from rollout.types import MODES, Mode

CONTEXT = (
    "switch_probs",
    "forced",
    "truncated",
    "judge_scores",
    "history",
    "necessity",
    "batch_think_share",
    "batch_target_share",
    "reference_accuracy",
)


def group_from_lists(
    modes: Sequence[Any], rewards: Any, correct: Any, lengths: Any, progress: Any, context: Mapping[str, Any]
) -> GroupArrays:
    """The arrays of one group. Raises `UserError` naming the value that is not allowed."""
    for key in context:
        if key not in CONTEXT:
            raise UserError(f"context has an unknown key {key!r}{nearest(key, list(CONTEXT))} ({', '.join(CONTEXT)})")
    known = tuple(_mode(mode, f"modes[{i}]") for i, mode in enumerate(modes))
    size = len(known)
    if size == 0:
        raise UserError("modes is empty; allowed: one mode (or None) a rollout")
    given = {key: value for key, value in context.items() if value is not None}
    history = _counts(given.get("history", {}))
    past = history.get("think", PassCounts())
    reference = past.successes / past.trials if past.trials > 0 else None
    undecided = np.array([mode is None for mode in known])
    rewards_G = _numbers(rewards, size, "rewards")
    return GroupArrays(
        modes=known,
        rewards_G=np.where(undecided, 0.0, rewards_G),
        judge_G=np.where(undecided, 0.0, _numbers(given.get("judge_scores", [0.0] * size), size, "judge_scores")),
        correct_G=np.where(undecided, 0.0, _numbers(correct, size, "correct", 0.0, 1.0)),
        lengths_G=_numbers(lengths, size, "lengths", 0.0),
        switch_probs_GM=_switch_probs(given.get("switch_probs", (0.5, 0.5)), size),
        forced_G=_flags(given.get("forced"), size, "forced"),
        truncated_G=_flags(given.get("truncated"), size, "truncated"),
        progress=_number(progress, "progress", 0.0, 1.0),
        necessity=_mode(given.get("necessity"), "necessity"),
        history=history,
        batch_think_share=_optional(given, "batch_think_share", 0.0, 1.0),
        batch_target_share=_optional(given, "batch_target_share", 0.0, 1.0),
        reference_accuracy=_optional(given, "reference_accuracy") if "reference_accuracy" in given else reference,
    )


def judge_scores(group: GroupArrays, history: Any = None, margin: float = 0.05, wrong: float = 0.0) -> Array:
    """q of every rollout: 1 in the right mode, `wrong` in the other, 0 where nothing is right or no mode was chosen.

    p_m is the pass rate in this group. A history of counts is pooled with it as rewards/builtin/judge.py does; a
    history of rates is taken as the pooled pass rates themselves.
    """
    correct = group.correct_G.tolist()
    rates = pooled_pass_rates(group.modes, correct, prior=0.0)
    if history:
        if any(_is_number(value) for value in history.values()):
            rates = {mode: float(history[mode]) if mode in history else rates[mode] for mode in MODES}
        else:
            rates = pooled_pass_rates(group.modes, correct, group.history)
    right = right_mode(rates, margin)
    return np.array([0.0 if right is None or m is None else 1.0 if m == right else wrong for m in group.modes])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.bool_) and math.isfinite(value)


def _number(value: Any, place: str, lowest: float = -math.inf, highest: float = math.inf) -> float:
    if _is_number(value) and lowest <= value <= highest:
        return float(value)
    span = "a finite number" if lowest == -math.inf else f"{lowest:g} to {highest:g}" if highest < math.inf else "≥ 0"
    raise UserError(f"{place} is {value!r}; allowed: {span}")


def _optional(given: Mapping[str, Any], key: str, lowest: float = -math.inf, highest: float = math.inf) -> float | None:
    return _number(given[key], f"context.{key}", lowest, highest) if key in given else None


def _list(values: Any, size: int, place: str) -> list[Any]:
    if isinstance(values, str | Mapping) or not hasattr(values, "__len__"):
        raise UserError(f"{place} is {values!r}; allowed: a list of {size}, one a rollout")
    if len(values) != size:
        raise UserError(f"{place} has {len(values)} values; allowed: {size}, as many as modes")
    return list(values)


def _numbers(values: Any, size: int, place: str, lowest: float = -math.inf, highest: float = math.inf) -> Array:
    listed = _list(values, size, place)
    return np.array([_number(v, f"{place}[{i}]", lowest, highest) for i, v in enumerate(listed)], dtype=float)


def _flags(values: Any, size: int, place: str) -> Array:
    return np.zeros(size) if values is None else np.array([bool(v) for v in _list(values, size, place)], dtype=float)


def _mode(value: Any, place: str) -> Mode | None:
    if value is None:
        return None
    for mode in MODES:
        if isinstance(value, str) and value == mode:
            return mode
    raise UserError(f"{place} is {value!r}{nearest(value, list(MODES))} (allowed: {', '.join(MODES)}, None)")


def _switch_probs(values: Any, size: int) -> Array:
    shared = isinstance(values, Mapping) or (len(values) == 2 and all(_is_number(v) for v in values))
    listed = [values] * size if shared else _list(values, size, "switch_probs")
    return np.array([_pair(value, f"switch_probs[{i}]") for i, value in enumerate(listed)])


def _pair(value: Any, place: str) -> list[float]:
    if value is None:  # a rollout without a switch
        value = {}
    if not isinstance(value, Mapping):
        value = dict(zip(("think", "no_think"), _list(value, 2, place), strict=True))
    pair = [value.get(mode, 0.0) for mode in MODES]
    return [_number(p, place, 0.0, 1.0) for p in pair]


def _counts(history: Any) -> dict[str, PassCounts]:
    if not isinstance(history, Mapping):
        raise UserError(f"history is {history!r}; allowed: {{mode: rate}} or {{mode: (successes, trials)}}")
    counts = {}
    for mode, value in history.items():
        place = f"history.{mode}"
        if _mode(mode, "history's key") is None or value is None:
            continue
        if _is_number(value):
            counts[mode] = PassCounts(_number(value, place, 0.0, 1.0), 1.0)
            continue
        pair = (value.successes, value.trials) if isinstance(value, PassCounts) else _list(value, 2, place)
        successes, trials = (_number(v, place, 0.0) for v in pair)
        if successes > trials:
            raise UserError(f"{place} is {value!r}; allowed: (successes, trials) with successes up to trials")
        counts[mode] = PassCounts(successes, trials)
    return counts

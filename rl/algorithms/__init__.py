"""Algorithms by name. One file each; adding one is a function and a line in `SHIPPED`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from rewards.judge import right_mode
from rewards.registry import find_function
from rl.algorithms import grpo, step_srpo
from rl.algorithms.base import Algorithm, Array, GroupArrays, LossOptions
from rollout.errors import UserError
from rollout.plan import ForcedShare
from rollout.types import MODES, Mode

FREE = ForcedShare(start=0.0, floor=0.0, decay_steps=0, minimum=0)

SHIPPED = {
    "step_srpo": Algorithm("step_srpo", step_srpo.advantages, {}),
    "grpo": Algorithm("grpo", grpo.advantages, {}, LossOptions(judge_weight=1.0, judge_mean="tokens"), FREE),
}


def build_algorithm(settings: Mapping[str, Any]) -> Algorithm:
    """The algorithm of a config section such as `{name: step_srpo, kappa: 1.0, judge_weight: 0.4}`. `name` may be
    `file.py:function`, a function with the signature of `rl.algorithms.step_srpo.advantages`. Raises `UserError`."""
    settings = dict(settings)
    name = settings.pop("name", "step_srpo")
    if name in SHIPPED:
        base = SHIPPED[name]
    elif ":" in name or "." in name:
        base = Algorithm(name, find_function(name, "algorithm.name"), {})
    else:
        near = get_close_matches(name, SHIPPED, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"algorithm.name is {name!r}{hint} (allowed: {', '.join(SHIPPED)} or file.py:function)")
    options = {f.name for f in dataclasses.fields(LossOptions)}
    loss = {key: settings.pop(key) for key in list(settings) if key in options}
    allowed = list(inspect.signature(base.advantages).parameters)[1:]
    for key in settings:
        if key not in allowed:
            near = get_close_matches(key, [*allowed, *options], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"algorithm.{key} is unknown to {name!r}{hint} (allowed: {', '.join(allowed)})")
    return dataclasses.replace(base, parameters=settings, loss=dataclasses.replace(base.loss, **loss))


def compute(
    name: str,
    modes: Sequence[Mode | None],
    rewards: Sequence[float],
    correct: Sequence[float],
    lengths: Sequence[float],
    *,
    progress: float = 0.0,
    params: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> tuple[Array, Array]:
    """(judge_G, answer_G) of one group, from plain lists. `context` may carry `judge_scores` (else 1 for the mode
    that `correct` calls right by `params["margin"]`, `params["wrong"]` for the other), `switch_probs` (G pairs),
    `forced` and `truncated` (G flags). The other `params` are the algorithm's own."""
    context, own = dict(context or {}), dict(params or {})
    judging = {key: float(own.pop(key)) for key in ("margin", "wrong") if key in own}
    count = len(modes)
    judge = context.get("judge_scores")
    if judge is None:
        judge = _judge_scores(modes, correct, **judging)
    group = GroupArrays(
        modes=tuple(modes),
        rewards_G=np.asarray(rewards, dtype=float),
        judge_G=np.asarray(judge, dtype=float),
        correct_G=np.asarray(correct, dtype=float),
        lengths_G=np.asarray(lengths, dtype=float),
        switch_probs_G2=np.asarray(context.get("switch_probs", np.full((count, 2), 0.5)), dtype=float),
        forced_G=np.asarray(context.get("forced", np.zeros(count)), dtype=float),
        truncated_G=np.asarray(context.get("truncated", np.zeros(count)), dtype=float),
        progress=progress,
    )
    return build_algorithm({"name": name, **own})(group)


def _judge_scores(
    modes: Sequence[Mode | None], correct: Sequence[float], margin: float = 0.05, wrong: float = 0.0
) -> list[float]:
    values = {m: [c for mode, c in zip(modes, correct, strict=True) if mode == m] for m in MODES}
    rates = {m: (sum(v) / len(v) if v else None) for m, v in values.items()}
    right = right_mode(rates, margin)
    return [0.0 if right is None or mode is None else 1.0 if mode == right else wrong for mode in modes]

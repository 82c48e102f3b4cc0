"""Groups to floats: every key that reaches W&B and `metrics.jsonl` is made here.

Means are over the rollouts they name; a key whose set is empty in a step is left out of it. `free` is a rollout whose
mode the policy chose. Forced shares and free shares are kept apart: only free choices say what the policy wants.
Rollouts that a reward broke on count in `reward/broken`, `reward/broken_share` and `tokens/total`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rl.statistics.targets import judge_target, think_share
from rollout.types import MODES, STATUSES, Rollout, RolloutGroup


def step_metrics(
    groups: Sequence[RolloutGroup],
    judge_advantages: Sequence[float],
    answer_advantages: Sequence[float],
    *,
    forced_share: float,
    history_size: int,
) -> dict[str, float]:
    """The metrics of one step over all ranks; advantages are one float a rollout, in the order of the groups."""
    every = [r for g in groups for r in g.rollouts]
    groups = [g.usable() for g in groups]
    rollouts = [r for g in groups for r in g.rollouts]
    judge_advantages, answer_advantages = (
        [a for a, r in zip(advantages, every, strict=True) if not r.broken]
        for advantages in (judge_advantages, answer_advantages)
    )
    metrics = {
        "reward/broken": float(len(every) - len(rollouts)),
        "reward/broken_share": _mean(bool(r.broken) for r in every),
        "reward/answer": _mean(r.scores["answer_reward"] for r in rollouts),
        "reward/judge": _mean(r.scores["judge_reward"] for r in rollouts),
        "advantage/judge": _mean(judge_advantages),
        "advantage/judge_abs": _mean(map(abs, judge_advantages)),
        "advantage/answer": _mean(answer_advantages),
        "advantage/answer_abs": _mean(map(abs, answer_advantages)),
        "accuracy": _mean(r.scores["correct"] for r in rollouts),
        "tokens": _mean(len(r.completion_ids) for r in rollouts),
        "tokens/total": float(sum(len(r.completion_ids) for r in every)),
        "forced_share": forced_share,
        "history/problems": float(history_size),
        "judge/target_think": _target_share(groups),
    }
    metrics |= _by_mode(rollouts) | _by_difficulty(rollouts) | _switch(rollouts)
    metrics |= {f"status/{s}": _mean(r.status == s for r in rollouts) for s in STATUSES}
    for name in sorted({name for r in rollouts for name in r.scores}):
        metrics[f"score/{name}"] = _mean(r.scores[name] for r in rollouts if name in r.scores)
    return {key: value for key, value in metrics.items() if not math.isnan(value)}


def _mean(values: Iterable[float]) -> float:
    numbers = [float(v) for v in values]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _by_mode(rollouts: Sequence[Rollout]) -> dict[str, float]:
    free = [r for r in rollouts if not r.forced]
    metrics = {}
    for mode in MODES:
        mine = [r for r in rollouts if r.mode == mode]
        metrics[f"accuracy/{mode}"] = _mean(r.scores["correct"] for r in mine)
        metrics[f"tokens/{mode}"] = _mean(len(r.completion_ids) for r in mine)
        metrics[f"share/{mode}"] = _mean(r.mode == mode for r in rollouts)
        metrics[f"free_share/{mode}"] = _mean(r.mode == mode for r in free)
    return metrics


def _by_difficulty(rollouts: Sequence[Rollout]) -> dict[str, float]:
    metrics = {}
    for level in sorted({r.problem.difficulty for r in rollouts if r.problem.difficulty is not None}):
        mine = [r for r in rollouts if r.problem.difficulty == level]
        metrics[f"think_rate/{level}"] = _mean(r.mode == "think" for r in mine if not r.forced)
        metrics[f"think_probability/{level}"] = _mean(think_share(r) for r in mine if r.switch_probs)
        for mode in MODES:
            metrics[f"accuracy/{mode}/{level}"] = _mean(r.scores["correct"] for r in mine if r.mode == mode)
    return metrics


def _switch(rollouts: Sequence[Rollout]) -> dict[str, float]:
    shares = np.array([think_share(r) for r in rollouts if r.switch_probs])
    if not len(shares):
        return {}
    p = np.clip(shares, 1e-12, 1 - 1e-12)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    return {"switch/entropy": float(entropy.mean()), "switch/think_probability": float(shares.mean())}


def _target_share(groups: Sequence[RolloutGroup]) -> float:
    """Share of the groups whose judge reward prefers thinking, among those where it prefers a mode."""
    targets = [judge_target(group) for group in groups]
    return _mean(target == "think" for target in targets if target is not None)


def step_line(step: int, total: int, metrics: Mapping[str, float]) -> str:
    """One readable line a step."""
    parts = [f"step {step:>{len(str(total))}}/{total}"]
    for label, key, spec in (
        ("answer", "reward/answer", ".2f"),
        ("judge", "reward/judge", ".2f"),
        ("think", "free_share/think", ".0%"),
        ("target", "judge/target_think", ".0%"),
        ("tokens", "tokens", ".0f"),
        ("entropy", "switch/entropy", ".2f"),
        ("s", "time/step", ".1f"),
    ):
        if key in metrics:
            parts.append(f"{label} {metrics[key]:{spec}}")
    rates = [f"{k.split('/')[1]}:{v:.0%}" for k, v in metrics.items() if k.startswith("think_probability/")]
    if rates:
        parts.append("p(think) " + " ".join(rates))
    return " | ".join(parts)

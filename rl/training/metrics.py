"""Groups to floats: every key that reaches W&B and `metrics.jsonl` is made here.

Means are over the rollouts they name; a key whose set is empty in a step is left out of it. `free` is a rollout whose
mode the policy chose. Forced shares and free shares are kept apart: only free choices say what the policy wants.
Rollouts whose prompt states a mode count in `obedience/MODE`, `groups/*`, `reward/broken*` and `tokens/total` alone.
Rollouts that a reward broke on count in `reward/broken`, `reward/broken_share` and `tokens/total`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rl.statistics.targets import judge_target, think_share
from rollout.types import MODES, Rollout, RolloutGroup, Status, untagged

ACCURACIES = (("think", "accuracy/think"), ("direct", "accuracy/no_think"))


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
    informative = _informative(groups, judge_advantages, answer_advantages)
    obeyed = _obedience([r for r in every if r.stated and not r.broken])
    groups = [g.usable() for g in untagged(groups)]
    rollouts = [r for g in groups for r in g.rollouts]
    judge_advantages, answer_advantages = (
        [a for a, r in zip(advantages, every, strict=True) if not (r.broken or r.stated)]
        for advantages in (judge_advantages, answer_advantages)
    )
    metrics = {
        "reward/broken": float(sum(bool(r.broken) for r in every)),
        "reward/broken_share": _mean(bool(r.broken) for r in every),
        "reward/answer": _mean(r.scores["answer_reward"] for r in rollouts),
        "reward/judge": _mean(r.scores["judge_reward"] for r in rollouts),
        "advantage/judge": _mean(judge_advantages),
        "advantage/judge_abs": _mean(map(abs, judge_advantages)),
        "advantage/answer": _mean(answer_advantages),
        "advantage/answer_abs": _mean(map(abs, answer_advantages)),
        "accuracy": _mean(r.scores["correct"] for r in rollouts),
        "accuracy/gain": _mean(_gain(g) for g in groups if {r.mode for r in g.rollouts} >= set(MODES)),
        "tokens": _mean(len(r.completion_ids) for r in rollouts),
        "tokens/total": float(sum(len(r.completion_ids) for r in every)),
        "forced_share": forced_share,
        "history/problems": float(history_size),
        "judge/target_think": _target_share(groups),
    }
    metrics |= obeyed | _by_mode(rollouts) | _by_difficulty(rollouts) | _switch(rollouts) | informative
    metrics |= {f"status/{s}": _mean(r.status == s for r in rollouts) for s in Status}
    for name in sorted({name for r in rollouts for name in r.scores}):
        metrics[f"score/{name}"] = _mean(r.scores[name] for r in rollouts if name in r.scores)
    return {key: value for key, value in metrics.items() if not math.isnan(value)}


def _mean(values: Iterable[float]) -> float:
    numbers = [float(v) for v in values]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _obedience(rollouts: Sequence[Rollout]) -> dict[str, float]:
    return {f"obedience/{mode}": _mean(r.mode == mode for r in rollouts if r.stated == mode) for mode in MODES}


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


def _gain(group: RolloutGroup) -> float:
    """How much more often a group's thoughts are right than its direct answers."""
    direct, think = (_mean(r.scores["correct"] for r in group.rollouts if r.mode == mode) for mode in MODES)
    return think - direct


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


def _informative(
    groups: Sequence[RolloutGroup], judge_advantages: Sequence[float], answer_advantages: Sequence[float]
) -> dict[str, float]:
    """The share of groups with an advantage somewhere; of the others, why they have none."""
    place, silent = 0, []
    for group in groups:
        end = place + len(group.rollouts)
        if not any(judge_advantages[place:end]) and not any(answer_advantages[place:end]):
            silent.append(group.usable().rollouts)
        place = end
    count = len(groups) or 1
    scores = [[r.scores["correct"] for r in rollouts] for rollouts in silent]
    return {
        "groups/informative": 1 - len(silent) / count,
        "groups/all_right": sum(bool(one) and min(one) >= 1 for one in scores) / count,
        "groups/all_wrong": sum(bool(one) and max(one) <= 0 for one in scores) / count,
        "groups/one_mode": sum(len({r.mode for r in rollouts}) == 1 for rollouts in silent) / count,
    }


def _target_share(groups: Sequence[RolloutGroup]) -> float:
    """Share of the groups whose judge reward prefers thinking, among those where it prefers a mode."""
    targets = [judge_target(group) for group in groups]
    return _mean(target == "think" for target in targets if target is not None)


def step_line(
    step: int,
    total: int,
    metrics: Mapping[str, float],
    easy: Sequence[str] = (),
    hard: Sequence[str] = (),
    left_s: float = 0,
) -> str:
    """One readable line a step: accuracy by mode, how often it would think on easy and hard problems, tokens, seconds,
    and the time that is left."""
    parts = [f"step {step:>{len(str(total))}}/{total}"]
    right = [f"{name} {metrics[key]:.0%}" for name, key in ACCURACIES if key in metrics]
    parts += [f"right: {', '.join(right)}"] if right else []
    thinks = [_thinks(metrics, name, levels) for name, levels in (("easy", easy), ("hard", hard))]
    if not any(thinks):
        thinks = [f"{metrics['free_share/think']:.0%}"] if "free_share/think" in metrics else []
    parts += [f"thinks: {', '.join(filter(None, thinks))}"] if any(thinks) else []
    for label, key, spec in (("judge", "reward/judge", ".2f"), ("tokens", "tokens", ".0f"), ("loss", "loss", ".3f")):
        parts += [f"{label} {metrics[key]:{spec}}"] if key in metrics else []
    parts += [f"{metrics['time/step']:.1f} s"] if "time/step" in metrics else []
    return " | ".join([*parts, *([f"{clock(left_s)} left"] if left_s > 0 else [])])


def clock(seconds: float) -> str:
    """A duration for people.

    >>> clock(42), clock(600), clock(7300)
    ('42 s', '10 min', '2 h 2 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _thinks(metrics: Mapping[str, float], name: str, levels: Sequence[str]) -> str:
    """The mean probability of thinking over these levels, with its name; empty where none was met."""
    found = [metrics[f"think_probability/{level}"] for level in levels if f"think_probability/{level}" in metrics]
    return f"{name} {sum(found) / len(found):.0%}" if found else ""

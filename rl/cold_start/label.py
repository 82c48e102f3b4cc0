"""Necessity labels: how often the model solves a problem with thinking and without, and its best answers of each kind.

For each problem N answers of each mode, the mode forced, scored by the run's own rewards:

    p_m          = mean correctness of mode m
    label        = think  if  p_think − p_no_think > delta,  else no_think     (majority vote, KAT-V1, arXiv 2507.08297)
    complexity C = 1 − mean correctness over all samples                       (Pangu Embedded, arXiv 2505.22375, eq. 1)

A small share of the problems gets a random label instead. The shortest correct answer of each mode, well formed and
without reasoning in a direct one, is kept as an example to learn from. A row is the problem itself with its `necessity`
and everything measured under `label`, so a labelled file is a data file.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from rewards.registry import Reward
from rl.config.cold_start import LabelConfig
from rl.config.schema import Config
from rl.data import problem_to_row
from rl.evaluation.answer import answer
from rl.files.row_store import RowStore
from rl.statistics.reflection import leaks
from rollout.engines.base import Engine, Sampling
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Mode, Problem, Rollout, RolloutGroup

EPSILON = 1e-9


def label_problems(
    config: Config,
    problems: Sequence[Problem],
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    store: RowStore,
) -> int:
    """Label what the store does not hold yet, a batch at a time; returns how many problems that were. Answers that a
    reward broke on (`reward_errors.policy: drop`) count nowhere; a problem without any other of a mode gets no row."""
    settings = config.label
    plan = tuple(mode for mode in MODES for _ in range(settings.samples))
    length = settings.max_new_tokens or config.rollout.max_new_tokens
    sampling = Sampling(config.rollout.temperature, config.rollout.top_p, config.rollout.top_k, length)
    if all(problem.id in store for problem in problems):
        return 0
    store.hold()
    missing = [problem for problem in problems if problem.id not in store]
    labelled = 0
    for groups in answer(config, missing, plan, engine, protocol, rewards, sampling, rows=settings.batch, show="label"):
        rows = [label_row(group, settings, config.seed) for group in groups if all(_by_mode(group).values())]
        store.append(rows)
        labelled += len(rows)
    return labelled


def label_row(group: RolloutGroup, settings: LabelConfig, seed: int) -> dict[str, Any]:
    """The row of one problem from its scored rollouts, as many forced into each mode."""
    correct = [r.scores["correct"] for r in group.usable().rollouts]
    modes: dict[str, Any] = {mode: _measured(rollouts, settings) for mode, rollouts in _by_mode(group).items()}
    necessity = majority_label(modes["think"]["pass_rate"], modes["no_think"]["pass_rate"], settings.delta)
    rng = random.Random(f"label-{seed}-{group.problem.id}")
    at_random = rng.random() < settings.random_share
    if at_random:
        necessity = rng.choice(MODES)
    label = {"complexity": 1 - sum(correct) / len(correct), "random": at_random, **modes}
    return problem_to_row(group.problem) | {"necessity": necessity, "label": label}


def _by_mode(group: RolloutGroup) -> dict[Mode, list[Rollout]]:
    """The rollouts that were forced into each mode, without broken ones."""
    return {mode: [r for r in group.rollouts if r.forced == mode and not r.broken] for mode in MODES}


def majority_label(think: float, no_think: float, delta: float) -> Mode:
    """The mode with the higher pass rate; direct when thinking is not better by more than `delta`."""
    return "think" if think - no_think > delta + EPSILON else "no_think"


def _measured(rollouts: Sequence[Rollout], settings: LabelConfig) -> dict[str, Any]:
    good = [r for r in rollouts if is_example(r, settings.direct_tokens)]
    best = min(good, key=lambda r: len(r.completion_ids), default=None)
    count = len(rollouts)
    return {
        "samples": count,
        "pass_rate": sum(r.scores["correct"] for r in rollouts) / count,
        "mean_tokens": sum(len(r.completion_ids) for r in rollouts) / count,
        "shortest": example_of(best) if best else None,
    }


def is_example(rollout: Rollout, direct_tokens: int = 0) -> bool:
    """Whether an answer is fit to learn from: correct, well formed, no reasoning in a direct one."""
    return rollout.scores["correct"] >= 1 and rollout.status == "ok" and not leaks(rollout, direct_tokens)


def example_of(rollout: Rollout) -> dict[str, Any]:
    """The texts that the protocol writes this response from again."""
    texts = {"judge": rollout.judge_text, "thinking": rollout.think_text, "answer": rollout.answer_text}
    return texts | {"tokens": len(rollout.completion_ids)}


def summary_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How the labels of these rows are spread, for people."""
    if not rows:
        return ["labels: none"]
    labels = [row["label"] for row in rows]
    lines = [f"labels: {len(rows)}, mean complexity {sum(one['complexity'] for one in labels) / len(rows):.3f}"]
    for mode in MODES:
        share = sum(row["necessity"] == mode for row in rows) / len(rows)
        rate, tokens = (sum(one[mode][key] for one in labels) / len(rows) for key in ("pass_rate", "mean_tokens"))
        solved = sum(one[mode]["shortest"] is not None for one in labels)
        lines.append(f"{mode}: label {share:.1%}, pass rate {rate:.3f}, tokens {tokens:.1f}, {solved} with an example")
    return lines

"""From two advantages a rollout to one (B, T) tensor for TRL's token-mean loss.

The objective (docs/algorithm.md) averages the judge step over rollouts and the answer step over tokens:

    L = − w_J · (1/n) Σ_i Σ_{t∈J_i} ρ A_judge  −  (1/N_A) Σ_i Σ_{t∈A_i} ρ A_answer

TRL's `dapo` loss is `−(1/N) Σ_t min(ρ A'_t, clip(ρ) A'_t)` with N the trained tokens of the whole batch, so

    A'_t = A_judge · w_J · N / n  on judge tokens,      A'_t = A_answer · N / N_A  on answer tokens

gives the same loss; scaling by a positive number commutes with the minimum. Exact when one generation batch is one
optimizer step. n, N and N_A are counts over all ranks. With `judge_mean: tokens` both steps share one token mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl.algorithms.base import LossOptions
from rollout.types import Rollout

Mask = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Over all ranks: rollouts n, trained tokens N, trained answer tokens N_A."""

    rollouts: int
    tokens: int
    answer_tokens: int


def step_masks(rollout: Rollout, forced_switch: str) -> tuple[Mask, Mask]:
    """(judge mask, answer mask) of the trained tokens of one rollout, each of shape (T,).

    A free rollout trains all its sampled tokens. In a forced one the judge text did not choose the mode, so of the
    judge step only the switch is trained (`uncorrected`) or nothing (`masked`); text written along with the switch is
    never trained. Without a switch all tokens are judge tokens. A broken rollout trains none.
    """
    length = len(rollout.completion_ids)
    if rollout.broken:
        return np.zeros(length), np.zeros(length)
    sampled_T = np.array(rollout.sampled or [1] * length, dtype=float)
    judge_T = np.zeros(length)
    if rollout.switch_index is None:
        return sampled_T, np.zeros(length)
    end = rollout.switch_index + 1
    if not rollout.forced:
        judge_T[:end] = sampled_T[:end]
    elif forced_switch == "uncorrected":
        judge_T[rollout.switch_index] = 1.0
    answer_T = sampled_T.copy()
    answer_T[:end] = 0.0
    return judge_T, answer_T


def trained_mask(rollout: Rollout, forced_switch: str) -> list[int]:
    """1 for every token that the loss trains, 0 for the rest: TRL's `env_mask`."""
    judge_T, answer_T = step_masks(rollout, forced_switch)
    return [int(value) for value in judge_T + answer_T]


def count_tokens(rollouts: Sequence[Rollout], forced_switch: str) -> Counts:
    """The counts of these rollouts, broken ones left out; sum them over ranks."""
    masks = [step_masks(r, forced_switch) for r in rollouts]
    judge, answer = (int(sum(m[k].sum() for m in masks)) for k in (0, 1))
    return Counts(sum(not r.broken for r in rollouts), judge + answer, answer)


def token_advantages(
    rollouts: Sequence[Rollout],
    judge_B: Sequence[float],
    answer_B: Sequence[float],
    options: LossOptions,
    counts: Counts,
) -> Mask:
    """The (B, T) advantages A' of these rollouts, zero where nothing is trained; T is the longest completion."""
    tokens = max(counts.tokens, 1)
    if options.judge_mean == "rollouts":
        judge_scale = options.judge_weight * tokens / max(counts.rollouts, 1)
        answer_scale = tokens / max(counts.answer_tokens, 1)
    else:
        judge_scale, answer_scale = options.judge_weight, 1.0
    longest = max(len(r.completion_ids) for r in rollouts)
    advantages_BT = np.zeros((len(rollouts), longest))
    for row, (rollout, judge, answer) in enumerate(zip(rollouts, judge_B, answer_B, strict=True)):
        judge_T, answer_T = step_masks(rollout, options.forced_switch)
        length = len(rollout.completion_ids)
        advantages_BT[row, :length] = judge_scale * judge * judge_T + answer_scale * answer * answer_T
    return advantages_BT

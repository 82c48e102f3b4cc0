"""From two advantages a rollout to one (B, T) tensor for TRL's token-mean loss.

The objective (docs/algorithm.md) averages the judge step over rollouts and the answer step over tokens:

    L = − w_J · (1/n) Σ_i Σ_{t∈J_i} ρ A_judge  −  (1/N_A) Σ_i Σ_{t∈A_i} ρ A_answer

TRL's `dapo` loss is `−(1/N) Σ_t min(ρ A'_t, clip(ρ) A'_t)` with N the trained tokens of the whole batch, so

    A'_t = A_judge · w_J · N / n  on judge tokens,      A'_t = A_answer · N / N_A  on answer tokens

gives the same loss; scaling by a positive number commutes with the minimum. Exact when one generation batch is one
optimizer step. n, N and N_A are counts over all ranks. Other algorithms average differently (`LossOptions`):

    answer_mean   tokens 1/N_A      sequences 1/(n |A_i|)      constant 1/(n L_max)
    judge_mean    rollouts 1/n      tokens: the answer step's factor, with N for N_A and all tokens of i for A_i

`forced_switch: importance` multiplies the judge advantage of each switch by its weight; judge text keeps its own.
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


def step_masks(rollout: Rollout, forced_switch: str, judge_text: str = "judge") -> tuple[Mask, Mask]:
    """(judge mask, answer mask) of the trained tokens of one rollout, each of shape (T,).

    A free rollout trains all its sampled tokens. In a forced one the judge text did not choose the mode, so of the
    judge step only the switch is trained, or nothing (`masked`); text written along with the switch is never trained.
    Without a switch all tokens are judge tokens. With `judge_text` "answer" the judge step is the switch alone and all
    else that is trained belongs to the answer step. A broken rollout trains none.
    """
    length = len(rollout.completion_ids)
    if rollout.broken:
        return np.zeros(length), np.zeros(length)
    sampled_T = np.array(rollout.sampled or [1] * length, dtype=float)
    judge_T = np.zeros(length)
    switch = rollout.switch_index
    if switch is None:
        return (sampled_T, judge_T) if judge_text == "judge" else (judge_T, sampled_T)
    answer_T = sampled_T.copy()
    answer_T[: switch + 1] = 0.0
    if not rollout.forced:
        text_T = judge_T if judge_text == "judge" else answer_T
        text_T[:switch] = sampled_T[:switch]
        judge_T[switch] = sampled_T[switch]
    elif forced_switch != "masked":
        judge_T[switch] = 1.0
    return judge_T, answer_T


def trained_mask(rollout: Rollout, forced_switch: str) -> list[int]:
    """1 for every token that the loss trains, 0 for the rest: TRL's `env_mask`."""
    judge_T, answer_T = step_masks(rollout, forced_switch)
    return [int(value) for value in judge_T + answer_T]


def count_tokens(rollouts: Sequence[Rollout], forced_switch: str, judge_text: str = "judge") -> Counts:
    """The counts of these rollouts, broken ones left out; sum them over ranks."""
    masks = [step_masks(r, forced_switch, judge_text) for r in rollouts]
    judge, answer = (int(sum(m[k].sum() for m in masks)) for k in (0, 1))
    return Counts(sum(not r.broken for r in rollouts), judge + answer, answer)


def token_advantages(
    rollouts: Sequence[Rollout],
    judge_B: Sequence[float],
    answer_B: Sequence[float],
    options: LossOptions,
    counts: Counts,
    *,
    switch_weights_B: Sequence[float] | None = None,
    max_tokens: int = 0,
) -> Mask:
    """The (B, T) advantages A' of these rollouts, zero where nothing is trained; T is the longest completion.

    `switch_weights_B` are the weights of `forced_switch: importance`, `max_tokens` is L_max.
    """
    weights_B = switch_weights_B if switch_weights_B is not None else [1.0] * len(rollouts)
    longest = max(len(r.completion_ids) for r in rollouts)
    advantages_BT = np.zeros((len(rollouts), longest))
    for row, (rollout, judge, answer, weight) in enumerate(zip(rollouts, judge_B, answer_B, weights_B, strict=True)):
        judge_T, answer_T = step_masks(rollout, options.forced_switch, options.judge_text)
        judge_scale, answer_scale = _scales(judge_T.sum(), answer_T.sum(), options, counts, max_tokens)
        if rollout.switch_index is not None:
            judge_T[rollout.switch_index] *= weight
        length = len(rollout.completion_ids)
        advantages_BT[row, :length] = judge_scale * judge * judge_T + answer_scale * answer * answer_T
    return advantages_BT


def _scales(
    judge_tokens: float, answer_tokens: float, options: LossOptions, counts: Counts, max_tokens: int
) -> tuple[float, float]:
    """(judge, answer): N times what each advantage of a rollout with these counts is divided by."""
    tokens, rollouts = max(counts.tokens, 1), max(counts.rollouts, 1)
    joint = options.judge_mean == "tokens"
    if options.answer_mean == "tokens":
        answer = 1.0 if joint else tokens / max(counts.answer_tokens, 1)
    elif options.answer_mean == "sequences":
        answer = tokens / (rollouts * max(answer_tokens + joint * judge_tokens, 1))
    else:
        answer = tokens / (rollouts * max(max_tokens, 1))
    return options.judge_weight * (answer if joint else tokens / rollouts), answer

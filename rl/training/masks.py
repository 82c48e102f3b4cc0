"""Which tokens of a rollout the loss trains, in which part, and how many there are. Pure numpy.

`rl/training/loss.py` sums over these masks and divides by these counts.
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
    """What the loss divides by, over all ranks of one optimizer step: rollouts n, trained tokens N, trained answer
    tokens N_A, the length limit L_max in tokens, the number of ranks, over which gradients are averaged, the rollouts
    of the stored groups whose decisions are trained again, and the tokens of the cold start that are rehearsed."""

    rollouts: int
    tokens: int
    answer_tokens: int
    max_tokens: int = 0
    ranks: int = 1
    stored: int = 0
    rehearsed: int = 0


def part_masks(rollout: Rollout, options: LossOptions) -> tuple[Mask, Mask]:
    """(judge mask, answer mask) of the trained tokens of one rollout, 1 or 0, each of shape (T,).

    A free rollout trains all its sampled tokens. In a forced one the judge text did not choose the mode, so of the
    judge part only the switch is trained, or nothing (`masked`); text written along with the switch is never trained.
    Without a switch all tokens are judge tokens. With `judge_text` "answer" the judge part is the switch alone and all
    else that is trained belongs to the answer part. A rollout that counts nowhere (`counts`) trains none.
    """
    length = len(rollout.completion_ids)
    if not counts(rollout, options):
        return np.zeros(length), np.zeros(length)
    sampled_T = np.array(rollout.sampled or [1] * length, dtype=float)
    judge_T = np.zeros(length)
    switch = rollout.switch_index
    if switch is None:
        return (sampled_T, judge_T) if options.judge_text == "judge" else (judge_T, sampled_T)
    answer_T = sampled_T.copy()
    answer_T[: switch + 1] = 0.0
    if not rollout.forced:
        text_T = judge_T if options.judge_text == "judge" else answer_T
        text_T[:switch] = sampled_T[:switch]
        judge_T[switch] = sampled_T[switch]
    elif options.forced_switch != "masked":
        judge_T[switch] = 1.0
    return judge_T, answer_T


def counts(rollout: Rollout, options: LossOptions) -> bool:
    """Whether a rollout takes part in the loss: not when a reward broke on it, nor truncated where those are masked."""
    return not rollout.broken and not (rollout.truncated and options.truncated == "masked")


def count_tokens(rollouts: Sequence[Rollout], options: LossOptions) -> Counts:
    """The counts of these rollouts; sum rollouts and tokens over ranks."""
    masks = [part_masks(rollout, options) for rollout in rollouts]
    judge, answer = (int(sum(mask[part].sum() for mask in masks)) for part in (0, 1))
    return Counts(sum(counts(rollout, options) for rollout in rollouts), judge + answer, answer)

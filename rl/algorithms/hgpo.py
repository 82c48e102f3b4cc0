"""HGPO, the algorithm of LHRM (arXiv 2505.14631): one reward between the modes, one within them.

    r_inter = 1  iff  mode = argmax { R̄_think, R̄_no_think + δ }      r_intra = 1  iff  r_i is the best of its mode
    A_t = z(r_intra) + 1[t is the switch] · α · z(r_inter)            α = 1, δ = 0.2

z standardises over the whole group (sample std, 1e-6; 0 where the std is 0). So A_judge = z(r_intra) + α z(r_inter)
and A_answer = z(r_intra). All rollouts that share the best reward of their mode have r_intra = 1, also where that mode
was all wrong. A tie between the modes goes to no_think; with one mode only, that mode is the best one. A rollout
without a switch has both rewards 0 and takes part.

Plan: half of each group is forced into each mode. Loss: one mean over all tokens; sampled judge text is no switch.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from rewards.parameters import AtLeastZero
from rl.algorithms.base import ONE_MEAN, PAIRED, Algorithm
from rl.algorithms.group import Array, GroupArrays, standardise
from rollout.types import MODES, Mode


def advantages(group: GroupArrays, *, alpha: AtLeastZero = 1.0, delta: AtLeastZero = 0.2) -> tuple[Array, Array]:
    """(A_judge, A_answer), each of shape (G,)."""
    best = _best_mode(group, delta)
    inter_G = np.zeros(len(group.modes)) if best is None else group.mask(best).astype(float)
    intra_G = np.zeros(len(group.modes))
    for mode in MODES:
        mask = group.mask(mode)
        if mask.any():
            intra_G[mask] = group.rewards_G[mask] >= group.rewards_G[mask].max() - 1e-9
    answer_G = standardise(intra_G)
    return answer_G + alpha * standardise(inter_G), answer_G


def _best_mode(group: GroupArrays, delta: float) -> Mode | None:
    think, direct = group.mean_reward("think"), group.mean_reward("no_think")
    if think is None or direct is None:
        return None if think is None and direct is None else "no_think" if think is None else "think"
    return "think" if think > direct + delta + 1e-9 else "no_think"


LOSS = dataclasses.replace(ONE_MEAN, judge_text="answer")
HGPO = Algorithm("hgpo", advantages, loss=LOSS, plan=PAIRED)

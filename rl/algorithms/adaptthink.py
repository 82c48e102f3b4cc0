"""AdaptThink (arXiv 2505.13417): answer directly wherever that is no worse than a reference policy.

    A_i = r_i − R̄_ref(x) + δ · 1[no_think]        δ = 0.05; no normalisation by the group

R̄_ref(x) is the reference policy's pass rate on the problem, measured before training (the paper: 16 samples); it is
`reference_accuracy` in the problem's metadata. Without it: the pass rate of thinking at earlier visits, at the first
visit that of this group's thoughts, without any thought that of the whole group. r should be in the same units: a
format reward on top of correctness is an advantage that every well-formed response has.

A rollout without a switch takes part with r = 0 and without δ.

Published (github.com/THU-KEG/AdaptThink): clipped at 0.2 both ways, no KL, no bonus for entropy.

Plan: half of each group is forced into each mode. Loss: the forced switch's old log-probability is log ½, as if a coin
had sampled it; sequence ratio s = exp(mean_t Δ log p); each rollout counts the same.
"""

from __future__ import annotations

import dataclasses

from rewards.parameters import AtLeastZero
from rl.algorithms.base import ONE_MEAN, PAIRED, Algorithm
from rl.algorithms.group import Array, GroupArrays


def advantages(group: GroupArrays, *, delta: AtLeastZero = 0.05) -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,)."""
    both_G = group.rewards_G - _reference(group) + delta * group.mask("no_think")
    return both_G, both_G.copy()


def _reference(group: GroupArrays) -> float:
    if group.reference_accuracy is not None:
        return group.reference_accuracy
    think = group.mask("think")
    return float((group.correct_G[think] if think.any() else group.correct_G).mean())


LOSS = dataclasses.replace(ONE_MEAN, answer_mean="sequences", ratio="sequence", forced_log_prob="half")
PUBLISHED = {"clip_low": 0.2, "clip_high": 0.2}
ADAPTTHINK = Algorithm("adaptthink", advantages, loss=LOSS, plan=PAIRED, one_advantage=True, published=PUBLISHED)

"""GRPO (arXiv 2402.03300) on both modes as one pool: free choice, one advantage for every token of a rollout.

    A_i = (r_i − R̄) / (σ + 1e-6)      R̄, σ: mean and sample std over the whole group; 0 where σ is 0

A rollout without a switch takes part with its reward of 0. Nothing separates the decision from the answer: it is
the baseline that Step-SRPO is compared with.

Published (DeepSeekMath, the paper's objective): each rollout's tokens have their own mean, clipped at 0.2 both ways,
KL 0.04.

Plan: free. Loss: one mean over all tokens (DAPO's; `answer_mean: sequences` gives the paper's mean per rollout).
"""

from __future__ import annotations

from rl.algorithms.base import FREE, ONE_MEAN, Algorithm
from rl.algorithms.group import Array, GroupArrays, Scale, standardise


def advantages(group: GroupArrays, *, answer_scale: Scale = "std") -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,)."""
    rewards_G = group.rewards_G
    both_G = standardise(rewards_G) if answer_scale == "std" else rewards_G - rewards_G.mean()
    return both_G, both_G.copy()


PUBLISHED = {"answer_mean": "sequences", "clip_low": 0.2, "clip_high": 0.2, "kl": 0.04}
GRPO = Algorithm("grpo", advantages, loss=ONE_MEAN, plan=FREE, one_advantage=True, published=PUBLISHED)

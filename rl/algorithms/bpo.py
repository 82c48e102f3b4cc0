"""BPO, the algorithm of R-4B (arXiv 2508.21113): GRPO over both modes of every problem, g forced rollouts of each.

    A_i = (r_i − R̄) / (σ + 1e-6)      R̄, σ: mean and sample std over the merged 2g; 0 where σ is 0

on all tokens. A rollout without a switch takes part with its reward of 0.

Plan: half of each group is forced into each mode. Loss: that of GRPO.
"""

from __future__ import annotations

from rl.algorithms.base import ONE_MEAN, PAIRED, Algorithm
from rl.algorithms.group import Array, GroupArrays, standardise


def advantages(group: GroupArrays) -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,)."""
    both_G = standardise(group.rewards_G)
    return both_G, both_G.copy()


BPO = Algorithm("bpo", advantages, loss=ONE_MEAN, plan=PAIRED, one_advantage=True)

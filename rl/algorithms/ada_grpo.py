"""Ada-GRPO, the algorithm of ARM (arXiv 2505.20258): GRPO that lifts the rewards of the rarer mode, early in the run.

    r′_i = r_i · [ 1 + ½ (G / F_{M_i} − 1)(1 + cos(π t/T)) ]        A = z(r′)

F_m is the number of rollouts of mode m in the group of G, t/T the training progress: at the start r′ = r·G/F_m, at the
end r′ = r. z is the group standardisation (sample std, 1e-6; 0 where the std is 0).

A rollout without a switch takes part with r′ = 0 and counts in G.

Published (github.com/TEAM-ARM/ARM): clipped at 0.2 both ways, KL 0.001, entropy bonus 0.001.

Plan: free. Loss: that of GRPO.
"""

from __future__ import annotations

import math

import numpy as np

from rl.algorithms.base import FREE, ONE_MEAN, Algorithm
from rl.algorithms.group import Array, GroupArrays, standardise


def advantages(group: GroupArrays) -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,)."""
    size = len(group.modes)
    counts_G = np.array([group.modes.count(mode) for mode in group.modes])
    lift_G = 0.5 * (size / counts_G - 1) * (1 + math.cos(math.pi * group.progress))
    shaped_G = np.where(group.mask(None), 0.0, group.rewards_G * (1 + lift_G))
    both_G = standardise(shaped_G)
    return both_G, both_G.copy()


PUBLISHED = {"clip_low": 0.2, "clip_high": 0.2, "kl": 0.001, "entropy": 0.001}
ADA_GRPO = Algorithm("ada_grpo", advantages, loss=ONE_MEAN, plan=FREE, one_advantage=True, published=PUBLISHED)

"""Dr.GRPO (arXiv 2503.20783): GRPO without its two normalisations, by the group's std and by each response's length.

    A_i = r_i − R̄              L = −1/(n · L_max) Σ_i Σ_t ρ A_i       L_max: rollout.max_new_tokens

A rollout without a switch takes part with its reward of 0.

Published (github.com/sail-sg/understand-r1-zero): clipped at 0.2 both ways, no KL.

Plan: free. Loss: every token counts 1/(n · L_max), however long its response is.
"""

from __future__ import annotations

import dataclasses

from rl.algorithms.base import FREE, ONE_MEAN, Algorithm
from rl.algorithms.group import Array, GroupArrays


def advantages(group: GroupArrays) -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,)."""
    both_G = group.rewards_G - group.rewards_G.mean()
    return both_G, both_G.copy()


LOSS = dataclasses.replace(ONE_MEAN, answer_mean="constant")
PUBLISHED = {"clip_low": 0.2, "clip_high": 0.2}
DR_GRPO = Algorithm("dr_grpo", advantages, loss=LOSS, plan=FREE, one_advantage=True, published=PUBLISHED)

"""GRPO (arXiv 2402.03300) on both modes as one pool: free choice, one advantage for every token of a rollout.

    A_i = (r_i − R̄) / (σ + 1e-6)      R̄, σ: mean and sample std over the whole group; 0 where σ is 0

A rollout without a switch takes part with its reward of 0. Nothing separates the decision from the answer: it is
the baseline that Step-SRPO is compared with.
"""

from __future__ import annotations

import numpy as np

from rl.algorithms.base import Array, GroupArrays
from rollout.errors import UserError

EPSILON = 1e-6


def advantages(group: GroupArrays, *, answer_scale: str = "std") -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,). Raises `UserError` on an unknown option."""
    if answer_scale not in ("none", "std"):
        raise UserError(f"algorithm.answer_scale is {answer_scale!r}; allowed: none, std")
    centred_G = group.rewards_G - group.rewards_G.mean()
    if answer_scale == "std":
        std = group.rewards_G.std(ddof=1) if len(group.modes) > 1 else 0.0
        centred_G = centred_G / (std + EPSILON) if std > 0 else np.zeros_like(centred_G)
    return centred_G, centred_G.copy()

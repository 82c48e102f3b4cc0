"""AutoThink (arXiv 2505.10832): GRPO on a reward that prefers direct answers, in three stages.

    base reward r′      right  wrong          d_m = clip(2 (share_m − g), 0, 1)     share_m: mode m's share of the
        think             1      0                                                  batch's free choices; g = ½
        no_think          2     −1

    stage 1  r′ − d_m     the over-used mode pays for its surplus over the target share g
    stage 2  r′
    stage 3  r′ + e^{−αz} − 1 (right),  r′ + 1 − e^{−βz} (wrong)     z: length z-score among the group's right
                                                                      (wrong) answers; α = β = 0.05

    A = z(r′), as GRPO (sample std, 1e-6; 0 where the std is 0)

Right is a correctness above ½. A rollout without a switch is a wrong answer of no mode: r′ = 0, never balanced, and
in stage 3 one of the wrong ones. Without `batch_think_share` the group's own share stands in. `stage` 0 (default)
goes through the stages by thirds of the run (our choice).

`unreadable` says what an answer without the form of one earns: "wrong" (as any wrong answer of its mode) or "zero"
(r′ = 0 in either mode).

Published (github.com/ScienceOne-AI/AutoThink): unreadable answers earn zero, clipped at 0.2 both ways, no KL, entropy
bonus 0.001.

Plan: free. Loss: that of GRPO.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from rewards.parameters import AtLeastZero, Share
from rl.algorithms.base import FREE, ONE_MEAN, Algorithm
from rl.algorithms.group import Array, GroupArrays, right_answers, standardise

BASE = {"think": (1.0, 0.0), "no_think": (2.0, -1.0), None: (0.0, 0.0)}


def advantages(
    group: GroupArrays,
    *,
    stage: Annotated[int, Ge(0), Le(3)] = 0,
    target_share: Share = 0.5,
    alpha: AtLeastZero = 0.05,
    beta: AtLeastZero = 0.05,
    unreadable: Literal["wrong", "zero"] = "wrong",
) -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,)."""
    stage = stage or min(int(3 * group.progress), 2) + 1
    right = right_answers(group)
    shaped_G = np.array([BASE[mode][0 if ok else 1] for mode, ok in zip(group.modes, right, strict=True)])
    if unreadable == "zero" and group.readable_G is not None:
        shaped_G = np.where(group.readable_G > 0, shaped_G, 0.0)
    if stage == 1:
        shaped_G = shaped_G - _surplus(group, target_share)
    elif stage == 3:
        shaped_G[right] += np.exp(-alpha * standardise(group.lengths_G[right])) - 1
        shaped_G[~right] += 1 - np.exp(-beta * standardise(group.lengths_G[~right]))
    both_G = standardise(shaped_G)
    return both_G, both_G.copy()


def _surplus(group: GroupArrays, target: float) -> Array:
    """d of every rollout's mode, shape (G,)."""
    think = group.batch_think_share
    if think is None:
        chosen = ~group.mask(None)
        think = float(group.mask("think")[chosen].mean()) if chosen.any() else 0.5
    share_G = np.where(group.mask("think"), think, 1 - think)
    return np.where(group.mask(None), 0.0, np.clip(2 * (share_G - target), 0, 1))


PUBLISHED = {"unreadable": "zero", "clip_low": 0.2, "clip_high": 0.2, "entropy": 0.001}
AUTOTHINK = Algorithm("autothink", advantages, loss=ONE_MEAN, plan=FREE, one_advantage=True, published=PUBLISHED)

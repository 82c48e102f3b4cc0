"""DeGRPO, the algorithm of Thinkless (arXiv 2505.13379): GRPO whose switch token has a mean of its own.

    r′ = 1 (right, no_think),  think_reward = ½ (right, think),  −1 (wrong)        A_i = r′_i − R̄′

    L = α · (1/n) Σ_i ℓ_switch  +  Σ_i Σ_{t not the switch} ℓ / Σ_i (|y_i| − 1)  +  0.001 · KL        α = 0.001

Right is a correctness above ½. A rollout without a switch is wrong; all its |y| tokens are in the second sum. Sampled
judge text before the switch is in the second sum too: the formula singles out the switch alone.

Published (github.com/VainF/Thinkless): clipped at 0.2 both ways, entropy bonus 0.001.

Plan: free. Loss: `alpha` is the weight of the switch (w_J), kl 0.001 unless trainer.kl is set.
"""

from __future__ import annotations

import numpy as np

from rl.algorithms.base import FREE, Algorithm, LossOptions
from rl.algorithms.group import Array, GroupArrays, right_answers


def advantages(group: GroupArrays, *, think_reward: float = 0.5) -> tuple[Array, Array]:
    """The same advantage for both steps, each of shape (G,); `alpha` weighs them in the loss."""
    shaped_G = np.where(right_answers(group), np.where(group.mask("no_think"), 1.0, think_reward), -1.0)
    both_G = shaped_G - shaped_G.mean()
    return both_G, both_G.copy()


LOSS = LossOptions(judge_weight=0.001, judge_text="answer", kl=0.001)
PUBLISHED = {"clip_low": 0.2, "clip_high": 0.2, "entropy": 0.001}
DEGRPO = Algorithm(
    "degrpo", advantages, loss=LOSS, plan=FREE, loss_names={"alpha": "judge_weight"}, published=PUBLISHED
)

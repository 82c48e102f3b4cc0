"""HiPO (arXiv 2509.23967): a judge advantage from rewards alone, which mode did better in this group and by how much.

    A_judge,i  = [ R̄_{M_i} − R̄ + γ (r_i − R̄) ] / (σ + 1e-6)      R̄, σ: mean and sample std of the whole group
    A_answer,i = r_i − R̄_{M_i}

Inside the bracket only, R̄_no_think gains ω·R̄_think when R̄_no_think ≤ R̄_think ≤ R̄_no_think + ω·R̄_think: thinking has
to win by more than that. A_judge is 0 where σ < 1e-3 (divided by ε alone, an all-right group would give thousands).
The parts are published; the exact form of the bracket is this project's reading.

With one mode only, R̄_{M_i} is R̄ and the bracket is γ (r_i − R̄) / (σ + 1e-6), as the formula says. A rollout without a
switch counts in R̄ and σ with r = 0, has A_judge = −1 on all its tokens and no answer step, as in step_srpo.py.

Published: A_answer is divided by the mode's sample std (`answer_scale: std`).

Plan: as configured. Loss: that of Step-SRPO.
"""

from __future__ import annotations

import numpy as np

from rewards.parameters import AtLeastZero
from rl.algorithms.base import Algorithm
from rl.algorithms.group import Array, GroupArrays, Scale, within_modes

STD_FLOOR = 1e-3


def advantages(
    group: GroupArrays, *, omega: AtLeastZero = 0.01, gamma: AtLeastZero = 0.3, answer_scale: Scale = "none"
) -> tuple[Array, Array]:
    """(A_judge, A_answer), each of shape (G,)."""
    judge_G = judge_bracket(group, omega=omega, gamma=gamma)
    return np.where(group.mask(None), -1.0, judge_G), within_modes(group, answer_scale)


def judge_bracket(group: GroupArrays, *, omega: float, gamma: float) -> Array:
    """The bracket of every rollout, shape (G,); one without a mode has its γ part alone."""
    rewards_G = group.rewards_G
    std = rewards_G.std(ddof=1) if len(rewards_G) > 1 else 0.0
    if std < STD_FLOOR:
        return np.zeros(len(rewards_G))
    mean = rewards_G.mean()
    think, direct = group.mean_reward("think"), group.mean_reward("no_think")
    if think is not None and direct is not None and direct <= think <= direct + omega * think:
        direct += omega * think
    means = {"think": think, "no_think": direct}
    mode_mean_G = np.array([mean if mode is None else means[mode] for mode in group.modes])
    return (mode_mean_G - mean + gamma * (rewards_G - mean)) / (std + 1e-6)


HIPO = Algorithm("hipo", advantages, published={"answer_scale": "std"})

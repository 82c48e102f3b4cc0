"""Paired routing (blog and text reports, no paper): the switch follows the gap between the modes, squashed.

    Δ = R̄_think − R̄_no_think − margin
    A_judge,i  = scale · tanh(Δ) for think, −scale · tanh(Δ) for no_think        scale = 4, margin = 0.05
    A_answer,i = z(r) within the rollout's mode (sample std, 1e-6; 0 where the std is 0 or the mode has one rollout)

R̄ is the mean answer reward of this group's mode. With one mode only there is no gap and A_judge = 0. A rollout without
a switch has A_judge = −1 on all its tokens and no answer step, as in step_srpo.py.

Plan: forced share 1.0, 0.5 and 0.3 in the three thirds of the run, at least 0.15 of a group a mode (the shares are
reported, where they change is our choice). Loss: that of Step-SRPO.
"""

from __future__ import annotations

import math

import numpy as np

from rewards.parameters import AtLeastZero
from rl.algorithms.base import Algorithm
from rl.algorithms.group import Array, GroupArrays, within_modes
from rollout.modes import ForcedShare


def advantages(group: GroupArrays, *, margin: float = 0.05, scale: AtLeastZero = 4.0) -> tuple[Array, Array]:
    """(A_judge, A_answer), each of shape (G,)."""
    think, direct = group.mean_reward("think"), group.mean_reward("no_think")
    push = 0.0 if think is None or direct is None else scale * math.tanh(think - direct - margin)
    judge_G = push * (group.mask("think").astype(float) - group.mask("no_think"))
    return np.where(group.mask(None), -1.0, judge_G), within_modes(group, "std", std_floor=0.0)


PLAN = ForcedShare(floor=0.3, minimum=0, minimum_share=0.15, points=[[0.0, 1.0], [1 / 3, 0.5], [2 / 3, 0.3]])
PAIRED_ROUTING = Algorithm("paired_routing", advantages, plan=PLAN)

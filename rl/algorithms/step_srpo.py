"""Step-SRPO: one advantage for the judge step, one for the answer step, each on its own tokens.

Source: KAT-V1 report (arXiv 2507.08297) for the two steps and the two rewards; the constants are this project's
choice, docs/algorithm.md says why. M_i is the mode of rollout i, R̄_m and σ_m mean and sample std of r in mode m:

    A_judge,i  = κ · (q_i − baseline)          baseline: none (0) | group (mean q) | policy (Σ_m π(m) q(m))
    A_answer,i = (r_i − R̄_{M_i}) / s           s = 1 (as Dr.GRPO, arXiv 2503.20783) | σ_{M_i} + 1e-6

A mode with one rollout has no baseline: its A_answer is 0, as is that of a mode with σ_m < 1e-3 when it is divided.
A rollout without a switch has A_judge = −κ on all its tokens and no answer step. π is taken over the two switches,
q(m) is the mean q of mode m in the group, 0 for a mode without rollouts. Assumes at least two rollouts of each mode;
the forced floor sees to it.

`advantages` alone is this formula. The algorithm `step_srpo` adds what docs/log.md shows to pay. `balance` (3; 1 is
off) weighs A_judge of a problem whose judge rewards prefer thinking by lean / s, s the share of such problems in the
batch, and of the others by (1 − lean) / (1 − s), so that the mean is 1; neither is above `balance`; a prompt that
states its mode counts 1. With `lean` ½ both targets push alike and the shared bias of the decision stays where it is;
above it (0.75), doubtful problems go to thinking: a wrong direct answer costs more than a thought too many. `anchor`
(1) is added to A_answer of right answers: where all are right r − R̄ is 0, and nothing else holds them against the drift
that the judge step causes. `bracket` (0) adds, with that weight, HiPO's judge bracket (hipo.py).

Plan: as configured. Loss: w_J = 0.4 over rollouts, answers over tokens, and answers of the cold start rehearsed.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from rewards.parameters import AtLeastZero
from rl.algorithms.base import Algorithm, LossOptions, Savings
from rl.algorithms.group import Array, GroupArrays, Scale, right_answers, within_modes
from rl.algorithms.hipo import judge_bracket
from rollout.types import MODES, Mode

Baseline = Literal["none", "group", "policy"]


def advantages(
    group: GroupArrays,
    *,
    kappa: AtLeastZero = 1.0,
    baseline: Baseline = "none",
    balance: Annotated[float, Ge(1)] = 1.0,
    lean: Annotated[float, Gt(0), Lt(1)] = 0.5,
    anchor: AtLeastZero = 0.0,
    answer_scale: Scale = "none",
    truncated_answer: Literal["train", "skip"] = "train",
    bracket: AtLeastZero = 0.0,
    omega: AtLeastZero = 0.01,
    gamma: AtLeastZero = 0.3,
) -> tuple[Array, Array]:
    """(A_judge, A_answer), each of shape (G,)."""
    judge_G = kappa * _balance_weight(group, balance, lean) * (group.judge_G - _judge_baseline(group, baseline))
    if bracket:
        judge_G = judge_G + bracket * judge_bracket(group, omega=omega, gamma=gamma)
    judge_G = np.where(group.mask(None), -kappa, judge_G)
    answer_G = within_modes(group, answer_scale)
    if anchor:
        answer_G = answer_G + anchor * right_answers(group)
    if truncated_answer == "skip":
        answer_G = np.where(group.truncated_G > 0, 0.0, answer_G)
    return judge_G, answer_G


def _balance_weight(group: GroupArrays, most: float, lean: float) -> float:
    """What the group's problem counts, so that over the batch problems that need thinking have `lean` of the push; at
    most `most` (1: all alike). What the cap cuts off goes to the other problems: the mean over the batch is 1."""
    think, direct = (_mean_judge(group, mode) for mode in ("think", "no_think"))
    if most == 1 or group.stated or group.batch_target_share is None or think == direct:
        return 1.0
    share = group.batch_target_share
    push = max(1 - most * (1 - share), min(lean, most * share))
    push, share = (push, share) if think > direct else (1 - push, 1 - share)
    return push / share if share > 0 else most


def _judge_baseline(group: GroupArrays, baseline: Baseline) -> Array | float:
    if baseline == "none":
        return 0.0
    if baseline == "group":
        return float(group.judge_G.mean())
    return group.choice_probs() @ np.array([_mean_judge(group, mode) for mode in MODES])


def _mean_judge(group: GroupArrays, mode: Mode) -> float:
    """Mean q of a mode; 0 for a mode without rollouts."""
    mask = group.mask(mode)
    return float(group.judge_G[mask].mean()) if mask.any() else 0.0


STEP_SRPO = Algorithm(
    "step_srpo",
    advantages,
    {"balance": 3.0, "lean": 0.75, "anchor": 1.0},
    LossOptions(rehearsal=1.0),
    savings=Savings(direct_first=True, judge_replay=64),
    idle={"lean": ("balance", 1.0), "omega": ("bracket", 0.0), "gamma": ("bracket", 0.0)},
)

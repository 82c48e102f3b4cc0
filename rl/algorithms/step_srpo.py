"""Step-SRPO: one advantage for the judge step, one for the answer step, each on its own tokens.

Source: KAT-V1 report (arXiv 2507.08297) for the two steps and the two rewards; the constants are this project's
choice, docs/algorithm.md says why. M_i is the mode of rollout i, R̄_m and σ_m mean and sample std of r in mode m:

    A_judge,i  = κ · (q_i − baseline)          baseline: none (0) | group (mean q) | policy (Σ_m π(m) q(m))
    A_answer,i = (r_i − R̄_{M_i}) / s           s = 1 (as Dr.GRPO, arXiv 2503.20783) | σ_{M_i} + 1e-6

A mode with one rollout has no baseline: its A_answer is 0. A rollout without a switch has A_judge = −κ on all its
tokens and no answer step. `bracket` adds, with that weight, HiPO's judge bracket (arXiv 2509.23967), off by default.
Assumes at least two rollouts of each mode in a group; the forced floor sees to it.
"""

from __future__ import annotations

import numpy as np

from rl.algorithms.base import Array, GroupArrays
from rollout.errors import UserError
from rollout.types import MODES

EPSILON = 1e-6
STD_FLOOR = 1e-3


def advantages(
    group: GroupArrays,
    *,
    kappa: float = 1.0,
    baseline: str = "none",
    answer_scale: str = "none",
    truncated_answer: str = "train",
    bracket: float = 0.0,
    omega: float = 0.01,
    gamma: float = 0.3,
) -> tuple[Array, Array]:
    """(A_judge, A_answer), each of shape (G,). Raises `UserError` on an unknown option."""
    judge_G = kappa * (group.judge_G - _judge_baseline(group, baseline))
    if bracket:
        judge_G = judge_G + bracket * hipo_bracket(group, omega=omega, gamma=gamma)
    judge_G = np.where(group.mask(None), -kappa, judge_G)
    answer_G = answer_advantages(group, answer_scale)
    if truncated_answer == "skip":
        answer_G = np.where(group.truncated_G > 0, 0.0, answer_G)
    elif truncated_answer != "train":
        raise UserError(f"algorithm.truncated_answer is {truncated_answer!r}; allowed: train, skip")
    return judge_G, answer_G


def answer_advantages(group: GroupArrays, scale: str = "none") -> Array:
    """r minus the mean of its own mode, optionally divided by that mode's sample std."""
    if scale not in ("none", "std"):
        raise UserError(f"algorithm.answer_scale is {scale!r}; allowed: none, std")
    answer_G = np.zeros(len(group.modes))
    for mode in MODES:
        mask = group.mask(mode)
        if mask.sum() < 2:
            continue
        centred = group.rewards_G[mask] - group.rewards_G[mask].mean()
        if scale == "std":
            std = group.rewards_G[mask].std(ddof=1)
            centred = centred / (std + EPSILON) if std >= STD_FLOOR else np.zeros_like(centred)
        answer_G[mask] = centred
    return answer_G


def hipo_bracket(group: GroupArrays, *, omega: float, gamma: float) -> Array:
    """`[R̄_M − R̄ + γ (r − R̄)] / (σ + ε)` over the whole group; R̄_no_think gains ω·R̄_think when that lifts it past
    R̄_think. 0 when σ < 1e-3 or a mode is missing."""
    std = group.rewards_G.std(ddof=1) if len(group.modes) > 1 else 0.0
    think, direct = group.mask("think"), group.mask("no_think")
    if std < STD_FLOOR or not think.any() or not direct.any():
        return np.zeros(len(group.modes))
    mean = group.rewards_G.mean()
    mean_think, mean_direct = group.rewards_G[think].mean(), group.rewards_G[direct].mean()
    if mean_direct <= mean_think <= mean_direct + omega * mean_think:
        mean_direct += omega * mean_think
    mode_mean_G = np.where(think, mean_think, np.where(direct, mean_direct, mean))
    return (mode_mean_G - mean + gamma * (group.rewards_G - mean)) / (std + EPSILON)


def _judge_baseline(group: GroupArrays, baseline: str) -> Array | float:
    if baseline == "none":
        return 0.0
    if baseline == "group":
        return float(group.judge_G.mean())
    if baseline != "policy":
        raise UserError(f"algorithm.baseline is {baseline!r}; allowed: none, group, policy")
    values = [group.judge_G[group.mask(m)].mean() if group.mask(m).any() else 0.0 for m in MODES]
    return group.switch_probs_G2 @ np.array(values)

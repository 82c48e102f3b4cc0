"""The objective, whole. `docs/algorithm.md` explains it; shapes are in the names (B rollouts, T completion tokens).

    L = − w_J · Σ_judge tokens w s(ρ, A_judge) / D_judge  −  Σ_answer tokens w s(ρ, A_answer) / D_answer
        + kl · (1/N) Σ_t k_t  −  entropy · (1/N) Σ_t H_t  −  rehearsal · (1/N_R) Σ_rehearsed tokens log π

    ρ    π / π_old, clipped by s(ρ, A) = min(ρ A, clip(ρ, 1 − low, 1 + high) A)        PPO, arXiv 1707.06347; DAPO
    w    min(π_old / μ, cap), a constant: an engine apart samples from μ, another precision of π_old, and with
         rollout.ahead the policy before the last update does (truncated importance sampling, Yao et al., 2025).
         A factor of the policy terms alone, not of KL and entropy
    k    e^d − d − 1 with d = log π_reference − log π, an estimate of the KL to the starting model     Schulman, 2020
    H    the entropy of the policy's distribution at the token

    answer_mean   D_answer: N_A (tokens), n |A_i| (sequences), n L_max (constant)
    judge_mean    D_judge: n + n_S (rollouts; n_S those of stored groups, rl/curriculum/judge_replay.py), or as the
                  answer part with N for N_A and all trained tokens of i for A_i

n, n_S, N, N_A and N_R, the tokens of the cold start that train again (rl/curriculum/rehearsal.py), are the counts of a
whole optimizer step over all ranks, so the parts of micro-batches and ranks add up to L.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rl.algorithms.base import LossOptions
from rl.training.masks import Counts


def policy_loss(
    logps_BT: Tensor,
    ratio_old_BT: Tensor,
    policy_old_BT: Tensor,
    engine_BT: Tensor | None,
    reference_BT: Tensor | None,
    entropy_BT: Tensor,
    judge_BT: Tensor,
    answer_B: Tensor,
    judge_mask_BT: Tensor,
    answer_mask_BT: Tensor,
    sampled_BT: Tensor,
    counts: Counts,
    options: LossOptions,
    cap: float = 2.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """This micro-batch's part of L times the number of ranks (which average their gradients), and sums for metrics.

    `logps_BT` are log-probabilities under the policy, with gradient. `ratio_old_BT` is the denominator of ρ (log ½
    where a coin chose the switch), `policy_old_BT` the policy that generated, `engine_BT` what the engine says of the
    same tokens (None: the engine is the policy itself), `reference_BT` the starting model (None: no KL).
    `judge_BT` is A_judge at each token, importance weights in it; `answer_B` is A_answer. The masks are 1 where a token
    is trained in that part; `sampled_BT` is 0 where a token was written instead of drawn, whose w is 1.
    """
    trained_BT = judge_mask_BT + answer_mask_BT
    advantages_BT = judge_mask_BT * judge_BT + answer_mask_BT * answer_B.unsqueeze(1)
    ratio_BT = _ratio(logps_BT - ratio_old_BT, trained_BT, options)
    weight_BT, sums = _engine_weight(policy_old_BT, engine_BT, sampled_BT * trained_BT, cap)
    terms_BT = weight_BT * _surrogate(ratio_BT, advantages_BT, options)
    judge_B1, answer_B1 = _divisors(judge_mask_BT, answer_mask_BT, counts, options)
    loss = -options.judge_weight * (judge_mask_BT * terms_BT / judge_B1).sum()
    loss = loss - (answer_mask_BT * terms_BT / answer_B1).sum()
    tokens = max(counts.tokens, 1)
    sums["entropy"] = (trained_BT * entropy_BT).sum()
    loss = loss - options.entropy * sums["entropy"] / tokens if options.entropy else loss
    if reference_BT is not None:
        sums["kl"] = _kl(logps_BT, reference_BT, trained_BT).sum()
        loss = loss + options.kl * sums["kl"] / tokens
    sums |= _clipped(ratio_BT, advantages_BT, trained_BT, options) | {"tokens": trained_BT.sum()}
    return counts.ranks * loss, {name: value.detach() for name, value in sums.items()}


def rehearsal_loss(
    logps_BT: Tensor, rehearsed_BT: Tensor, counts: Counts, options: LossOptions
) -> tuple[Tensor, dict[str, Tensor]]:
    """The last term of L: this micro-batch's part of it times the number of ranks, and sums for metrics. `rehearsed_BT`
    is 1 at the rehearsed tokens, which `policy_loss` does not train."""
    total = -(rehearsed_BT * logps_BT).sum()
    loss = options.rehearsal * total / max(counts.rehearsed, 1)
    return counts.ranks * loss, {"rehearsal": total.detach(), "rehearsed": rehearsed_BT.sum()}


def _ratio(log_ratio_BT: Tensor, trained_BT: Tensor, options: LossOptions) -> Tensor:
    """ρ of each token, 1 where nothing is trained. With `ratio` "sequence" one value a rollout, each token with its own
    gradient (GSPO-token, arXiv 2507.18071): their sum has that of the one ratio, and w can weigh each."""
    log_ratio_BT = log_ratio_BT.masked_fill(trained_BT == 0, 0.0)
    if options.ratio == "sequence":
        mean_B1 = log_ratio_BT.sum(1, keepdim=True) / trained_BT.sum(1, keepdim=True).clamp(min=1)
        log_ratio_BT = mean_B1.detach() + log_ratio_BT - log_ratio_BT.detach()
    return log_ratio_BT.exp()


def _surrogate(ratio_BT: Tensor, advantages_BT: Tensor, options: LossOptions) -> Tensor:
    """min(ρ A, clip(ρ) A); with `delta` ρ is at most that in the first term, so a token whose ratio has grown beyond
    it while its advantage is negative has no gradient."""
    low, high = options.clip_low or 0.0, options.clip_high or 0.0
    bounded_BT = ratio_BT if options.delta is None else ratio_BT.clamp(max=options.delta)
    return torch.min(bounded_BT * advantages_BT, ratio_BT.clamp(1 - low, 1 + high) * advantages_BT)


def _engine_weight(
    policy_old_BT: Tensor, engine_BT: Tensor | None, drawn_BT: Tensor, cap: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """w of each token, without a gradient, and how far the engine is off: the sum of |log π_old − log μ|, how many
    weights were cut at `cap`, and over how many tokens."""
    if engine_BT is None:
        return torch.ones_like(policy_old_BT), {}
    gap_BT = (policy_old_BT - engine_BT).detach().masked_fill(drawn_BT == 0, 0.0)
    weight_BT = gap_BT.exp().clamp(max=cap)
    cut_BT = drawn_BT * (weight_BT >= cap)
    return weight_BT, {"gap": gap_BT.abs().sum(), "cut": cut_BT.sum(), "drawn": drawn_BT.sum()}


def _divisors(
    judge_mask_BT: Tensor, answer_mask_BT: Tensor, counts: Counts, options: LossOptions
) -> tuple[Tensor, Tensor]:
    """(D_judge, D_answer) of each rollout, each of shape (B, 1)."""
    rollouts, joint = max(counts.rollouts, 1), options.judge_mean == "tokens"
    ones_B1 = torch.ones_like(answer_mask_BT[:, :1])
    if options.answer_mean == "tokens":
        answer_B1 = ones_B1 * max(counts.tokens if joint else counts.answer_tokens, 1)
    elif options.answer_mean == "sequences":
        mine_BT = answer_mask_BT + judge_mask_BT if joint else answer_mask_BT
        answer_B1 = rollouts * mine_BT.sum(1, keepdim=True).clamp(min=1)
    else:
        answer_B1 = ones_B1 * rollouts * max(counts.max_tokens, 1)
    return (answer_B1 if joint else ones_B1 * (rollouts + counts.stored)), answer_B1


def _kl(logps_BT: Tensor, reference_BT: Tensor, trained_BT: Tensor) -> Tensor:
    """k of each trained token, 0 elsewhere."""
    difference_BT = (reference_BT - logps_BT).masked_fill(trained_BT == 0, 0.0)
    return difference_BT.exp() - difference_BT - 1


def _clipped(ratio_BT: Tensor, advantages_BT: Tensor, trained_BT: Tensor, options: LossOptions) -> dict[str, Tensor]:
    """How many ratios clipping holds, and of how many: tokens, or rollouts where each has one ratio."""
    low_BT = (ratio_BT < 1 - (options.clip_low or 0.0)) & (advantages_BT < 0)
    high_BT = (ratio_BT > 1 + (options.clip_high or 0.0)) & (advantages_BT > 0)
    held_BT = (low_BT | high_BT) * trained_BT
    if options.ratio == "sequence":
        return {"clipped": held_BT.amax(1).sum(), "ratios": trained_BT.new_tensor(len(trained_BT))}
    return {"clipped": held_BT.sum(), "ratios": trained_BT.sum()}

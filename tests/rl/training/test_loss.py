"""`policy_loss` against the objective of docs/algorithm.md written out token by token, and each option by hand.

Rollouts are drawn as words, see tests/helpers/drawn_rollouts.py.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from drawn_rollouts import draw

from rl.algorithms.base import LossOptions
from rl.training.batch import step_batch
from rl.training.loss import policy_loss, rehearsal_loss
from rl.training.masks import Counts, count_tokens

LOW, HIGH = 0.2, 0.28
OPTIONS = LossOptions(clip_low=LOW, clip_high=HIGH)
WORDS = ("jjSAAAAA", "xxFAAA", "SA", "FfAAAAAAAAA", "nnnnn", "xFA", "jjjjjjSAA", "fFffAAAA")


def batch_of(words, judge, answer, options=OPTIONS, weights=None, **logprobs):
    rollouts = [dataclasses.replace(draw(word), logprobs=(-1.0,) * len(word)) for word in words]
    weights = weights or [1.0] * len(words)
    return step_batch(rollouts, list(judge), list(answer), weights, options, pad_id=0, engine=False), rollouts


def padded(rows, fill=0.0):
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], dtype=torch.float64)


def loss_of(
    words, judge, answer, log_ratios, options=OPTIONS, counts=None, *, policy_old=None, engine=None, reference=None,
    entropy=None, weights=None, cap=2.0,
):  # fmt: skip
    """(loss, sums, gradient by log-probability) of rollouts whose log-ratios are given, row by row."""
    batch, rollouts = batch_of(words, judge, answer, options, weights)
    ratios_BT = padded(log_ratios)
    old_BT = torch.full_like(ratios_BT, -1.0) if policy_old is None else padded(policy_old)
    batch = dataclasses.replace(batch, policy_old_BT=old_BT)
    logps_BT = (batch.ratio_old() + ratios_BT).requires_grad_()
    entropy_BT = padded(entropy or [[0.0] * len(word) for word in words]).requires_grad_()
    loss, sums = policy_loss(
        logps_BT, batch.ratio_old(), old_BT, None if engine is None else padded(engine),
        None if reference is None else padded(reference), entropy_BT, batch.judge_BT, batch.answer_B,
        batch.judge_mask_BT, batch.answer_mask_BT, batch.sampled_BT,
        counts or count_tokens(rollouts, options), options, cap,
    )  # fmt: skip
    loss.backward()
    return loss.item(), {name: value.item() for name, value in sums.items()}, logps_BT.grad, entropy_BT.grad


def zeros(words):
    return [[0.0] * len(word) for word in words]


# --- the objective, written out --------------------------------------------------------------------------------------


def clipped(ratio, advantage):
    return min(ratio * advantage, min(max(ratio, 1 - LOW), 1 + HIGH) * advantage)


def objective(words, judge, answer, ratios, weight, treatment):
    """Part by part as the formula is written: the judge part over rollouts, the answer part over tokens."""
    trained_judge = "jSn" + ("F" if treatment == "uncorrected" else "")
    judge_sum = answer_sum = answer_tokens = 0
    for word, q, a, ratio in zip(words, judge, answer, ratios, strict=True):
        for letter, rho in zip(word, ratio, strict=True):
            if letter in trained_judge:
                judge_sum += clipped(rho, q)
            elif letter == "A":
                answer_sum += clipped(rho, a)
                answer_tokens += 1
    return -weight * judge_sum / len(words) - answer_sum / answer_tokens


def draw_numbers(seed):
    rng = np.random.default_rng(seed)
    judge, answer = rng.normal(size=8).tolist(), rng.normal(size=8).tolist()
    return judge, answer, [rng.normal(0, 0.4, len(word)).tolist() for word in WORDS]


@pytest.mark.parametrize("treatment", ["uncorrected", "masked"])
@pytest.mark.parametrize("split", [(8,), (4, 4), (2, 6), (1, 3, 4)])
def test_the_parts_of_ranks_and_micro_batches_add_up_to_the_objective(split, treatment):
    options = dataclasses.replace(OPTIONS, forced_switch=treatment)
    local = count_tokens([draw(word) for word in WORDS], options)
    counts = dataclasses.replace(local, ranks=len(split))
    for seed in range(5):
        judge, answer, log_ratios = draw_numbers(seed)
        expected = objective(WORDS, judge, answer, [np.exp(r) for r in log_ratios], 0.4, treatment)
        edges = list(itertools.pairwise(np.cumsum((0, *split))))
        parts = [loss_of(WORDS[a:b], judge[a:b], answer[a:b], log_ratios[a:b], options, counts)[0] for a, b in edges]
        assert sum(parts) / len(parts) == pytest.approx(expected, rel=1e-6)


def test_the_ratios_of_that_test_are_clipped_on_both_sides():
    ratios = np.exp(np.concatenate([values for seed in range(5) for values in draw_numbers(seed)[2]]))
    assert (ratios < 1 - LOW).any()
    assert (ratios > 1 + HIGH).any()


def test_neither_parts_weight_depends_on_how_long_the_judge_texts_are():
    for words in (("SA", "SA"), ("jjjjjjjjSA", "jjSAAAAAA")):
        assert loss_of(words, [0.0, 0.0], [1.0, 1.0], zeros(words))[0] == pytest.approx(-1.0)
    forced = ("FA", "xxxxxxFAAAA")
    assert loss_of(forced, [1.0, 1.0], [0.0, 0.0], zeros(forced))[0] == pytest.approx(-0.4)


def test_two_rollouts_by_hand():
    # n = 2, N_A = 4: judge tokens have 0.4 / 2 each, answer tokens 1 / 4
    _, _, gradient, _ = loss_of(("jSAAA", "FA"), [1.0, -1.0], [0.5, 2.0], zeros(("jSAAA", "FA")))
    expected = [[-0.2, -0.2, -0.125, -0.125, -0.125], [0.2, -0.5, 0, 0, 0]]
    assert gradient.tolist() == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("answer_mean", "judge_mean", "divisors"),
    [
        # words jSAA and SA: n = 2, N = 6, N_A = 3, L_max = 10; (judge, answer) of each rollout
        ("tokens", "rollouts", [(2, 3), (2, 3)]),
        ("tokens", "tokens", [(6, 6), (6, 6)]),
        ("sequences", "rollouts", [(2, 2 * 2), (2, 2 * 1)]),
        ("sequences", "tokens", [(2 * 4, 2 * 4), (2 * 2, 2 * 2)]),
        ("constant", "rollouts", [(2, 20), (2, 20)]),
        ("constant", "tokens", [(20, 20), (20, 20)]),
    ],
)
def test_what_each_mean_divides_by(answer_mean, judge_mean, divisors):
    options = dataclasses.replace(OPTIONS, judge_weight=0.5, answer_mean=answer_mean, judge_mean=judge_mean)
    words = ("jSAA", "SA")
    _, _, gradient, _ = loss_of(words, [1.0, 2.0], [3.0, 4.0], zeros(words), options, Counts(2, 6, 3, max_tokens=10))
    (judge_1, answer_1), (judge_2, answer_2) = divisors
    first = [-0.5 * 1 / judge_1] * 2 + [-3 / answer_1] * 2
    second = [-0.5 * 2 / judge_2, -4 / answer_2, 0, 0]
    assert gradient.tolist() == pytest.approx(np.array([first, second]))


def test_importance_weighs_the_switch_and_not_the_judge_text():
    options = dataclasses.replace(OPTIONS, judge_weight=1.0, judge_mean="tokens", forced_switch="importance")
    words = ("jSA", "FA")  # N = 5
    _, _, gradient, _ = loss_of(words, [1.0, -1.0], [0.5, 2.0], zeros(words), options, weights=[3.0, 0.5])
    assert (-5 * gradient).tolist() == pytest.approx(np.array([[1, 3, 0.5], [-0.5, 2, 0]]))


def test_a_batch_without_answer_tokens_has_a_finite_loss():
    loss, _, gradient, _ = loss_of(("nn", "n"), [-1.0, -1.0], [0.0, 0.0], zeros(("nn", "n")))
    assert loss == pytest.approx(0.4 * 3 / 2)
    assert gradient.tolist() == pytest.approx(np.array([[0.2, 0.2], [0.2, 0.0]]))


# --- clipping and ratios ---------------------------------------------------------------------------------------------


def one_token(log_ratio, advantage, **options):
    """(loss, gradient) of one answer token."""
    chosen = dataclasses.replace(OPTIONS, **options)
    loss, sums, gradient, _ = loss_of(("SA",), [0.0], [advantage], [[0.0, log_ratio]], chosen)
    return loss, gradient[0, 1].item(), sums


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope", "held"),
    [
        (1.2, 1.0, 1.2, 1.2, 0),
        (1.5, 1.0, 1.28, 0.0, 1),  # far enough up
        (0.5, 1.0, 0.5, 0.5, 0),  # back up again is allowed
        (0.5, -1.0, -0.8, 0.0, 1),  # far enough down
        (4.0, -1.0, -4.0, -4.0, 0),  # no bound without delta
    ],
)
def test_clipping_holds_a_ratio_that_has_gone_far_enough(ratio, advantage, value, slope, held):
    loss, gradient, sums = one_token(math.log(ratio), advantage)
    assert (-loss, -gradient) == pytest.approx((value, slope))
    assert sums["clipped"] == held
    assert sums["ratios"] == 2


def test_delta_bounds_the_ratio_of_a_token_with_a_negative_advantage():
    # dual-clip PPO: max(min(rho A, clip(rho) A), c A) for A < 0
    assert one_token(math.log(4.0), -1.0, delta=3.0)[:2] == pytest.approx((3.0, 0.0))
    assert one_token(math.log(2.0), -1.0, delta=3.0)[:2] == pytest.approx((2.0, 2.0))
    assert one_token(math.log(4.0), 1.0, delta=3.0)[:2] == pytest.approx((-1.28, 0.0))


def test_a_sequence_ratio_is_the_mean_log_ratio_over_the_trained_tokens_of_a_rollout():
    options = dataclasses.replace(
        OPTIONS, judge_weight=1.0, judge_mean="tokens", answer_mean="sequences", ratio="sequence"
    )
    # x is not trained: the ratio is exp of (0.3 + 0.1 - 0.1) / 3
    loss, sums, gradient, _ = loss_of(("xFAA",), [2.0], [2.0], [[9.0, 0.3, 0.1, -0.1]], options)
    rho = math.exp(0.1)
    assert loss == pytest.approx(-2.0 * rho)
    assert gradient.tolist() == pytest.approx(np.array([[0.0] + [-2 * rho / 3] * 3]))
    assert (sums["clipped"], sums["ratios"]) == (0, 1)
    loss, sums, gradient, _ = loss_of(("xFAA",), [2.0], [2.0], [[9.0, 0.9, 0.3, 0.3]], options)
    assert loss == pytest.approx(-2.0 * 1.28)
    assert gradient.abs().sum() == 0
    assert sums["clipped"] == 1


def test_a_coin_stands_in_the_ratios_denominator_and_nowhere_else():
    """AdaptThink on an engine apart that agrees exactly with the trainer: w is 1, the switch's ratio π / ½."""
    options = dataclasses.replace(OPTIONS, judge_weight=1.0, judge_mean="tokens", forced_log_prob="half")
    batch, rollouts = batch_of(("FA",), [1.0], [1.0], options)
    old_BT = torch.tensor([[math.log(0.55), -1.0]])
    batch = dataclasses.replace(batch, policy_old_BT=old_BT)
    assert batch.ratio_old()[0].tolist() == pytest.approx([math.log(0.5), -1.0])
    logps_BT = old_BT.clone().requires_grad_()
    loss, sums = policy_loss(
        logps_BT, batch.ratio_old(), batch.policy_old(), old_BT, None, torch.zeros(1, 2), batch.judge_BT,
        batch.answer_B, batch.judge_mask_BT, batch.answer_mask_BT, batch.sampled_BT,
        count_tokens(rollouts, options), options,
    )  # fmt: skip
    loss.backward()
    assert loss.item() == pytest.approx(-(1.1 + 1.0) / 2)
    assert logps_BT.grad[0].tolist() == pytest.approx([-1.1 / 2, -1.0 / 2])
    assert sums["gap"].item() == pytest.approx(0.0)


# --- the engine's weight, the KL, the entropy ------------------------------------------------------------------------


def engine_off_by(factors):
    """An engine whose probabilities are the policy's (log -1) divided by these factors."""
    return [[-1.0 - math.log(factor) for factor in factors]]


def test_the_engines_ratio_weighs_each_drawn_token_up_to_the_cap():
    words, factors = ("SAAA",), [1.0, 0.5, 1.5, 10.0]
    plain = loss_of(words, [1.0], [1.0], zeros(words))[2]
    _, sums, gradient, _ = loss_of(words, [1.0], [1.0], zeros(words), engine=engine_off_by(factors), cap=3.0)
    assert (gradient / plain)[0].tolist() == pytest.approx([1.0, 0.5, 1.5, 3.0])
    assert (sums["cut"], sums["drawn"]) == (1, 4)
    assert sums["gap"] == pytest.approx(math.log(2) + math.log(1.5) + math.log(10))


def test_a_token_that_the_engine_was_made_to_write_has_weight_one_and_no_part_in_the_gap():
    words = ("FA",)
    plain = loss_of(words, [1.0], [1.0], zeros(words))[2]
    _, sums, gradient, _ = loss_of(words, [1.0], [1.0], zeros(words), engine=engine_off_by([5.0, 0.5]))
    assert (gradient / plain)[0].tolist() == pytest.approx([1.0, 0.5])
    assert (sums["gap"], sums["drawn"]) == (pytest.approx(math.log(2)), 1)


def test_the_engines_ratio_compares_the_policy_that_generated_and_is_clipped_by_nothing_else():
    words = ("SA",)
    plain = loss_of(words, [1.0], [1.0], [[0.1, 0.1]])[2]
    gradient = loss_of(words, [1.0], [1.0], [[0.1, 0.1]], engine=engine_off_by([0.5, 0.5]))[2]
    assert (gradient / plain)[0].tolist() == pytest.approx([0.5, 0.5])


def test_a_sequence_ratio_keeps_each_tokens_own_weight():
    options = dataclasses.replace(
        OPTIONS, judge_weight=1.0, judge_mean="tokens", answer_mean="sequences", ratio="sequence"
    )
    _, _, gradient, _ = loss_of(("SA",), [1.0], [1.0], [[0.0, 0.0]], options, engine=engine_off_by([0.5, 1.5]))
    assert gradient[0].tolist() == pytest.approx([-0.25, -0.75])


def test_the_kl_is_a_mean_over_trained_tokens_whatever_the_engine_says():
    options = dataclasses.replace(OPTIONS, kl=0.5)
    words, reference = ("xFA",), [[7.0, -1.5, -0.8]]  # d = -0.5 and 0.2 at the two trained tokens
    k = [math.exp(d) - d - 1 for d in (-0.5, 0.2)]
    slopes = [0.0] + [0.5 * (1 - math.exp(d)) / 2 for d in (-0.5, 0.2)]
    for engine in (None, engine_off_by([1.0, 0.5, 0.5])):
        loss, sums, gradient, _ = loss_of(
            words, [0.0], [0.0], zeros(words), options, reference=reference, engine=engine
        )
        assert loss == pytest.approx(0.5 * sum(k) / 2)
        assert sums["kl"] == pytest.approx(sum(k))
        assert gradient[0].tolist() == pytest.approx(slopes)


def test_the_entropy_bonus_is_a_mean_over_trained_tokens():
    options = dataclasses.replace(OPTIONS, entropy=0.1)
    words = ("xFA", "SA")
    loss, sums, _, gradient = loss_of(
        words, [0.0, 0.0], [0.0, 0.0], zeros(words), options, entropy=[[9.0, 1.0, 2.0], [3.0, 4.0]]
    )
    assert loss == pytest.approx(-0.1 * 10 / 4)
    assert sums["entropy"] == pytest.approx(10)
    assert gradient.tolist() == pytest.approx(np.array([[0, -0.025, -0.025], [-0.025, -0.025, 0]]))


def test_what_is_not_trained_cannot_make_the_loss_infinite():
    options = dataclasses.replace(OPTIONS, kl=1.0)
    loss, _, gradient, _ = loss_of(
        ("xFA",), [1.0], [1.0], [[500.0, 0.0, 0.0]], options,
        reference=[[900.0, -1.0, -1.0]], engine=[[-900.0, -1.0, -1.0]],
    )  # fmt: skip
    assert math.isfinite(loss)
    assert gradient.isfinite().all()


def test_rehearsal_is_the_mean_of_minus_log_p_over_the_rehearsed_tokens_of_all_ranks():
    logps_BT = torch.tensor([[-0.5, -1.0, -2.0], [-3.0, -4.0, 0.0]], dtype=torch.float64, requires_grad=True)
    rehearsed_BT = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    counts = Counts(8, 40, 32, ranks=2, rehearsed=10)
    loss, sums = rehearsal_loss(logps_BT, rehearsed_BT, counts, LossOptions(rehearsal=0.5))
    loss.backward()
    assert loss.item() == pytest.approx(2 * 0.5 * (1.0 + 2.0 + 4.0) / 10)
    assert (logps_BT.grad * 10).tolist() == [[0.0, -1.0, -1.0], [0.0, -1.0, 0.0]]
    assert {name: value.item() for name, value in sums.items()} == {"rehearsal": 7.0, "rehearsed": 3.0}

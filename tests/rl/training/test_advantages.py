"""The (B, T) tensor: put through TRL's loss, it must be the objective of docs/algorithm.md.

A rollout is drawn as a word, one letter a token: j judge text of a free rollout, x judge text of a forced one, S a
sampled switch, F a forced one, f template text written along with it, A answer step, n a token without any decision.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from factories import make_rollout

from rl.algorithms.base import LossOptions
from rl.training.advantages import Counts, count_tokens, step_masks, token_advantages, trained_mask

LOW, HIGH = 0.2, 0.28


def draw(word):
    """The rollout that a word describes."""
    switch = next((i for i, letter in enumerate(word) if letter in "SF"), None)
    return make_rollout(
        None if switch is None else "think",
        tokens=len(word),
        judge_tokens=0 if switch is None else switch + 1,
        forced="F" in word,
        sampled=tuple(0 if letter in "Ff" else 1 for letter in word),
    )


def masks(word, forced_switch="uncorrected"):
    return tuple("".join(str(int(v)) for v in mask) for mask in step_masks(draw(word), forced_switch))


# --- which tokens are trained ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "treatment", "judge", "answer"),
    [
        ("jjSAAA", "uncorrected", "111000", "000111"),
        ("jjSAAA", "masked", "111000", "000111"),  # a free rollout has nothing to mask
        ("SAA", "uncorrected", "100", "011"),
        ("xxFAAA", "uncorrected", "001000", "000111"),  # this judge text did not choose the mode
        ("xxFAAA", "masked", "000000", "000111"),
        ("xfFAA", "uncorrected", "00100", "00011"),  # patience ran out: </judge> was written too
        ("fFffAA", "uncorrected", "010000", "000011"),  # the empty thinking block of qwen3
        ("fFffAA", "masked", "000000", "000011"),
        ("nnnn", "uncorrected", "1111", "0000"),
        ("nnnn", "masked", "1111", "0000"),
        ("jjS", "uncorrected", "111", "000"),  # cut off right after the decision
    ],
)
def test_each_token_belongs_to_the_judge_step_the_answer_step_or_none(word, treatment, judge, answer):
    assert masks(word, treatment) == (judge, answer)


@pytest.mark.parametrize(
    ("word", "judge", "answer"),
    [
        ("jjSAAA", "001000", "110111"),
        ("xxFAAA", "001000", "000111"),  # a forced rollout's judge text is trained by nobody
        ("SAA", "100", "011"),
        ("nnnn", "0000", "1111"),
    ],
)
def test_judge_text_can_belong_to_the_answer_step_so_that_the_switch_stands_alone(word, judge, answer):
    found = step_masks(draw(word), "uncorrected", "answer")
    assert ["".join(str(int(v)) for v in mask) for mask in found] == [judge, answer]


def test_the_mask_is_zero_on_masked_forced_tokens():
    assert trained_mask(draw("xxFfAAA"), "masked") == [0, 0, 0, 0, 1, 1, 1]
    assert trained_mask(draw("xxFfAAA"), "uncorrected") == [0, 0, 1, 0, 1, 1, 1]
    assert trained_mask(draw("jSAA"), "masked") == [1, 1, 1, 1]


def test_a_rollout_without_sampling_marks_counts_all_tokens_as_sampled():
    assert trained_mask(make_rollout(tokens=4, judge_tokens=2, sampled=()), "uncorrected") == [1, 1, 1, 1]


def test_counts_are_rollouts_trained_tokens_and_answer_tokens():
    rollouts = [draw(word) for word in ("jjSAAA", "xFA", "nn")]
    assert count_tokens(rollouts, "uncorrected") == Counts(3, 6 + 2 + 2, 3 + 1)
    assert count_tokens(rollouts, "masked") == Counts(3, 6 + 1 + 2, 3 + 1)
    assert count_tokens([], "masked") == Counts(0, 0, 0)


# --- the tensor itself -----------------------------------------------------------------------------------------------


def test_the_tensor_of_two_rollouts_by_hand():
    rollouts = [draw("jSAAA"), draw("FA")]
    counts = count_tokens(rollouts, "uncorrected")  # n = 2, N = 7, N_A = 4
    options = LossOptions(judge_weight=0.4)
    tensor = token_advantages(rollouts, [1.0, -1.0], [0.5, 2.0], options, counts)
    judge, answer = 0.4 * 7 / 2, 7 / 4
    assert tensor == pytest.approx(
        np.array([[judge, judge, 0.5 * answer, 0.5 * answer, 0.5 * answer], [-judge, 2.0 * answer, 0, 0, 0]])
    )


def test_one_token_mean_leaves_advantages_as_they_are():
    rollouts = [draw("jSAA"), draw("FA")]
    options = LossOptions(judge_weight=1.0, judge_mean="tokens")
    tensor = token_advantages(rollouts, [1.0, -1.0], [0.5, 2.0], options, count_tokens(rollouts, "uncorrected"))
    assert tensor.tolist() == [[1, 1, 0.5, 0.5], [-1, 2, 0, 0]]


def test_importance_weighs_the_switch_and_not_the_judge_text():
    rollouts = [draw("jSA"), draw("FA")]
    options = LossOptions(judge_weight=1.0, judge_mean="tokens", forced_switch="importance")
    counts = count_tokens(rollouts, "importance")
    tensor = token_advantages(rollouts, [1.0, -1.0], [0.5, 2.0], options, counts, switch_weights_B=[3.0, 0.5])
    assert tensor.tolist() == [[1, 3, 0.5], [-0.5, 2, 0]]


def test_means_over_sequences_and_over_a_constant_length_by_hand():
    rollouts = [draw("jSAA"), draw("SA")]  # n = 2, N = 6
    counts = count_tokens(rollouts, "uncorrected")
    for answer_mean, first, second in (("sequences", 6 / (2 * 4), 6 / (2 * 2)), ("constant", 6 / 20, 6 / 20)):
        options = LossOptions(judge_weight=1.0, judge_mean="tokens", answer_mean=answer_mean)
        tensor = token_advantages(rollouts, [1.0, 2.0], [1.0, 2.0], options, counts, max_tokens=10)
        assert tensor == pytest.approx(np.array([[first] * 4, [2 * second] * 2 + [0, 0]]))
        options = LossOptions(judge_weight=0.5, answer_mean=answer_mean)
        tensor = token_advantages(rollouts, [1.0, 2.0], [1.0, 2.0], options, counts, max_tokens=10)
        judge = 0.5 * 6 / 2
        first, second = (6 / (2 * 2), 6 / (2 * 1)) if answer_mean == "sequences" else (6 / 20, 6 / 20)
        assert tensor == pytest.approx(np.array([[judge, judge, first, first], [2 * judge, 2 * second, 0, 0]]))


def test_a_batch_without_answer_tokens_has_finite_advantages():
    rollouts = [draw("nn"), draw("n")]
    tensor = token_advantages(rollouts, [-1.0, -1.0], [0, 0], LossOptions(), count_tokens(rollouts, "uncorrected"))
    assert tensor == pytest.approx(np.array([[-0.4 * 3 / 2, -0.4 * 3 / 2], [-0.4 * 3 / 2, 0]]))


# --- the loss --------------------------------------------------------------------------------------------------------

WORDS = ("jjSAAAAA", "xxFAAA", "SA", "FfAAAAAAAAA", "nnnnn", "xFA", "jjjjjjSAA", "fFffAAAA")


def clipped(ratio, advantage):
    return min(ratio * advantage, min(max(ratio, 1 - LOW), 1 + HIGH) * advantage)


def objective(words, judge, answer, ratios, weight, treatment):
    """Section by section as the formula is written: the judge step over rollouts, the answer step over tokens."""
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


def dapo_loss(advantages_BT, mask_BT, ratios_BT, num_items_in_batch, num_processes):
    """TRL 1.16's `dapo` loss of one process, written as `GRPOTrainer._compute_loss` writes it."""
    coef_1 = ratios_BT
    coef_2 = np.clip(coef_1, 1 - LOW, 1 + HIGH)
    per_token_loss = -np.minimum(coef_1 * advantages_BT, coef_2 * advantages_BT)
    normalizer = max(num_items_in_batch, 1.0) / num_processes
    return (per_token_loss * mask_BT).sum() / normalizer


def padded(rows, fill=0.0):
    longest = max(map(len, rows))
    return np.array([[*row, *[fill] * (longest - len(row))] for row in rows])


def loss_on_ranks(shards, judge, answer, ratios, options):
    """The loss that data-parallel training minimises: the mean over ranks, each with its own padding."""
    treatment = options.forced_switch
    local = [count_tokens([draw(word) for word in shard], treatment) for shard in shards]
    counts = Counts(*(sum(getattr(c, name) for c in local) for name in ("rollouts", "tokens", "answer_tokens")))
    items = sum(sum(trained_mask(draw(word), treatment)) for shard in shards for word in shard)
    losses, start = [], 0
    for shard in shards:
        rows = slice(start, start + len(shard))
        start += len(shard)
        rollouts = [draw(word) for word in shard]
        tensor = token_advantages(rollouts, judge[rows], answer[rows], options, counts)
        mask = padded([trained_mask(r, treatment) for r in rollouts])
        losses.append(dapo_loss(tensor, mask, padded(ratios[rows], 1.0), items, len(shards)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("treatment", ["uncorrected", "masked"])
@pytest.mark.parametrize("split", [(8,), (4, 4), (2, 6), (1, 3, 4)])
def test_the_tensor_in_trls_loss_is_the_objective_on_any_number_of_ranks(split, treatment):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        judge, answer = rng.normal(size=8), rng.normal(size=8)
        ratios = [np.exp(rng.normal(0, 0.4, len(word))).tolist() for word in WORDS]
        edges = np.cumsum((0, *split))
        shards = [WORDS[a:b] for a, b in itertools.pairwise(edges)]
        options = LossOptions(judge_weight=0.4, forced_switch=treatment)
        expected = objective(WORDS, judge, answer, ratios, 0.4, treatment)
        assert loss_on_ranks(shards, judge, answer, ratios, options) == pytest.approx(expected, rel=1e-12)


def test_the_random_ratios_are_clipped_on_both_sides():
    rng = np.random.default_rng(0)
    ratios = np.exp(rng.normal(0, 0.4, 200))
    assert (ratios < 1 - LOW).any()
    assert (ratios > 1 + HIGH).any()


def test_neither_steps_weight_depends_on_how_long_the_judge_texts_are():
    for words in (("SA", "SA"), ("jjjjjjjjSA", "jjSAAAAAA")):
        ratios, options = [[1.0] * len(word) for word in words], LossOptions(judge_weight=0.4)
        assert loss_on_ranks([words], np.zeros(2), np.ones(2), ratios, options) == pytest.approx(-1.0)
    forced = ("FA", "xxxxxxFAAAA")
    ratios = [[1.0] * len(word) for word in forced]
    assert loss_on_ranks([forced], np.ones(2), np.zeros(2), ratios, options) == pytest.approx(-0.4)


def test_a_broken_rollout_trains_no_token_and_counts_as_no_rollout():
    broken = dataclasses.replace(draw("jSAA"), broken="reward 'x' failed")
    assert trained_mask(broken, "uncorrected") == [0, 0, 0, 0]
    assert count_tokens([draw("jSAA"), broken], "uncorrected") == Counts(1, 4, 2)
    rows = token_advantages([draw("SA"), broken], [1.0, 1.0], [1.0, 1.0], LossOptions(), Counts(1, 2, 1))
    assert rows[1].tolist() == [0.0] * 4
    assert rows[0].tolist() == [0.4 * 2 / 1, 2.0, 0.0, 0.0]

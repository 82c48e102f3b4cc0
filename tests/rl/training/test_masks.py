"""Which tokens are trained, in which part, and how many there are.

A rollout is drawn as a word, one letter a token: j judge text of a free rollout, x judge text of a forced one, S a
sampled switch, F a forced one, f template text written along with it, A answer part, n a token without any decision.
"""

import dataclasses

import pytest
from drawn_rollouts import draw
from factories import make_rollout

from rl.algorithms.base import LossOptions
from rl.training.masks import Counts, count_tokens, part_masks


def masks(word, **options):
    found = part_masks(draw(word), LossOptions(**options))
    return tuple("".join(str(int(v)) for v in mask) for mask in found)


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
    assert masks(word, forced_switch=treatment) == (judge, answer)


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
    assert masks(word, judge_text="answer") == (judge, answer)


def test_a_rollout_without_sampling_marks_counts_all_tokens_as_sampled():
    judge_T, answer_T = part_masks(make_rollout(tokens=4, judge_tokens=2, sampled=()), LossOptions())
    assert (judge_T + answer_T).tolist() == [1, 1, 1, 1]


def test_counts_are_rollouts_trained_tokens_and_answer_tokens():
    rollouts = [draw(word) for word in ("jjSAAA", "xFA", "nn")]
    assert count_tokens(rollouts, LossOptions()) == Counts(3, 6 + 2 + 2, 3 + 1)
    assert count_tokens(rollouts, LossOptions(forced_switch="masked")) == Counts(3, 6 + 1 + 2, 3 + 1)
    assert count_tokens([], LossOptions()) == Counts(0, 0, 0)


def test_a_broken_rollout_trains_no_token_and_counts_as_no_rollout():
    broken = dataclasses.replace(draw("jSAA"), broken="reward 'x' failed")
    assert [mask.tolist() for mask in part_masks(broken, LossOptions())] == [[0.0] * 4] * 2
    assert count_tokens([draw("jSAA"), broken], LossOptions()) == Counts(1, 4, 2)


def test_a_truncated_rollout_is_trained_as_any_other_or_not_at_all():
    cut = dataclasses.replace(draw("jSAA"), truncated=True)
    assert count_tokens([draw("SA"), cut], LossOptions()) == Counts(2, 6, 3)
    masked = LossOptions(truncated="masked")
    assert [mask.tolist() for mask in part_masks(cut, masked)] == [[0.0] * 4] * 2
    assert count_tokens([draw("SA"), cut], masked) == Counts(1, 2, 1)

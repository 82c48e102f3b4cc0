"""AutoThink's three stages against rewards worked out by hand."""

import math
import statistics

import pytest
from algorithm_helpers import one_advantage

GROUP = ("TTNN", (1, 0, 1, 0))


def z(values):
    """Sample standardisation, as the formula says."""
    mean, std = statistics.mean(values), statistics.stdev(values)
    return [(value - mean) / (std + 1e-6) for value in values]


def advantage(modes, rewards, stage, **options):
    return one_advantage("autothink", modes, rewards, stage=stage, **options)


def test_stage_two_standardises_one_nothing_two_and_minus_one():
    # 1 0 2 -1: mean 1/2, sample variance (1/4 + 1/4 + 9/4 + 9/4) / 3
    std = math.sqrt(5 / 3)
    assert advantage(*GROUP, 2) == pytest.approx([0.5 / std, -0.5 / std, 1.5 / std, -1.5 / std], abs=1e-5)


@pytest.mark.parametrize(
    ("share", "shaped"),
    [
        (0.5, [1, 0, 2, -1]),
        (0.75, [0.5, -0.5, 2, -1]),  # d = 2 (0.75 - 0.5) off every thought
        (0.25, [1, 0, 1.5, -1.5]),  # d = 2 (0.75 - 0.5) off every direct answer
        (1.0, [0, -1, 2, -1]),
        (0.0, [1, 0, 1, -2]),
    ],
)
def test_in_stage_one_the_over_used_mode_pays_for_its_surplus(share, shaped):
    assert advantage(*GROUP, 1, known={"batch_think_share": share}) == pytest.approx(z(shaped))


def test_the_surplus_is_over_the_target_share():
    known = {"batch_think_share": 0.75}
    assert advantage(*GROUP, 1, known=known, target_share=0.7) == pytest.approx(z([0.9, -0.1, 2, -1]))


def test_without_the_batchs_share_the_groups_own_stands_in():
    # three thoughts of four with a mode: d = 0.5
    assert advantage("TTTN-", (1, 1, 0, 1, 0), 1) == pytest.approx(z([0.5, 0.5, -0.5, 2, 0]))


def test_stage_three_prefers_short_right_and_long_wrong_answers():
    # lengths 10 and 4 of the right ones, 8 and 2 of the wrong ones: z = 0.7071 and -0.7071 in both
    up, down = math.exp(0.05 * math.sqrt(0.5)), math.exp(-0.05 * math.sqrt(0.5))
    shaped = [1 + down - 1, 0 + 1 - down, 2 + up - 1, -1 + 1 - up]
    assert shaped == pytest.approx([0.965262, 0.034738, 2.035988, -1.035988], abs=1e-6)
    assert advantage(*GROUP, 3, lengths=[10, 8, 4, 2]) == pytest.approx(z(shaped), abs=1e-6)


def test_stage_three_takes_its_two_rates_and_is_stage_two_without_them():
    up, down = math.exp(math.sqrt(0.5)), math.exp(-math.sqrt(0.5))
    shaped = [down, 0, 1 + up, -1]
    found = advantage(*GROUP, 3, lengths=[10, 8, 4, 2], alpha=1.0, beta=0.0)
    assert found == pytest.approx(z(shaped), abs=1e-5)
    assert advantage(*GROUP, 3, lengths=[10, 8, 4, 2], alpha=0.0, beta=0.0) == advantage(*GROUP, 2)


def test_a_single_right_answer_and_equal_lengths_have_no_length_score():
    assert advantage("TN", (1, 0), 3, lengths=[10, 4]) == advantage("TN", (1, 0), 2)
    assert advantage(*GROUP, 3, lengths=[7, 7, 7, 7]) == advantage(*GROUP, 2)


def test_a_rollout_without_a_switch_is_a_wrong_answer_worth_nothing():
    known = {"batch_think_share": 1.0}
    assert advantage("TN-", (1, 0, 0), 2) == pytest.approx(z([1, -1, 0]))
    assert advantage("TN-", (1, 0, 0), 1, known=known) == pytest.approx(z([0, -1, 0]))
    # among the wrong ones it is the longer: z = 0.7071
    up, down = math.exp(0.05 * math.sqrt(0.5)), math.exp(-0.05 * math.sqrt(0.5))
    assert advantage("TN-", (1, 0, 0), 3, lengths=[5, 4, 8]) == pytest.approx(z([1, -1 + 1 - up, 1 - down]), abs=1e-6)


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize(("modes", "rewards"), [("TT", (1, 1)), ("NN", (0, 0)), ("T", (1,)), ("--", (0, 0))])
def test_it_is_zero_where_nothing_differs(stage, modes, rewards):
    assert advantage(modes, rewards, stage) == [0] * len(modes)


def test_without_a_stage_the_run_goes_through_them_by_thirds():
    options = {"lengths": [10, 8, 4, 2], "known": {"batch_think_share": 0.75}}
    for progress, stage in ((0.0, 1), (0.33, 1), (0.34, 2), (0.66, 2), (0.67, 3), (1.0, 3)):
        assert advantage(*GROUP, 0, progress=progress, **options) == advantage(*GROUP, stage, **options)

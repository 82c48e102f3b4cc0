"""GRPO and its relatives with one advantage a rollout, against groups worked out by hand."""

import math

import pytest
from algorithm_helpers import one_advantage, run


def test_grpo_standardises_over_both_modes_and_gives_both_steps_the_same():
    # mean 1/2, sample std sqrt(4 * 1/4 / 3)
    expected = [math.sqrt(3) / 2, math.sqrt(3) / 2, -math.sqrt(3) / 2, -math.sqrt(3) / 2]
    judge_G, answer_G = run("TNTN", (1, 1, 0, 0), name="grpo")
    assert judge_G == pytest.approx(expected, abs=1e-5)
    assert answer_G == judge_G


def test_grpo_counts_a_rollout_without_a_switch_with_its_reward():
    # 1 0 0: mean 1/3, sample std sqrt((4/9 + 1/9 + 1/9) / 2) = sqrt(1/3)
    judge_G, _ = run("T-N", (1, 0, 0), name="grpo")
    assert judge_G == pytest.approx([2 / math.sqrt(3), -1 / math.sqrt(3), -1 / math.sqrt(3)], abs=1e-5)


@pytest.mark.parametrize(("modes", "rewards"), [("TNTN", (1, 1, 1, 1)), ("TTTT", (0, 0, 0, 0)), ("T", (1,))])
def test_grpo_is_zero_where_nothing_differs(modes, rewards):
    assert run(modes, rewards, name="grpo") == ([0] * len(modes), [0] * len(modes))


def test_grpo_without_scaling_only_centres():
    assert run("TN", (1, 0), name="grpo", answer_scale="none") == ([0.5, -0.5], [0.5, -0.5])


def test_grpo_ignores_the_judge_reward():
    assert run("TN", (1, 0), judge_scores=[0, 1], name="grpo") == run("TN", (1, 0), judge_scores=[1, 0], name="grpo")


# --- bpo: the same number from forced rollouts ------------------------------------------------------------------------


def test_bpo_standardises_over_the_merged_group():
    # r = 1 1 1 0: mean 3/4, sample std 1/2
    assert one_advantage("bpo", "TTNN", (1, 1, 1, 0)) == pytest.approx([0.5, 0.5, 0.5, -1.5], abs=1e-5)


def test_bpo_counts_a_rollout_without_a_switch_with_no_reward():
    assert one_advantage("bpo", "TN-", (1, 1, 0)) == pytest.approx(
        [1 / math.sqrt(3), 1 / math.sqrt(3), -2 / math.sqrt(3)], abs=1e-5
    )


# --- dr_grpo ----------------------------------------------------------------------------------------------------------


def test_dr_grpo_only_centres():
    assert one_advantage("dr_grpo", "TTNN-", (1.2, 0.2, 1.2, 0.2, 0), correct=(1, 0, 1, 0, 0)) == pytest.approx(
        [0.64, -0.36, 0.64, -0.36, -0.56]
    )


@pytest.mark.parametrize("name", ["bpo", "dr_grpo", "ada_grpo"])
@pytest.mark.parametrize(
    ("modes", "rewards"), [("TNTN", (1, 1, 1, 1)), ("TTTT", (0, 0, 0, 0)), ("N", (1,)), ("--", (0, 0))]
)
def test_they_are_zero_where_nothing_differs(name, modes, rewards):
    assert one_advantage(name, modes, rewards, progress=1.0) == [0] * len(modes)


# --- ada_grpo ---------------------------------------------------------------------------------------------------------


def test_ada_grpo_lifts_the_rarer_mode_by_its_rarity_at_the_start():
    # F = 1 and 3, so r' = 1*4, 1*4/3, 0, 1*4/3: mean 5/3, sample variance (49 + 1 + 25 + 1) / 27
    std = math.sqrt(76 / 27)
    expected = [7 / 3 / std, -1 / 3 / std, -5 / 3 / std, -1 / 3 / std]
    assert one_advantage("ada_grpo", "TNNN", (1, 1, 0, 1)) == pytest.approx(expected, abs=1e-5)


def test_ada_grpo_lifts_half_as_much_in_the_middle_of_the_run():
    # cos(pi/2) = 0: r' = 1*(1 + 3/2), 1*(1 + 1/6), 0, 1*(1 + 1/6); mean 29/24
    shaped = [2.5, 7 / 6, 0, 7 / 6]
    centred = [value - 29 / 24 for value in shaped]
    std = math.sqrt(sum(value**2 for value in centred) / 3)
    expected = [value / std for value in centred]
    assert one_advantage("ada_grpo", "TNNN", (1, 1, 0, 1), progress=0.5) == pytest.approx(expected, abs=1e-5)


def test_ada_grpo_is_grpo_at_the_end():
    group = ("TNNN", (1, 1, 0, 1))
    assert one_advantage("ada_grpo", *group, progress=1.0) == pytest.approx(one_advantage("grpo", *group))


def test_ada_grpo_counts_a_rollout_without_a_switch_in_the_groups_size():
    # G = 3, F = 1 and 1: r' = 3, 0, 0; mean 1, sample std sqrt(3)
    assert one_advantage("ada_grpo", "T-N", (1, 0, 0)) == pytest.approx(
        [2 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5], abs=1e-5
    )


def test_ada_grpo_with_one_mode_only_lifts_nothing():
    assert one_advantage("ada_grpo", "TTTT", (1, 0, 0, 1)) == one_advantage("grpo", "TTTT", (1, 0, 0, 1))

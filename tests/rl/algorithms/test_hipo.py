"""HiPO's bracket against groups worked out by hand."""

import math

import pytest
from algorithm_helpers import computed, run
from factories import make_group

from rl.algorithms.group import group_arrays
from rl.algorithms.hipo import judge_bracket


def bracket(modes, rewards, omega=0.01, gamma=0.3):
    arrays = group_arrays(make_group(modes, rewards), 0.0)
    return judge_bracket(arrays, omega=omega, gamma=gamma).tolist()


def test_the_bracket_adds_the_modes_lead_and_a_share_of_the_rollouts_own():
    # r = 1 1 1 0: mean 3/4, sample std 1/2; think 1, no_think 1/2
    # think: (1 - 3/4 + 0.3 * 1/4) / 0.5 = 0.65; right no_think: (-1/4 + 0.075) / 0.5; wrong: (-1/4 - 0.225) / 0.5
    assert bracket("TTNN", (1, 1, 1, 0)) == pytest.approx([0.65, 0.65, -0.35, -0.95], abs=1e-5)


def test_the_bracket_lifts_direct_answering_past_a_tie():
    # both means 1/2, std sqrt(1/3): direct gains 0.01 * 1/2, thinking nothing
    std = math.sqrt(1 / 3)
    expected = [0.15 / std, (0.005 + 0.15) / std, -0.15 / std, (0.005 - 0.15) / std]
    assert bracket("TNTN", (1, 1, 0, 0)) == pytest.approx(expected, abs=1e-5)


def test_the_bracket_lifts_nobody_when_the_lead_is_larger_or_reversed():
    std = math.sqrt(1 / 3)  # of 0 0 1 1
    assert bracket("TTNN", (0, 0, 1, 1)) == pytest.approx([-0.65 / std, -0.65 / std, 0.65 / std, 0.65 / std], abs=1e-5)
    assert bracket("TTNN", (1, 1, 0, 0)) == pytest.approx([0.65 / std, 0.65 / std, -0.65 / std, -0.65 / std], abs=1e-5)


def test_the_bracket_is_zero_where_the_std_is_below_a_thousandth():
    assert bracket("TTNN", (1, 1, 1, 1)) == [0, 0, 0, 0]  # would be thousands, divided by epsilon alone
    assert bracket("TTNN", (1.0, 1.0, 1.0005, 1.0)) == [0, 0, 0, 0]


def test_with_one_mode_only_the_bracket_is_its_gamma_part():
    # mean 1/2, std sqrt(1/2): 0.3 * 0.5 / 0.7071
    assert bracket("TT", (1, 0)) == pytest.approx([0.212132, -0.212132], abs=1e-5)
    assert bracket("N", (1,)) == [0]


def test_hipo_is_the_bracket_and_the_rewards_less_their_modes_mean():
    judge_G, answer_G = computed("hipo", "TTNN", (1, 1, 1, 0))
    assert judge_G == pytest.approx([0.65, 0.65, -0.35, -0.95], abs=1e-5)
    assert answer_G == [0, 0, 0.5, -0.5]


def test_hipo_compares_raw_means_in_the_answer_step_even_where_direct_answering_is_lifted():
    judge_G, answer_G = computed("hipo", "TNTN", (1, 1, 0, 0))
    assert judge_G[1] > judge_G[0]
    assert answer_G == [0.5, 0.5, -0.5, -0.5]


def test_hipo_counts_a_rollout_without_a_switch_in_the_groups_mean_and_pushes_it_down():
    # r = 1 1 0 0 0: mean 2/5, std sqrt((2*0.36 + 3*0.16)/4) = sqrt(0.3); think 1, no_think 0
    judge_G, answer_G = computed("hipo", "TTNN-", (1, 1, 0, 0, 0))
    std = math.sqrt(0.3)
    think, direct = (0.6 + 0.3 * 0.6) / std, (-0.4 - 0.3 * 0.4) / std
    assert judge_G == pytest.approx([think, think, direct, direct, -1], abs=1e-5)
    assert answer_G == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(("modes", "rewards"), [("TTNN", (1, 1, 1, 1)), ("TTNN", (0, 0, 0, 0)), ("T", (1,))])
def test_hipo_is_zero_where_nothing_differs(modes, rewards):
    assert computed("hipo", modes, rewards) == ([0] * len(modes), [0] * len(modes))


def test_hipo_takes_its_two_constants():
    judge_G, _ = computed("hipo", "TNTN", (1, 1, 0, 0), omega=0.1, gamma=0.0)
    assert judge_G == pytest.approx([0, 0.05 / math.sqrt(1 / 3), 0, 0.05 / math.sqrt(1 / 3)], abs=1e-5)


def test_step_srpo_adds_the_bracket_with_its_weight_and_not_to_rollouts_without_a_switch():
    judge_G, answer_G = run("TTNN", (1, 1, 1, 0), judge_scores=[1, 1, 0, 0], bracket=2.0, preset="none")
    assert judge_G == pytest.approx([2.3, 2.3, -0.7, -1.9], abs=1e-5)
    assert answer_G == [0, 0, 0.5, -0.5]
    assert run("TTNN-", (1, 1, 1, 0, 0), judge_scores=[1, 1, 0, 0, 0], bracket=2.0, preset="none")[0][4] == -1

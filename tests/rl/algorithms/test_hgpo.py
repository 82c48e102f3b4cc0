"""HGPO against groups worked out by hand."""

import math

import pytest
from algorithm_helpers import computed

HALF = math.sqrt(3) / 2  # z of two ones among four


def hgpo(modes, rewards, **options):
    return computed("hgpo", modes, rewards, **options)


def test_the_switch_carries_the_modes_reward_on_top_of_the_answers():
    # no_think is the better mode: inter 0 0 1 1. The best of each mode: intra 1 0 1 1, mean 3/4, sample std 1/2
    judge, answer = hgpo("TTNN", (1, 0, 1, 1))
    assert answer == pytest.approx([0.5, -1.5, 0.5, 0.5], abs=1e-5)
    assert judge == pytest.approx([0.5 - HALF, -1.5 - HALF, 0.5 + HALF, 0.5 + HALF], abs=1e-5)


def test_alpha_weighs_the_modes_reward():
    judge, _ = hgpo("TTNN", (1, 0, 1, 1), alpha=2.0)
    assert judge == pytest.approx([0.5 - 2 * HALF, -1.5 - 2 * HALF, 0.5 + 2 * HALF, 0.5 + 2 * HALF], abs=1e-5)


def test_thinking_has_to_win_by_more_than_delta():
    better = [HALF, HALF, -HALF, -HALF]
    assert hgpo("TTNN", (0.7, 0.7, 0.4, 0.4))[0] == pytest.approx(better, abs=1e-5)
    assert hgpo("TTNN", (0.5, 0.5, 0.4, 0.4))[0] == pytest.approx([-v for v in better], abs=1e-5)
    assert hgpo("TTNN", (0.5, 0.5, 0.4, 0.4), delta=0.0)[0] == pytest.approx(better, abs=1e-5)


def test_a_tie_goes_to_direct_answering():
    # 0.6 against 0.4 + 0.2, which rounding makes 0.6000000000000001
    assert hgpo("TN", (0.6, 0.4))[0] == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)], abs=1e-5)
    assert hgpo("TN", (0.4, 0.2))[0] == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)], abs=1e-5)


@pytest.mark.parametrize("rewards", [(1, 1, 1, 1), (0, 0, 0, 0)])
def test_where_all_answers_are_alike_all_are_best_and_only_the_mode_counts(rewards):
    judge, answer = hgpo("TTNN", rewards)
    assert answer == [0, 0, 0, 0]
    assert judge == pytest.approx([-HALF, -HALF, HALF, HALF], abs=1e-5)


def test_one_mode_only_says_nothing_about_modes():
    expected = [math.sqrt(0.5), -math.sqrt(0.5)]
    for modes in ("TT", "NN"):
        judge, answer = hgpo(modes, (1, 0))
        assert judge == answer == pytest.approx(expected, abs=1e-5)
    assert hgpo("T", (1,)) == ([0], [0])


def test_one_rollout_in_a_mode_is_its_best():
    # intra 1 1 0, mean 2/3, sample std sqrt(1/3)
    _, answer = hgpo("TNN", (0, 1, 0))
    assert answer == pytest.approx([1 / math.sqrt(3), 1 / math.sqrt(3), -2 / math.sqrt(3)], abs=1e-5)


def test_a_rollout_without_a_switch_has_neither_reward():
    # intra 1 1 0, inter 1 0 0
    judge, answer = hgpo("TN-", (1, 0, 0))
    assert answer == pytest.approx([1 / math.sqrt(3), 1 / math.sqrt(3), -2 / math.sqrt(3)], abs=1e-5)
    assert judge == pytest.approx([math.sqrt(3), 0, -math.sqrt(3)], abs=1e-5)
    assert hgpo("--", (0, 0)) == ([0, 0], [0, 0])

"""Paired routing against groups worked out by hand."""

import math

import pytest
from algorithm_helpers import computed

from rl.algorithms import build_algorithm
from rollout.modes import make_plan


def paired(modes, rewards, **options):
    return computed("paired_routing", modes, rewards, **options)


def test_the_switch_follows_the_gap_and_each_answer_is_standardised_in_its_mode():
    judge, answer = paired("TTNN", (1, 1, 1, 0))  # the gap is 1 - 1/2 - 0.05
    assert judge == pytest.approx([1.687596, 1.687596, -1.687596, -1.687596], abs=1e-6)
    assert judge[0] == pytest.approx(4 * math.tanh(0.45))
    assert answer == pytest.approx([0, 0, math.sqrt(0.5), -math.sqrt(0.5)], abs=1e-5)


@pytest.mark.parametrize("rewards", [(1, 1, 1, 1), (0, 0, 0, 0)])
def test_where_both_modes_do_equally_well_the_margin_prefers_direct_answering(rewards):
    push = 4 * math.tanh(0.05)
    assert paired("TTNN", rewards) == (pytest.approx([-push, -push, push, push]), [0, 0, 0, 0])


def test_a_gap_of_the_margin_pushes_nowhere():
    assert paired("TN", (0.5, 0.25), margin=0.25) == ([0, 0], [0, 0])


def test_margin_and_scale_can_be_set():
    assert paired("TN", (1, 0), margin=0.5, scale=2.0)[0] == pytest.approx([2 * math.tanh(0.5), -2 * math.tanh(0.5)])


def test_one_mode_only_has_no_gap_but_standardised_answers():
    judge, answer = paired("TTTT", (1, 1, 1, 0))
    assert judge == [0, 0, 0, 0]
    assert answer == pytest.approx([0.5, 0.5, 0.5, -1.5], abs=1e-5)


def test_one_rollout_in_a_mode_has_no_answer_advantage():
    judge, answer = paired("TNN", (1, 1, 0))
    assert judge[0] == pytest.approx(4 * math.tanh(0.45))
    assert answer == pytest.approx([0, math.sqrt(0.5), -math.sqrt(0.5)], abs=1e-5)


def test_small_differences_count_fully_because_only_a_std_of_zero_is_skipped():
    _, answer = paired("TT", (0.5, 0.5004))
    z = 0.0002 / (0.0004 / math.sqrt(2) + 1e-6)  # 0.7046: epsilon is felt
    assert answer == pytest.approx([-z, z])


def test_a_rollout_without_a_switch_is_pushed_down_and_in_nobodys_mean():
    judge, answer = paired("T-N", (1, 0, 0))
    push = 4 * math.tanh(0.95)
    assert judge == pytest.approx([push, -1, -push])
    assert answer == [0, 0, 0]


def test_the_plan_forces_all_then_half_then_a_third_and_never_less_than_fifteen_percent_a_mode():
    plan = build_algorithm({"name": "paired_routing"}).plan
    forced = []
    for progress in (0.0, 0.3, 0.34, 0.6, 0.67, 1.0):
        plans = [make_plan(size, plan.at(0, progress), plan.least(size)) for size in (8, 20)]
        forced.append(tuple(p.count("think") for p in plans))
    # of 20: all, half, 0.3; of 8: 0.3 would be one a mode, and 0.15 * 8 is more than one
    assert forced == [(4, 10), (4, 10), (2, 5), (2, 5), (2, 3), (2, 3)]

"""AdaptThink against groups worked out by hand."""

import pytest
from algorithm_helpers import one_advantage

from rewards.builtin.judge import PassCounts

GROUP = ("TTNN", (1, 0, 1, 0))


def advantage(modes, rewards, reference, **options):
    return one_advantage("adaptthink", modes, rewards, reference=reference, **options)


def test_each_reward_is_compared_with_the_reference_and_direct_answers_gain_delta():
    assert advantage(*GROUP, 0.75) == pytest.approx([0.25, -0.75, 0.3, -0.7])
    assert advantage(*GROUP, 0.75, delta=0.5) == pytest.approx([0.25, -0.75, 0.75, -0.25])


@pytest.mark.parametrize(
    ("modes", "rewards", "expected"),
    [
        ("TTNN", (1, 1, 1, 1), [0.25, 0.25, 0.3, 0.3]),  # no normalisation by the group: all right is not zero
        ("TTNN", (0, 0, 0, 0), [-0.75, -0.75, -0.7, -0.7]),
        ("TT", (1, 0), [0.25, -0.75]),
        ("N", (1,), [0.3]),
        ("TN-", (1, 1, 0), [0.25, 0.3, -0.75]),  # without a switch: r = 0 and no delta
    ],
)
def test_each_rollout_stands_alone(modes, rewards, expected):
    assert advantage(modes, rewards, 0.75) == pytest.approx(expected)


def test_without_a_reference_the_pass_rate_of_earlier_thinking_stands_in():
    known = {"history": {"think": PassCounts(3, 4), "no_think": PassCounts(0, 4)}}
    assert one_advantage("adaptthink", *GROUP, known=known) == pytest.approx([0.25, -0.75, 0.3, -0.7])


def test_at_the_first_visit_the_groups_own_thoughts_stand_in_and_then_the_group():
    assert one_advantage("adaptthink", *GROUP) == pytest.approx([0.5, -0.5, 0.55, -0.45])
    assert one_advantage("adaptthink", "NN", (1, 0)) == pytest.approx([0.55, -0.45])
    known = {"history": {"think": PassCounts(0, 0)}}
    assert one_advantage("adaptthink", *GROUP, known=known) == pytest.approx([0.5, -0.5, 0.55, -0.45])

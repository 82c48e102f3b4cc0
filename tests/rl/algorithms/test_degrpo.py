"""DeGRPO against groups worked out by hand; its loss is in test_algorithm_training.py."""

import pytest
from algorithm_helpers import one_advantage

from rl.algorithms import build_algorithm


def test_direct_and_right_is_worth_one_thought_and_right_a_half_and_wrong_minus_one():
    # r' = 0.5 -1 1 -1, mean -1/8
    assert one_advantage("degrpo", "TTNN", (1, 0, 1, 0)) == [0.625, -0.875, 1.125, -0.875]


@pytest.mark.parametrize(
    ("modes", "rewards", "expected"),
    [
        ("TTNN", (1, 1, 1, 1), [-0.25, -0.25, 0.25, 0.25]),
        ("TTNN", (0, 0, 0, 0), [0, 0, 0, 0]),
        ("TT", (1, 0), [0.75, -0.75]),
        ("TNN", (1, 1, 1), [-1 / 3, 1 / 6, 1 / 6]),
        ("TN-", (1, 1, 0), [1 / 3, 5 / 6, -7 / 6]),  # 0.5 1 -1, mean 1/6: without a switch is wrong
        ("N", (1,), [0]),
    ],
)
def test_the_cases_by_hand(modes, rewards, expected):
    assert one_advantage("degrpo", modes, rewards) == pytest.approx(expected)


def test_the_reward_is_decided_by_correctness_and_not_by_the_answer_reward():
    assert one_advantage("degrpo", "TN", (0.2, 0.2), correct=(1, 0)) == [0.75, -0.75]
    assert one_advantage("degrpo", "TN", (0.2, 0.2), correct=(0.51, 0.5)) == [0.75, -0.75]


def test_a_thoughts_reward_can_be_set():
    assert one_advantage("degrpo", "TN", (1, 0), think_reward=1.0) == [1, -1]


def test_alpha_is_the_switchs_weight_in_the_loss_and_leaves_the_advantages_alone():
    assert build_algorithm({"name": "degrpo"}).loss.judge_weight == 0.001
    algorithm = build_algorithm({"name": "degrpo", "alpha": 0.1})
    assert (algorithm.loss.judge_weight, algorithm.loss.judge_mean, algorithm.loss.judge_text) == (
        0.1,
        "rollouts",
        "answer",
    )
    assert one_advantage("degrpo", "TN", (1, 0), alpha=0.1) == [0.75, -0.75]

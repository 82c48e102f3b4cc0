"""A group as arrays: its numbers in the order of its rollouts."""

import numpy as np
import pytest
from algorithm_helpers import run
from factories import make_group, make_problem

from rewards.builtin.judge import PassCounts
from rl.algorithms.group import group_arrays


def test_the_arrays_of_a_group_hold_its_numbers_in_order():
    group = make_group("T-N", (1, 0, 0.5), [0, 0, 1], tokens=6, switch_probs=(0.3, 0.6))
    arrays = group_arrays(group, progress=0.25)
    assert arrays.modes == ("think", None, "no_think")
    assert arrays.rewards_G.tolist() == arrays.correct_G.tolist() == [1, 0, 0.5]
    assert arrays.judge_G.tolist() == [0, 0, 1]
    assert arrays.lengths_G.tolist() == [6, 6, 6]
    assert arrays.switch_probs_GM.tolist() == [[0.6, 0.3], [0, 0], [0.6, 0.3]]  # no_think, think
    assert arrays.choice_probs() == pytest.approx(np.array([[2 / 3, 1 / 3], [0.5, 0.5], [2 / 3, 1 / 3]]))
    assert (arrays.forced_G.tolist(), arrays.truncated_G.tolist()) == ([0, 0, 0], [0, 0, 0])
    assert arrays.progress == 0.25
    assert arrays.mask(None).tolist() == [False, True, False]


def test_what_is_known_besides_the_rollouts_reaches_the_algorithm():
    group = make_group("TN", (1, 0), problem=make_problem(necessity="no_think"), forced=True, truncated=True)
    arrays = group_arrays(group, 0.5, history={"think": PassCounts(1, 4)}, batch_think_share=0.3)
    assert (arrays.necessity, arrays.batch_think_share, arrays.reference_accuracy) == ("no_think", 0.3, 0.25)
    assert (arrays.forced_G.tolist(), arrays.truncated_G.tolist()) == ([1, 1], [1, 1])


def test_advantages_do_not_depend_on_the_order_of_the_rollouts():
    modes, rewards = "TNTNT-", np.array([1, 0, 0, 0.5, 1, 0])
    order = [3, 1, 5, 0, 4, 2]
    straight = run(modes, list(rewards), answer_scale="std", bracket=1.0)
    shuffled = run("".join(modes[i] for i in order), list(rewards[order]), answer_scale="std", bracket=1.0)
    for one, other in zip(straight, shuffled, strict=True):
        assert [one[i] for i in order] == pytest.approx(other)

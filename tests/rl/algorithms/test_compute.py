"""`rl.algorithms.compute`: plain lists in many forms, and one line for everything that is wrong."""

import numpy as np
import pytest
from algorithm_helpers import run
from factories import make_group

from rewards.builtin.judge import PassCounts
from rl.algorithms import SHIPPED, compute
from rl.algorithms.group import group_arrays
from rl.algorithms.plain import group_from_lists
from rollout.errors import UserError

PAIR = ["think", "no_think"]


def judged(correct, context=None, modes=PAIR, **params):
    """The judge advantages of step_srpo: with its defaults they are the judge scores."""
    judge_G, _ = compute("step_srpo", modes, correct, correct, [5] * len(modes), params=params, context=context)
    return judge_G.tolist()


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_it_takes_plain_lists_and_judges_by_correctness():
    modes = ["think", "think", "no_think", "no_think", None]
    judge_G, answer_G = compute("step_srpo", modes, [1.2, 0.2, 0.2, 0.2, 0], [1, 0, 0, 0, 0], [9, 9, 4, 4, 2])
    assert judge_G.tolist() == [1, 1, 0, 0, -1]
    assert answer_G.tolist() == pytest.approx([0.5, -0.5, 0, 0, 0])


def test_it_takes_arrays_and_booleans():
    modes = np.array(["think", "no_think"])
    judge_G, _ = compute("step_srpo", modes, np.ones(2), np.array([True, False]), np.array([3, 4]))
    assert judge_G.tolist() == [1, 0]


def test_a_rollout_without_a_mode_has_no_reward_whatever_was_passed():
    for name in SHIPPED:
        some = compute(name, ["think", "no_think", None], [1, 0, 5], [1, 0, 1], [3, 2, 1])
        none = compute(name, ["think", "no_think", None], [1, 0, 0], [1, 0, 0], [3, 2, 1])
        assert [array.tolist() for array in some] == [array.tolist() for array in none]


def test_step_srpo_takes_the_judge_rewards_margin_and_wrong():
    assert judged([1.0, 0.5], margin=0.6) == [0, 1]
    assert judged([1.0, 0.5], margin=0.6, wrong=-1.0) == [-1, 1]
    assert judged([1.0, 0.5], wrong=-1) == [1, -1]


def test_rates_a_margin_apart_are_a_tie_although_rounding_says_more():
    assert 0.55 - 0.5 > 0.05
    assert judged([0.55, 0.5]) == [0, 1]


@pytest.mark.parametrize(
    ("correct", "modes", "expected"),
    [
        ([0, 0], PAIR, [0, 0]),
        ([1, 1], PAIR, [0, 1]),
        ([1, 0], ["think", "think"], [0, 0]),
        ([0, 0], [None, None], [-1, -1]),
    ],
)
def test_nothing_is_right_where_nothing_is_known(correct, modes, expected):
    assert judged(correct, modes=modes) == expected


def test_judge_scores_replace_what_correctness_says():
    assert judged([1.0, 0.5], {"judge_scores": [0.25, 0.75]}) == [0.25, 0.75]


def test_a_history_of_rates_holds_the_pooled_pass_rates():
    assert judged([1, 0], {"history": {"think": 0.5, "no_think": 0.5}}) == [0, 1]
    assert judged([1, 1], {"history": {"no_think": 0.2}}) == [1, 0]  # thinking's rate is the group's
    assert judged([1, 1], {"history": {"think": 0.9}}, modes=["no_think", "no_think"]) == [1, 1]


def test_a_history_of_counts_is_pooled_with_the_group():
    # 1 + 8 of 11 against 0 + 9 of 11
    assert judged([1, 0], {"history": {"think": (8, 10), "no_think": (9, 10)}}) == [0, 1]
    assert judged([1, 0], {"history": {"think": PassCounts(8, 10), "no_think": PassCounts(7, 10)}}) == [1, 0]


def test_a_judge_mode_of_one_kind_is_decided_by_history():
    assert judged([1, 1], {"history": {"think": (0, 4), "no_think": (4, 4)}}, modes=["think", "think"]) == [0, 0]
    assert judged([1, 1], {"history": {"no_think": (0, 4)}}, modes=["think", "think"]) == [1, 1]


@pytest.mark.parametrize(
    "probs",
    [
        [{"think": 0.25, "no_think": 0.75}] * 2,
        [(0.25, 0.75), [0.25, 0.75]],
        np.array([[0.25, 0.75], [0.25, 0.75]]),
        (0.25, 0.75),
        {"think": 0.25, "no_think": 0.75},
        [[0.1, 0.3], [0.1, 0.3]],  # the rest of the vocabulary has the rest
    ],
)
def test_switch_probabilities_come_in_any_form(probs):
    assert judged([1, 0], {"switch_probs": probs}, baseline="policy") == pytest.approx([0.75, -0.25])


def test_without_switch_probabilities_both_modes_are_as_likely():
    assert judged([1, 0], baseline="policy") == [0.5, -0.5]
    assert judged(
        [1, 0, 0], {"switch_probs": [(0.25, 0.75), (0.25, 0.75), None]}, [*PAIR, None], baseline="policy"
    ) == [
        0.75,
        -0.25,
        -1,
    ]


def test_importance_weighs_the_switches():
    # policy baseline 0.25; weights 0.25 * 3 / 1 and 0.75 * 3 / 2
    context = {"switch_probs": (0.25, 0.75), "forced": [1, 1, 0]}
    found = judged([1, 0, 0], context, ["think", "no_think", "no_think"], forced_switch="importance")
    assert found == pytest.approx([0.75 * 0.75, -0.25 * 1.125, -0.25 * 1.125])


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "degrop"}, r"algorithm\.name is 'degrop'; did you mean 'degrpo'\?"),
        ({"modes": ["thnk", "no_think"]}, r"modes\[0\] is 'thnk'; did you mean 'think'\?"),
        ({"modes": [1, 0]}, r"modes\[0\] is 1 \(allowed: no_think, think, None\)"),
        ({"modes": []}, "modes is empty"),
        ({"rewards": [1]}, "rewards has 1 values; allowed: 2, as many as modes"),
        ({"correct": [1, 0, 0]}, "correct has 3 values; allowed: 2"),
        ({"lengths": 5}, "lengths is 5; allowed: a list of 2"),
        ({"rewards": [1, float("nan")]}, r"rewards\[1\] is nan; allowed: a finite number"),
        ({"rewards": [1, "0"]}, r"rewards\[1\] is '0'; allowed: a finite number"),
        ({"rewards": [1, None]}, r"rewards\[1\] is None; allowed: a finite number"),
        ({"correct": [1, 1.5]}, r"correct\[1\] is 1.5; allowed: 0 to 1"),
        ({"lengths": [5, -1]}, r"lengths\[1\] is -1; allowed: ≥ 0"),
        ({"progress": 2.0}, "progress is 2.0; allowed: 0 to 1"),
        ({"progress": "half"}, "progress is 'half'; allowed: 0 to 1"),
        ({"params": {"kapa": 1}}, r"algorithm\.kapa is unknown to 'step_srpo'; did you mean 'kappa'\?"),
        ({"params": {"kappa": "2"}}, r"algorithm\.kappa is '2'; allowed: a number"),
        ({"params": {"margin": "wide"}}, r"algorithm\.margin is 'wide'; allowed: a number"),
        ({"name": "grpo", "params": {"margin": 0.1}}, r"algorithm\.margin is unknown to 'grpo'"),
        ({"context": {"swich_probs": 1}}, r"unknown key 'swich_probs'; did you mean 'switch_probs'\?"),
        ({"context": {"switch_probs": (0.5, 0.6, 0.7)}}, "switch_probs has 3 values; allowed: 2"),
        ({"context": {"switch_probs": [(0.5, 0.5), (0.5, 1.5)]}}, r"switch_probs\[1\] is 1.5; allowed: 0 to 1"),
        ({"context": {"forced": [1]}}, "forced has 1 values; allowed: 2"),
        ({"context": {"judge_scores": [1, float("inf")]}}, r"judge_scores\[1\] is inf; allowed: a finite number"),
        ({"context": {"necessity": "maybe"}}, r"necessity is 'maybe' .allowed: no_think, think, None"),
        ({"context": {"batch_think_share": 2}}, r"context\.batch_think_share is 2; allowed: 0 to 1"),
        ({"context": {"reference_accuracy": "0.5"}}, r"context\.reference_accuracy is '0.5'; allowed: a finite number"),
        ({"context": {"history": [1, 2]}}, r"history is \[1, 2\]; allowed"),
        ({"context": {"history": {"thinking": 1}}}, r"history's key is 'thinking'; did you mean 'think'\?"),
        ({"context": {"history": {"think": 1.5}}}, r"history\.think is 1.5; allowed: 0 to 1"),
        ({"context": {"history": {"think": (3, 2)}}}, r"history\.think is \(3, 2\); allowed: \(successes, trials\)"),
        ({"context": {"history": {"think": (1, 2, 3)}}}, r"history\.think has 3 values; allowed: 2"),
    ],
)
def test_a_wrong_input_is_named_in_one_line(change, message):
    call = {"name": "step_srpo", "modes": PAIR, "rewards": [1, 0], "correct": [1, 0], "lengths": [5, 5], **change}
    with pytest.raises(UserError, match=message) as caught:
        compute(**call)
    assert "\n" not in str(caught.value)


# --- the arrays behind it ---------------------------------------------------------------------------------------------


def test_the_context_reaches_the_algorithm():
    context = {
        "history": {"think": (1, 4)},
        "necessity": "no_think",
        "batch_think_share": 0.3,
        "forced": [True, False],
        "truncated": [0, 1],
    }
    group = group_from_lists(PAIR, [1, 0], [1, 0], [5, 6], 0.5, context)
    assert (group.necessity, group.batch_think_share, group.reference_accuracy) == ("no_think", 0.3, 0.25)
    assert group.history == {"think": PassCounts(1, 4)}
    assert (group.forced_G.tolist(), group.truncated_G.tolist()) == ([1, 0], [0, 1])
    assert (group.lengths_G.tolist(), group.progress) == ([5, 6], 0.5)


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


def test_advantages_do_not_depend_on_the_order_of_the_rollouts():
    modes, rewards = "TNTNT-", np.array([1, 0, 0, 0.5, 1, 0])
    order = [3, 1, 5, 0, 4, 2]
    straight = run(modes, rewards, answer_scale="std", bracket=1.0)
    shuffled = run("".join(modes[i] for i in order), rewards[order], answer_scale="std", bracket=1.0)
    for one, other in zip(straight, shuffled, strict=True):
        assert [one[i] for i in order] == pytest.approx(other)

"""Step-SRPO against groups worked out by hand (all right, all wrong, one mode only, one rollout in a mode, no switch, a
tie within the margin)."""

import math
from functools import partial

import pytest
from algorithm_helpers import run as run_with
from factories import make_group

from rl.algorithms import build_algorithm
from rl.algorithms.group import group_arrays
from rollout.errors import UserError

FORMULA = {"name": "step_srpo", "preset": "none"}
run = partial(run_with, preset="none")

# --- the formula ----------------------------------------------------------------------------------------------------


def test_all_right_rewards_the_direct_switches_and_leaves_the_answers_alone():
    assert run("TTNN", (1, 1, 1, 1)) == ([0, 0, 1, 1], [0, 0, 0, 0])


def test_all_wrong_moves_nothing():
    assert run("TTNN", (0, 0, 0, 0)) == ([0, 0, 0, 0], [0, 0, 0, 0])


def test_thinking_that_pays_rewards_its_switch_and_each_answer_is_compared_within_its_mode():
    judge_G, answer_G = run("TTTTNNNN", (1, 1, 1, 0, 1, 0, 0, 0))
    assert judge_G == [1, 1, 1, 1, 0, 0, 0, 0]
    assert answer_G == [0.25, 0.25, 0.25, -0.75, 0.75, -0.25, -0.25, -0.25]


def test_direct_answering_that_does_better_is_rewarded():
    judge_G, answer_G = run("TTNN", (1, 0, 1, 1))
    assert judge_G == [0, 0, 1, 1]
    assert answer_G == [0.5, -0.5, 0, 0]


def test_one_mode_only_has_no_judge_signal_but_trains_its_answers():
    assert run("TTTT", (1, 0, 0, 0)) == ([0, 0, 0, 0], [0.75, -0.25, -0.25, -0.25])
    assert run("NN", (1, 0)) == ([0, 0], [0.5, -0.5])


def test_one_rollout_in_a_mode_has_no_answer_advantage():
    judge_G, answer_G = run("TNNN", (1, 1, 0, 0))
    assert judge_G == [1, 0, 0, 0]
    assert answer_G == pytest.approx([0, 2 / 3, -1 / 3, -1 / 3])


def test_a_rollout_without_a_switch_gets_minus_kappa_and_is_in_nobodys_mean():
    judge_G, answer_G = run("TT-NN", (1, 0, 0, 0, 0))
    assert judge_G == [1, 1, -1, 0, 0]
    assert answer_G == [0.5, -0.5, 0, 0, 0]
    assert run("TT-NN", (1, 0, 0, 0, 0), kappa=0.5)[0] == [0.5, 0.5, -0.5, 0, 0]


def test_a_group_without_any_switch_is_pushed_down_everywhere():
    assert run("---", (0, 0, 0)) == ([-1, -1, -1], [0, 0, 0])


def test_a_tie_within_the_margin_goes_to_direct_answering():
    # raw pass rates 1/20 apart: thinking is better, but not by more than the margin of 0.05
    modes, rewards = "T" * 20 + "N" * 20, (1,) * 20 + (1,) * 19 + (0,)
    judge_G, answer_G = run(modes, rewards)
    assert judge_G == [0] * 20 + [1] * 20
    assert answer_G[:20] == [0] * 20
    assert answer_G[20:] == pytest.approx([0.05] * 19 + [-0.95])


def test_wrong_modes_cost_when_the_judge_reward_says_so():
    assert run("TN", (1, 0), judge_scores=[1, -1], kappa=2.0)[0] == [2, -2]


# --- options --------------------------------------------------------------------------------------------------------


def test_dividing_by_std_takes_the_sample_std_of_each_mode():
    judge_G, answer_G = run("TTTTNN", (1, 1, 1, 0, 1, 0), answer_scale="std")
    # think: sample variance (3*(1/4)^2 + (3/4)^2) / 3 = 1/4; no_think: (1/4 + 1/4) / 1 = 1/2
    assert answer_G == pytest.approx([0.5, 0.5, 0.5, -1.5, math.sqrt(0.5), -math.sqrt(0.5)], abs=1e-5)
    assert judge_G == [1, 1, 1, 1, 0, 0]


def test_dividing_by_std_gives_zero_where_the_std_is_below_a_thousandth():
    _, answer_G = run("TTNN", (1.0, 1.0005, 0.5, 0.5), answer_scale="std")
    assert answer_G == [0, 0, 0, 0]
    _, answer_G = run("TT", (1.0, 1.01), answer_scale="std")
    assert answer_G == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)], rel=1e-3)


def test_dividing_by_std_leaves_a_single_rollout_of_a_mode_at_zero():
    assert run("TNN", (1, 1, 0), answer_scale="std")[1][0] == 0


def test_the_group_baseline_is_the_mean_judge_reward():
    assert run("TTTN", (1, 1, 1, 0), judge_scores=[1, 1, 1, 0], baseline="group")[0] == [0.25, 0.25, 0.25, -0.75]


def test_the_policy_baseline_weighs_the_two_modes_by_their_probability():
    arrays = group_arrays(make_group("TN", (1, 0), [1, 0], switch_probs=(0.25, 0.75)), 0.0)
    judge_G, _ = build_algorithm({**FORMULA, "baseline": "policy"})(arrays)
    assert judge_G.tolist() == [0.75, -0.25]  # the baseline is 0.25 * 1 + 0.75 * 0


def test_a_truncated_answer_can_be_left_out():
    arrays = group_arrays(make_group("TT", (1, 0), [1, 1], truncated=True), 0.0)
    assert build_algorithm(FORMULA)(arrays)[1].tolist() == [0.5, -0.5]
    judge_G, answer_G = build_algorithm({**FORMULA, "truncated_answer": "skip"})(arrays)
    assert (judge_G.tolist(), answer_G.tolist()) == ([1, 1], [0, 0])


# --- balanced targets ------------------------------------------------------------------------------------------------


def balanced(modes, q, share, **params):
    known = {"batch_target_share": share}
    return run(modes, [0.0] * len(modes), q, known=known, **params)[0]


def test_balance_weighs_each_target_by_half_over_its_share():
    # A quarter of the problems prefer thinking: they count 0.5 / 0.25, the others 0.5 / 0.75.
    assert balanced("TTNN", [1, 1, 0, 0], 0.25, balance=4.0) == [2.0, 2.0, 0.0, 0.0]
    assert balanced("TTNN", [0, 0, 1, 1], 0.25, balance=4.0) == pytest.approx([0.0, 0.0, 2 / 3, 2 / 3])


def test_a_group_of_one_mode_is_weighed_by_what_its_judge_reward_says():
    # Direct answers first: a problem that needs no thought has none.
    assert balanced("NNN", [1, 1, 1], 0.25, balance=4.0) == pytest.approx([2 / 3] * 3)
    assert balanced("TTT", [1, 1, 1], 0.25, balance=4.0) == [2.0, 2.0, 2.0]


def test_balance_is_the_most_that_a_problem_counts():
    assert balanced("TN", [1, 0], 0.05, balance=3.0) == pytest.approx([3.0, 0.0])
    assert balanced("TN", [1, 0], 0.0, balance=3.0) == [3.0, 0.0]


@pytest.mark.parametrize(
    ("modes", "q", "share", "balance"),
    [
        ("TTNN", [1, 1, 0, 0], 0.25, 1.0),
        ("TTNN", [1, 1, 0, 0], None, 4.0),
        ("TTNN", [0, 0, 0, 0], 0.25, 4.0),
        ("TTT", [0, 0, 0], 0.25, 4.0),
    ],
    ids=["off", "no share known", "no target", "no target in one mode"],
)
def test_without_a_target_or_a_share_nothing_is_weighed(modes, q, share, balance):
    assert balanced(modes, q, share, balance=balance) == q


def test_balance_leaves_rollouts_without_a_switch_and_answers_alone():
    judge, answer = run("TTN-", [1.0, 0.0, 1.0, 0.0], [1, 1, 0, 0], known={"batch_target_share": 0.25}, balance=4.0)
    assert judge == [2.0, 2.0, 0.0, -1.0]
    assert answer == [0.5, -0.5, 0.0, 0.0]


def test_what_the_cap_cuts_off_goes_to_the_other_target():
    # 5 % think at 3 each leave 0.85 of the push to 95 %; where nobody needs thinking direct answers have all of it.
    assert balanced("TN", [0, 1], 0.05, balance=3.0) == pytest.approx([0.0, 0.85 / 0.95])
    assert balanced("TN", [0, 1], 0.0, balance=3.0, lean=0.75) == [0.0, 1.0]
    assert balanced("TN", [1, 0], 1.0, balance=3.0) == [1.0, 0.0]


def test_the_lean_is_the_share_of_the_push_that_thinking_gets():
    # 0.75 / 0.25 towards thinking, 0.25 / 0.75 towards direct answers.
    assert balanced("TTNN", [1, 1, 0, 0], 0.25, balance=4.0, lean=0.75) == [3.0, 3.0, 0.0, 0.0]
    assert balanced("TTNN", [0, 0, 1, 1], 0.25, balance=4.0, lean=0.75) == pytest.approx([0.0, 0.0, 1 / 3, 1 / 3])
    assert balanced("TTNN", [1, 1, 0, 0], 0.25) == [1, 1, 0, 0]


# --- anchored answers ------------------------------------------------------------------------------------------------


def test_the_anchor_holds_right_answers_and_nothing_else():
    judge, answer = run("TTNN-", [1.2, 0.2, 1.2, 1.2, 0.0], correct=[1, 0, 1, 1, 0], anchor=0.5)
    # Thinking: 1.2 and 0.2 around 0.7; direct: all right, held by the anchor alone.
    assert answer == pytest.approx([1.0, -0.5, 0.5, 0.5, 0.0])
    assert judge == [0.0, 0.0, 1.0, 1.0, -1.0]


# --- what the algorithm adds to the formula --------------------------------------------------------------------------


def test_by_its_name_alone_it_is_the_default_of_the_comparison():
    algorithm = build_algorithm({"name": "step_srpo"})
    assert algorithm.parameters == {"balance": 3.0, "lean": 0.75, "anchor": 1.0}
    assert (algorithm.savings.direct_first, algorithm.savings.judge_replay) == (True, 64)
    assert (algorithm.loss.judge_weight, algorithm.loss.answer_mean) == (0.4, "tokens")
    # A third prefer thinking: 0.75 / (1/3) and 0.25 / (2/3); right answers have 1 more.
    known = {"batch_target_share": 1 / 3}
    assert run_with("TTNN", (1, 1, 0, 0), [1, 1, 0, 0], known=known) == ([2.25, 2.25, 0, 0], [1, 1, 0, 0])
    assert run_with("TTNN", (1, 1, 1, 1), [0, 0, 1, 1], known=known)[0] == pytest.approx([0, 0, 0.375, 0.375])


def test_the_preset_none_is_the_formula_alone():
    algorithm = build_algorithm(FORMULA)
    assert algorithm.parameters == {}
    assert (algorithm.savings.direct_first, algorithm.savings.judge_replay) == (False, 0)
    assert build_algorithm({**FORMULA, "anchor": 0.5, "judge_replay": 8}).parameters == {"anchor": 0.5}
    assert build_algorithm({**FORMULA, "judge_replay": 8}).savings.judge_replay == 8


def test_decisions_that_no_weight_trains_are_not_stored():
    for off in ({"judge_weight": 0.0}, {"kappa": 0.0}):
        assert build_algorithm({"name": "step_srpo", **off}).savings.judge_replay == 0
        with pytest.raises(UserError, match=r"algorithm.judge_replay is 8 with (judge_weight|kappa) 0"):
            build_algorithm({"name": "step_srpo", **off, "judge_replay": 8})

"""Advantages against groups worked out by hand (the cases of docs/algorithm.md: all right, all wrong, one mode only,
one rollout in a mode, no switch, a tie within the margin)."""

import math

import numpy as np
import pytest
from factories import make_group

from rewards.judge import judge
from rl.algorithms import SHIPPED, build_algorithm, compute
from rl.algorithms.base import LossOptions, group_arrays
from rl.algorithms.step_srpo import hipo_bracket
from rollout.errors import UserError


def run(modes, rewards, judge_scores=None, name="step_srpo", **parameters):
    """(A_judge, A_answer) as lists; without `judge_scores` they come from the judge reward itself."""
    if judge_scores is None:
        judge_scores = judge(make_group(modes, rewards))
    arrays = group_arrays(make_group(modes, rewards, judge_scores), progress=0.0)
    judge_G, answer_G = build_algorithm({"name": name, **parameters})(arrays)
    return judge_G.tolist(), answer_G.tolist()


# --- step_srpo: the default ------------------------------------------------------------------------------------------


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


# --- step_srpo: options ----------------------------------------------------------------------------------------------


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
    judge_G, _ = build_algorithm({"name": "step_srpo", "baseline": "policy"})(arrays)
    assert judge_G.tolist() == [0.75, -0.25]  # the baseline is 0.25 * 1 + 0.75 * 0


def test_a_truncated_answer_can_be_left_out():
    arrays = group_arrays(make_group("TT", (1, 0), [1, 1], truncated=True), 0.0)
    assert build_algorithm({"name": "step_srpo"})(arrays)[1].tolist() == [0.5, -0.5]
    judge_G, answer_G = build_algorithm({"name": "step_srpo", "truncated_answer": "skip"})(arrays)
    assert (judge_G.tolist(), answer_G.tolist()) == ([1, 1], [0, 0])


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("baseline", "mean", "none, group, policy"),
        ("answer_scale", "sigma", "none, std"),
        ("truncated_answer", "drop", "train, skip"),
    ],
)
def test_an_unknown_option_names_what_is_allowed(option, value, allowed):
    with pytest.raises(UserError, match=f"algorithm.{option} is '{value}'; allowed: {allowed}"):
        run("TN", (1, 0), **{option: value})


# --- HiPO's bracket --------------------------------------------------------------------------------------------------


def bracket(modes, rewards, omega=0.01, gamma=0.3):
    arrays = group_arrays(make_group(modes, rewards), 0.0)
    return hipo_bracket(arrays, omega=omega, gamma=gamma).tolist()


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


def test_the_bracket_is_zero_with_one_mode_only():
    assert bracket("TT", (1, 0)) == [0, 0]
    assert bracket("N", (1,)) == [0]


def test_step_srpo_adds_the_bracket_with_its_weight_and_not_to_rollouts_without_a_switch():
    judge_G, answer_G = run("TTNN", (1, 1, 1, 0), judge_scores=[1, 1, 0, 0], bracket=2.0)
    assert judge_G == pytest.approx([2.3, 2.3, -0.7, -1.9], abs=1e-5)
    assert answer_G == [0, 0, 0.5, -0.5]
    assert run("TTNN-", (1, 1, 1, 0, 0), judge_scores=[1, 1, 0, 0, 0], bracket=2.0)[0][4] == -1


# --- grpo ------------------------------------------------------------------------------------------------------------


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


# --- building and the plain interface --------------------------------------------------------------------------------


def test_loss_options_and_advantage_parameters_are_told_apart():
    algorithm = build_algorithm({"name": "step_srpo", "judge_weight": 0.7, "forced_switch": "masked", "kappa": 2.0})
    assert algorithm.loss == LossOptions(judge_weight=0.7, judge_mean="rollouts", forced_switch="masked")
    assert algorithm.parameters == {"kappa": 2.0}
    assert build_algorithm({}).name == "step_srpo"
    assert SHIPPED["step_srpo"].parameters == {}  # building leaves the shipped one alone


def test_grpo_is_one_token_mean_with_free_choice():
    algorithm = build_algorithm({"name": "grpo"})
    assert algorithm.loss == LossOptions(judge_weight=1.0, judge_mean="tokens")
    assert (algorithm.plan.at(0), algorithm.plan.at(100), algorithm.plan.minimum) == (0.0, 0.0, 0)
    assert build_algorithm({"name": "step_srpo"}).plan is None


def test_an_algorithm_can_come_from_a_users_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def double(group, *, factor=2.0):\n    return factor * group.judge_G, group.rewards_G\n", "utf-8")
    judge_G, answer_G = run("TN", (1, 0), judge_scores=[1, 0], name=f"{path}:double", factor=3.0)
    assert (judge_G, answer_G) == ([3, 0], [1, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "step_srop"}, r"algorithm\.name is 'step_srop'; did you mean 'step_srpo'\?"),
        ({"name": "step_srpo", "kapa": 1}, r"algorithm\.kapa is unknown to 'step_srpo'; did you mean 'kappa'\?"),
        ({"name": "step_srpo", "judge_wieght": 1}, r"algorithm\.judge_wieght .*; did you mean 'judge_weight'\?"),
        ({"name": "grpo", "kappa": 1}, r"algorithm\.kappa is unknown to 'grpo' \(allowed: answer_scale\)"),
        ({"judge_mean": "words"}, r"algorithm\.judge_mean is 'words'; allowed: rollouts, tokens"),
        ({"forced_switch": "free"}, r"algorithm\.forced_switch is 'free'; allowed: uncorrected, masked"),
    ],
)
def test_a_misspelt_setting_names_the_nearest(settings, message):
    with pytest.raises(UserError, match=message):
        build_algorithm(settings)


def test_compute_takes_plain_lists_and_judges_by_correctness():
    modes = ["think", "think", "no_think", "no_think", None]
    judge_G, answer_G = compute("step_srpo", modes, [1.2, 0.2, 0.2, 0.2, 0], [1, 0, 0, 0, 0], [9, 9, 4, 4, 2])
    assert judge_G.tolist() == [1, 1, 0, 0, -1]
    assert answer_G.tolist() == pytest.approx([0.5, -0.5, 0, 0, 0])


def test_compute_takes_its_margin_and_its_context():
    modes, values = ["think", "no_think"], [1.0, 0.5]
    judge_G, _ = compute("step_srpo", modes, values, values, [5, 5], params={"margin": 0.6})
    assert judge_G.tolist() == [0, 1]
    judge_G, answer_G = compute("step_srpo", modes, values, values, [5, 5], context={"judge_scores": [0.25, 0.75]})
    assert (judge_G.tolist(), answer_G.tolist()) == ([0.25, 0.75], [0, 0])


def test_the_arrays_of_a_group_hold_its_numbers_in_order():
    group = make_group("T-N", (1, 0, 0.5), [0, 0, 1], tokens=6, switch_probs=(0.3, 0.6))
    arrays = group_arrays(group, progress=0.25)
    assert arrays.modes == ("think", None, "no_think")
    assert arrays.rewards_G.tolist() == arrays.correct_G.tolist() == [1, 0, 0.5]
    assert arrays.judge_G.tolist() == [0, 0, 1]
    assert arrays.lengths_G.tolist() == [6, 6, 6]
    assert arrays.switch_probs_G2.tolist() == [[0.3, 0.6], [0, 0], [0.3, 0.6]]
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

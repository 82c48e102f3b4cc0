"""From a config section to an algorithm: names, parameters, loss options, plans, and one-line errors."""

import pytest
from algorithm_helpers import run

from rl.algorithms import SHIPPED, build_algorithm
from rl.algorithms.base import LossOptions
from rollout.errors import UserError


def test_loss_options_and_advantage_parameters_are_told_apart():
    algorithm = build_algorithm({"name": "step_srpo", "judge_weight": 0.7, "forced_switch": "masked", "kappa": 2.0})
    assert algorithm.loss == LossOptions(judge_weight=0.7, judge_mean="rollouts", forced_switch="masked", rehearsal=1.0)
    assert algorithm.parameters == {"kappa": 2.0, "balance": 3.0, "lean": 0.75, "anchor": 1.0}
    assert build_algorithm({}).name == "step_srpo"
    assert "kappa" not in SHIPPED["step_srpo"].parameters  # building leaves the shipped one alone


def test_grpo_is_one_token_mean_with_free_choice():
    algorithm = build_algorithm({"name": "grpo"})
    assert algorithm.loss == LossOptions(judge_weight=1.0, judge_mean="tokens")
    assert (algorithm.plan.at(0), algorithm.plan.at(100), algorithm.plan.minimum) == (0.0, 0.0, 0)
    assert build_algorithm({"name": "step_srpo"}).plan is None


def test_a_function_of_a_users_file_is_an_algorithm(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def double(group, *, factor=2.0):\n    return factor * group.judge_G, group.rewards_G\n", "utf-8")
    judge_G, answer_G = run("TN", (1, 0), judge_scores=[1, 0], name=f"{path}:double", factor=3.0)
    assert (judge_G, answer_G) == ([3, 0], [1, 0])


def test_an_algorithm_object_of_a_users_file_brings_its_own_plan_and_loss(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from rl.algorithms.base import PAIRED, Algorithm, LossOptions\n"
        "def double(group, *, factor=2.0):\n    return factor * group.judge_G, group.rewards_G\n"
        "MINE = Algorithm('mine', double, loss=LossOptions(judge_weight=0.9), plan=PAIRED)\n",
        "utf-8",
    )
    algorithm = build_algorithm({"name": f"{path}:MINE", "factor": 4.0})
    assert (algorithm.name, algorithm.loss.judge_weight, algorithm.plan.at(0)) == ("mine", 0.9, 1.0)
    assert algorithm.parameters == {"factor": 4.0}


PLANS = {"free": (0.0, 0.0), "paired": (1.0, 1.0), "falling": (1.0, 0.3)}


@pytest.mark.parametrize(
    ("name", "plan", "options"),
    [
        ("hipo", None, {}),
        ("dr_grpo", "free", {"judge_weight": 1.0, "judge_mean": "tokens", "answer_mean": "constant"}),
        (
            "adaptthink",
            "paired",
            {
                "judge_weight": 1.0,
                "judge_mean": "tokens",
                "answer_mean": "sequences",
                "ratio": "sequence",
                "forced_log_prob": "half",
            },
        ),
        ("degrpo", "free", {"judge_weight": 0.001, "judge_text": "answer", "kl": 0.001}),
        ("ada_grpo", "free", {"judge_weight": 1.0, "judge_mean": "tokens"}),
        ("hgpo", "paired", {"judge_weight": 1.0, "judge_mean": "tokens", "judge_text": "answer"}),
        ("autothink", "free", {"judge_weight": 1.0, "judge_mean": "tokens"}),
        ("bpo", "paired", {"judge_weight": 1.0, "judge_mean": "tokens"}),
        ("paired_routing", "falling", {}),
    ],
)
def test_each_algorithm_brings_its_plan_and_its_loss(name, plan, options):
    algorithm = build_algorithm({"name": name})
    assert algorithm.loss == LossOptions(**options)
    found = algorithm.plan and (algorithm.plan.at(0, 0.0), algorithm.plan.at(10**6, 1.0))
    assert found == (PLANS[plan] if plan else None)


def test_yaml_reads_1e_3_as_text_and_we_as_a_number():
    assert build_algorithm({"name": "degrpo", "alpha": "1e-3"}).loss.judge_weight == 0.001
    assert build_algorithm({"name": "hgpo", "delta": "2E-1"}).parameters == {"delta": 0.2}


def test_importance_takes_the_policy_baseline_by_itself():
    algorithm = build_algorithm({"name": "step_srpo", "forced_switch": "importance"})
    assert algorithm.parameters["baseline"] == "policy"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "step_srop"}, r"algorithm\.name is 'step_srop'; did you mean 'step_srpo'\?"),
        ({"name": "step_srpo", "kapa": 1}, r"algorithm\.kapa is unknown to 'step_srpo'; did you mean 'kappa'\?"),
        ({"name": "step_srpo", "judge_wieght": 1}, r"algorithm\.judge_wieght .*; did you mean 'judge_weight'\?"),
        ({"name": "grpo", "kappa": 1}, r"algorithm\.kappa is unknown to 'grpo' \(allowed: answer_scale\)"),
        ({"name": "degrpo", "alfa": 1}, r"algorithm\.alfa is unknown to 'degrpo'; did you mean 'alpha'\?"),
        ({"name": 3}, r"algorithm\.name is 3; allowed: a name or file.py:function"),
        ({"margin": 0.1}, r"algorithm\.margin belongs to the judge reward; allowed: rewards: \[\{name: judge, margin"),
        ({"ratio": "sequence"}, r"algorithm\.ratio is 'sequence' with 'step_srpo'.*; allowed: token"),
        ({"name": "hgpo", "ratio": "sequence"}, r"algorithm\.ratio is 'sequence' with 'hgpo'"),
        ({"name": "grpo", "ratio": "sequence", "judge_weight": 0.4}, r"algorithm\.ratio is 'sequence' with 'grpo'"),
        (
            {"forced_switch": "importance", "baseline": "none"},
            r"algorithm\.baseline is 'none' with forced_switch 'importance'; allowed: policy",
        ),
        (
            {"forced_switch": "importance", "forced_log_prob": "half"},
            r"algorithm\.forced_log_prob is 'half' with forced_switch 'importance'; allowed: policy",
        ),
        (
            {"balance": 1, "lean": 0.9},
            r"algorithm\.lean is 0\.9 and does nothing with balance 1; allowed: another",
        ),
        ({"preset": "none", "lean": 0.9}, r"algorithm\.lean is 0\.9 and does nothing with balance 1"),
        ({"omega": 0.5}, r"algorithm\.omega is 0\.5 and does nothing with bracket 0"),
    ],
)
def test_a_setting_that_is_unknown_refused_beside_another_or_without_effect_is_told(settings, message):
    with pytest.raises(UserError, match=message):
        build_algorithm(settings)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return group.judge_G[:1], group.rewards_G", "returned .* two arrays of shape"),
        ("return 1.0, 2.0", "returned"),
        ("return group.judge_G * float('nan'), group.rewards_G", "returned .* finite"),
        ("return ['1', '1'], group.rewards_G", "returned"),
        ("return group.judge_G * 1j, group.rewards_G", "returned"),
        ("return group.judge_G, group.rewards_G, group.rewards_G", "returned"),
        ("return None", "returned None"),
        ("raise KeyError('boom')", r"raised KeyError: 'boom' \(.*mine\.py:2\)"),
        ("raise SystemExit(0)", "raised SystemExit"),
    ],
)
def test_what_a_users_function_gives_back_is_looked_at(tmp_path, body, told):
    path = tmp_path / "mine.py"
    path.write_text(f"def mine(group):\n    {body}\n", "utf-8")
    with pytest.raises(UserError, match=rf"(?s)mine' on problem .* {told}"):
        run("TN", (1, 0), judge_scores=[1, 0], name=f"{path}:mine")


def test_a_parameter_without_a_default_has_to_be_set(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def mine(group, *, x: float):\n    return x * group.judge_G, group.rewards_G\n", "utf-8")
    with pytest.raises(UserError, match=r"algorithm\.x is not set"):
        build_algorithm({"name": f"{path}:mine"})
    assert run("TN", (1, 0), judge_scores=[1, 0], name=f"{path}:mine", x=2.0)[0] == [2, 0]


def test_a_sequence_ratio_is_allowed_where_all_tokens_have_the_same_advantage():
    assert build_algorithm({"name": "grpo", "ratio": "sequence"}).loss.ratio == "sequence"


def test_a_parameter_is_idle_only_beside_the_value_that_makes_it_so():
    assert build_algorithm({"balance": 2, "lean": 0.9}).parameters["lean"] == 0.9
    assert build_algorithm({"balance": 1, "lean": 0.5}).parameters["balance"] == 1.0
    assert build_algorithm({"bracket": 1, "gamma": 0.5}).parameters["gamma"] == 0.5
    assert build_algorithm({"name": "hipo", "omega": 0.5}).parameters["omega"] == 0.5

"""What a run carries from step to step: budget, forced share, and a resumed run that goes on exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factories import make_group, make_problem
from small_runs import metrics, save_policy, small_config

from rewards.registry import build_rewards
from rl.algorithms.base import Savings
from rl.config.read import parse_config
from rl.curriculum.token_budget import TokenBudget, learning_rate_share
from rl.data.prompts import usable_problems
from rl.evaluation.evaluate import evaluate
from rl.files.run_log import RunLog
from rl.models.open import open_policy
from rl.training.run import set_up, train
from rl.training.run_state import RunState
from rollout.errors import UserError


def test_a_budget_counts_response_tokens_and_ends_at_its_limit():
    budget = TokenBudget(100)
    budget.observe([make_group("TN", (1, 1), tokens=10), make_group("TTN", (1, 1, 1), tokens=20)])
    assert (budget.spent, budget.exhausted, budget.progress(0.1)) == (80, False, 0.8)
    budget.observe([make_group("T", (1,), tokens=30)])
    assert (budget.spent, budget.exhausted, budget.progress(0.1)) == (110, True, 1.0)
    again = TokenBudget(100)
    again.load_state_dict(json.loads(json.dumps(budget.state_dict())))
    assert again.spent == 110


def test_without_a_limit_a_budget_only_counts():
    budget = TokenBudget(0)
    budget.observe([make_group("T", (1,), tokens=30)])
    assert (budget.spent, budget.exhausted, budget.progress(0.25)) == (30, False, 0.25)


def test_the_guard_raises_the_forced_share_of_any_stage():
    config = parse_config(
        {"guard": {"action": "floor", "patience": 1, "floor": 0.6}, "trainer": {"prompts_per_step": 1}}
    )
    state = RunState(config, [make_problem("a")], [])
    assert state.forced_share(0.2, 0) == 0.2
    dying = [make_group("TN", (1, 1), (0, 1), make_problem("a"), switch_probs=(0.99, 0.01))]
    state.observe(1, dying)
    assert (state.forced_share(0.2, 1), state.forced_share(0.9, 1)) == (0.6, 0.9)


def resumed(config, state: dict) -> RunState:
    """What a run goes on with from a checkpoint's state."""
    run = RunState(config, [make_problem("a")], [])
    run.load_state_dict(json.loads(json.dumps(state)))
    return run


def test_a_run_keeps_what_its_algorithm_did_by_default_when_it_began():
    algorithm, rewards = {"name": "step_srpo", "kappa": 2.0}, [{"name": "judge"}, {"name": "exact"}]
    config = parse_config({"trainer": {"prompts_per_step": 1}, "algorithm": algorithm, "rewards": rewards})
    begun = RunState(config, [make_problem("a")], []).state_dict()
    now = {"balance": 3.0, "lean": 0.75, "anchor": 1.0, "kappa": 2.0}
    assert (begun["parameters"], begun["savings"]) == (now, {"direct_first": True, "judge_replay": 64})
    state = resumed(config, begun)
    assert (state.algorithm.parameters, state.savings, state.replay.count) == (now, Savings(True, 64), 64)
    # Its checkpoint is from before there were any: without them to its end, however often it is resumed.
    earlier = {name: part for name, part in begun.items() if name not in ("savings", "parameters")}
    for state in (resumed(config, earlier), resumed(config, resumed(config, earlier).state_dict())):
        assert (state.algorithm.parameters, state.savings, state.replay.count) == ({"kappa": 2.0}, Savings(), 0)


def test_a_run_that_began_before_keeps_the_baseline_that_its_treatment_asks_for():
    algorithm = {"name": "step_srpo", "forced_switch": "importance"}
    config = parse_config({"trainer": {"prompts_per_step": 1}, "algorithm": algorithm})
    assert resumed(config, {}).algorithm.parameters == {"baseline": "policy"}


# --- whole runs on a small policy ------------------------------------------------------------------------------------

REWARD = '''
def by_name(rollout):
    """Every second problem is always solved."""
    return float(int(rollout.problem.id.rpartition("-")[2]) % 2 == 0)


def parity(group):
    """Thinking is right on every second problem."""
    right = "think" if int(group.problem.id.rpartition("-")[2]) % 2 else "no_think"
    return [float(r.mode == right) for r in group.rollouts]


parity.scope = "group"
'''


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def changing(run_dir: Path, policy: Path, tmp_path: Path, **sections):
    """A run that uses everything with a state: resampling, stages, a budget that only slows the learning, a probe."""
    (tmp_path / "by_name.py").write_text(REWARD)
    judge = {"name": "judge", "all_wrong": "no_think"}
    rewards = [judge, {"name": f"{tmp_path}/by_name.py:by_name", "step": "answer"}]
    return small_config(
        run_dir,
        policy,
        data={"train_size": 10, "max_bad_gold": 1.0},
        rewards=rewards,
        history={"resample": "mode_aware", "settled": 0.0, "return_probability": 0.2},
        stages=[{"steps": 4, "max_new_tokens": 12}, {"steps": 5, "shares": {"1": 0.5, "3": 0.5}, "forced_share": 1.0}],
        trainer={
            "steps": 9,
            "prompts_per_step": 3,
            "learning_rate": 1e-3,
            "schedule": "linear",
            "save_every": 3,
            "token_budget": 5000,
        },
        evaluation={"every": 2, "probe": 4},
        **sections,
    )


def run(config) -> None:
    train(set_up(config, show=lambda line: None))


class KilledError(Exception):
    """The process dies here."""


@pytest.mark.slow
def test_a_run_killed_inside_a_stage_gives_the_metrics_of_an_unbroken_one(tmp_path, policy, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(changing(whole, policy, tmp_path))
    log = RunLog.log

    def dying(self, step, values):
        if step == 8:
            raise KilledError
        log(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "log", dying)
        with pytest.raises(KilledError):
            run(changing(broken, policy, tmp_path))
    run(changing(broken, policy, tmp_path))
    assert metrics(broken) == metrics(whole)
    records = metrics(whole)
    assert [r["stage"] for r in records[1:]] == [0] * 4 + [1] * 5
    assert [r["forced_share"] for r in records[5:]] == [1.0] * 5
    assert max(r["tokens"] for r in records[1:5]) <= 12 < max(r["tokens"] for r in records[5:])
    assert records[-1]["history/retired"] > 0
    assert [r["step"] for r in records if "probe/accuracy" in r] == [0, 2, 4, 6, 8, 9]
    assert records[-1]["tokens/spent"] == sum(r["tokens/total"] for r in records[1:])
    assert 0 < records[-1]["learning_rate"] < 0.9e-3


@pytest.mark.medium
def test_a_run_ends_with_a_model_when_its_tokens_are_spent(tmp_path, policy):
    config = small_config(
        tmp_path / "run", policy, trainer={"steps": 50, "token_budget": 600, "save_every": 50}, evaluation={"every": 50}
    )
    run(config)
    records = metrics(tmp_path / "run")
    assert records[-2]["tokens/spent"] < 600 <= records[-1]["tokens/spent"]
    assert "probe/accuracy" in records[-1]
    assert (tmp_path / "run" / "model" / "config.json").is_file()
    run(config)  # a run that is over is not gone on with
    assert metrics(tmp_path / "run") == records


@pytest.mark.medium
def test_tokens_that_are_spent_are_trained_on_as_often_as_any_before_the_run_ends(tmp_path, policy):
    trainer = {"steps": 60, "iterations": 3, "token_budget": 600, "save_every": 60}
    run(small_config(tmp_path / "run", policy, trainer=trainer, evaluation={"every": 20, "probe": 4}))
    _, *records = metrics(tmp_path / "run")
    assert len(records) % 3 == 0
    assert [record["tokens/spent"] >= 600 for record in records] == [False] * (len(records) - 3) + [True] * 3
    assert [record["step"] for record in records if "probe/accuracy" in record] == [len(records)]


@pytest.mark.medium
def test_the_probe_counts_generations_and_each_of_its_lines_says_what_was_spent(tmp_path, policy):
    trainer = {"steps": 8, "prompts_per_step": 2, "iterations": 2, "save_every": 8}
    config = small_config(tmp_path / "run", policy, trainer=trainer, evaluation={"every": 2, "probe": 4})
    run(config)
    before, *records = metrics(tmp_path / "run")
    # Step 0 is before RL.
    assert (before["step"], before["tokens/spent"], "loss" in before) == (0, 0.0, False)
    assert [record["step"] for record in records if "probe/accuracy" in record] == [4, 8]
    # A generation is logged with the first step on it, a probe with the last; every step has its own loss.
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [record["step"] for record in records if "tokens/total" in record] == [1, 3, 5, 7]
    assert all({"loss", "grad_norm", "learning_rate", "clip_ratio", "token_entropy"} <= set(r) for r in records)
    spent = [record["tokens/spent"] for record in records]
    assert spent[2] == spent[3] < spent[4] < spent[6] == spent[7]


@pytest.mark.medium
def test_a_probe_before_rl_is_the_evaluation_of_what_it_starts_from_and_changes_nothing(tmp_path, policy):
    shape = {"trainer": {"steps": 2, "prompts_per_step": 2, "save_every": 2}, "data": {"test_size": 4}}
    watched = small_config(tmp_path / "watched", policy, **shape, evaluation={"every": 1, "probe": 4, "problems": 4})
    run(watched)
    run(small_config(tmp_path / "alone", policy, **shape))
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("watched", "alone")]
    assert weights[0] == weights[1]
    before = metrics(tmp_path / "watched")[0]
    opened = open_policy(watched, str(policy))
    problems = usable_problems(watched, "test", opened.protocol)
    result = evaluate(watched, problems, opened.own_engine, opened.protocol, build_rewards(watched.rewards))
    for place, mode in (("", "auto"), ("/think", "think"), ("/no_think", "no_think")):
        assert before[f"probe/accuracy{place}"] == result["modes"][mode]["accuracy"]
        assert before[f"probe/tokens{place}"] == result["modes"][mode]["mean_tokens"]
    assert before["probe/think_rate"] == result["modes"]["auto"]["think_rate"]


@pytest.mark.medium
def test_where_tokens_end_a_run_the_learning_rate_falls_with_those_left(tmp_path, policy):
    config = small_config(
        tmp_path / "run",
        policy,
        trainer={"steps": 50, "token_budget": 600, "schedule": "linear", "warmup_steps": 1, "learning_rate": 1e-3},
    )
    run(config)
    records = metrics(tmp_path / "run")
    falling = [1e-3 * (1 - record["tokens/spent"] / 600) for record in records[:-1]]
    assert [record["learning_rate"] for record in records] == pytest.approx([0.0, *falling])


@pytest.mark.medium
def test_a_constant_learning_rate_stays_so_whatever_ends_the_run(tmp_path, policy):
    run(small_config(tmp_path / "run", policy, trainer={"steps": 50, "token_budget": 600, "learning_rate": 1e-3}))
    assert {record["learning_rate"] for record in metrics(tmp_path / "run")} == {1e-3}


@pytest.mark.parametrize(("schedule", "shares"), [("linear", [0.75, 0.25]), ("cosine", [0.8535534, 0.1464466])])
def test_the_share_of_the_learning_rate_at_a_quarter_and_three_quarters_of_the_tokens(schedule, shares):
    assert [learning_rate_share(schedule, 9, 5, progress) for progress in (0.25, 0.75)] == pytest.approx(shares)
    assert [learning_rate_share(schedule, step, 4, 0.5) for step in (0, 3)] == [0.0, 0.75]


@pytest.mark.medium
def test_an_alarm_of_the_guard_raises_the_forced_share_of_the_steps_that_follow(tmp_path, policy):
    (tmp_path / "judges.py").write_text(REWARD)
    config = small_config(
        tmp_path / "run",
        policy,
        rewards=[{"name": f"{tmp_path}/judges.py:parity", "step": "judge"}, {"name": "math"}],
        rollout={"forced": {"start": 0.0, "floor": 0.0, "minimum": 0}},
        # One mode is always under a half.
        guard={"action": "floor", "floor": 1.0, "patience": 2, "share": 0.5, "disagreement": 0.0},
        trainer={"steps": 4, "save_every": 4},
    )
    run(config)
    assert [record["forced_share"] for record in metrics(tmp_path / "run")] == [0.0, 0.0, 1.0, 1.0]


def test_resampling_by_mode_needs_a_judge(tmp_path, policy):
    config = small_config(tmp_path / "run", policy, rewards=[{"name": "math"}], history={"resample": "mode_aware"})
    with pytest.raises(UserError, match=r"history.resample is 'mode_aware' without a judge reward; allowed: off, srpo"):
        set_up(config, show=lambda line: None)

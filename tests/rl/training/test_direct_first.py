"""Direct answers first, thoughts where they could make thinking right; and the rows that the update gets of it."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from factories import make_group, make_problem, make_protocol, make_rollout
from small_engine import make_engine
from small_runs import save_policy, small_config, write_rollouts
from trainer_setups import quiet_setup, rows_of

from rewards.early import EarlyScores
from rewards.registry import build_rewards
from rl.algorithms import build_algorithm
from rl.algorithms.base import Savings
from rl.algorithms.configured import configured_savings
from rl.curriculum.judge_replay import StoredGroup
from rl.training.ahead import Order
from rl.training.direct_first import collect_direct_first, open_groups
from rl.training.rows import Rows, stored_decisions
from rl.training.run import build_trainer, read_replay
from rollout.engines.base import Sampling
from rollout.errors import UserError
from rollout.types import RolloutGroup

PLAN = ("think", "think", "no_think", "no_think", None)
PROBLEMS = [make_problem(name, "12 + 34") for name in "abc"]
REWARD = """
def by_name(rollout):
    return float(rollout.problem.id in "ac")
by_name.parallel = True
"""


@pytest.fixture
def rewards(tmp_path):
    (tmp_path / "by_name.py").write_text(REWARD)
    return build_rewards([{"name": "judge"}, {"name": f"{tmp_path}/by_name.py:by_name", "step": "answer"}])


def order() -> Order:
    return Order(0, PROBLEMS, PLAN, Sampling(max_new_tokens=8), 3, 0.8)


def test_only_problems_that_direct_answers_leave_open_get_thoughts(rewards):
    engine, early = make_engine(), EarlyScores(rewards)
    is_open = partial(open_groups, rewards=rewards, history=lambda problem: {}, step=0, early=early)
    groups = collect_direct_first(order(), engine, engine.protocol, early, is_open)
    direct = ["no_think", "no_think", None]
    assert [[r.forced for r in g.rollouts] for g in groups] == [direct, [*direct, "think", "think"], direct]
    assert [g.problem.id for g in groups] == ["a", "b", "c"]


PER_MODE = """
from rewards.plugin import group_reward
@group_reward
def per_mode(group):
    return [1.0] * len(group.rollouts)
"""


@pytest.mark.parametrize(
    ("judges", "expected"),
    [
        ([{"name": "judge"}], [False, False]),
        ([{"name": "judge", "label": "decision"}], [False, False]),
        ([{"name": "judge", "domains": ["math"]}], [False, True]),
        ([{"name": "judge", "domains": ["math"]}, {"name": "judge", "label": "two", "margin": -1}], [True, True]),
        ([{"name": "judge", "domains": ["math"]}, {"name": "judge", "label": "b", "target": "label"}], [True, True]),
        ([{"name": "judge"}, {"name": "PER_MODE:per_mode", "step": "judge", "domains": ["code"]}], [False, True]),
    ],
)
def test_a_problem_is_closed_by_every_judge_that_applies_to_it(tmp_path, judges, expected):
    (tmp_path / "mine.py").write_text(PER_MODE)
    named = [{**entry, "name": entry["name"].replace("PER_MODE", f"{tmp_path}/mine.py")} for entry in judges]
    rewards = build_rewards([*named, {"name": "exact"}])
    groups = [
        make_group("NN", (1, 1), problem=make_problem(domain, answer="a", domain=domain, necessity="think"))
        for domain in ("math", "code")
    ]
    groups = [
        RolloutGroup(g.problem, tuple(dataclasses.replace(r, answer_text="a") for r in g.rollouts)) for g in groups
    ]
    assert open_groups(groups, rewards, lambda problem: {}, 0, EarlyScores(rewards)) == expected


def test_a_judge_of_another_label_trains(tmp_path):
    policy = save_policy(tmp_path / "policy")
    rewards = [{"name": "judge", "label": "decision"}, {"name": "math"}]
    setup = quiet_setup(small_config(tmp_path / "run", policy, rewards=rewards))
    trainer = build_trainer(setup, 1)
    trainer._prepare_inputs(rows_of(setup))
    assert trainer.round is not None


def test_scores_that_begin_early_are_those_of_their_own_rollout(rewards):
    engine, early = make_engine(), EarlyScores(rewards)
    groups = collect_direct_first(order(), engine, engine.protocol, early, lambda groups: [False, True, True])
    answer = next(r for r in rewards if r.step == "answer")
    for number, group in enumerate(groups):
        for place, rollout in enumerate(group.rollouts):
            begun = early.take(answer, (number, place))
            assert (begun is not None) == (rollout.mode is not None)
            assert begun is None or begun.result() == float(group.problem.id in "ac")


def test_groups_of_direct_answers_alone_train_again_from_their_record(tmp_path):
    direct, both = (make_group(modes, (1,) * len(modes), problem=make_problem(modes)) for modes in ("NN", "TTNN"))
    file = write_rollouts(tmp_path / "recorded.jsonl", [both.rollouts, direct.rollouts])
    config = small_config(tmp_path, tmp_path, rollout={"replay": str(file), "group_size": 4})
    assert {name: len(group.rollouts) for name, group in read_replay(config).items()} == {"TTNN": 4, "NN": 2}
    halves = [make_group("TNN", (1, 1, 1), forced=True), make_group("NNNNN", (1,) * 5)]
    for half in halves:
        write_rollouts(file, [half.rollouts])
        with pytest.raises(UserError, match=r"rollouts; allowed: rollout\.group_size, 4"):
            read_replay(config)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"rewards": [{"name": "judge", "target": "label"}, {"name": "math"}]}, False),
        ({"rollout": {"ahead": 1}}, False),
        ({"algorithm": {"name": "grpo"}}, False),
        ({"algorithm": {"name": "step_srpo", "direct_first": False}}, False),
    ],
)
def test_a_second_draw_needs_a_judge_that_decides_by_pass_rates(tmp_path, changes, expected):
    config = small_config(tmp_path, tmp_path, **changes)
    assert configured_savings(config, build_algorithm(config.algorithm)).direct_first is expected


def test_what_was_asked_for_and_is_impossible_is_refused(tmp_path):
    asked = {"name": "step_srpo", "direct_first": True}
    config = small_config(tmp_path, tmp_path, algorithm=asked, rollout={"ahead": 1})
    with pytest.raises(UserError):
        configured_savings(config, build_algorithm(asked))
    with pytest.raises(UserError):
        build_algorithm({"name": "step_srpo", "judge_replay": 8, "forced_switch": "importance"})
    with pytest.raises(UserError):
        build_algorithm({"name": "grpo", "judge_replay": 8})


@pytest.mark.parametrize(
    "other", [{"baseline": "policy"}, {"baseline": "group"}, {"forced_switch": "masked"}, {"bracket": 0.5}]
)
def test_decisions_whose_worth_depends_on_the_policy_or_the_other_mode_are_drawn_in_both_modes_and_trained_once(other):
    assert build_algorithm({"name": "step_srpo"}).savings == Savings(True, 64)
    assert build_algorithm({"name": "step_srpo", **other}).savings == Savings()
    with pytest.raises(UserError, match=r"algorithm.direct_first is True with .*; allowed: false"):
        build_algorithm({"name": "step_srpo", "direct_first": True, **other})


def test_a_decision_is_trained_again_only_where_it_pushes_as_when_it_was_new():
    # A forced switch whose ratio is π / ½ would take the place of one that the policy chose.
    assert build_algorithm({"forced_log_prob": "half"}).savings == Savings(True, 0)
    # A mean over each rollout's own tokens: a stored decision is one, a rollout has many.
    joint = {"judge_mean": "tokens", "answer_mean": "sequences"}
    assert build_algorithm(joint).savings == Savings(True, 0)
    assert build_algorithm({**joint, "answer_mean": "tokens"}).savings == Savings(True, 64)
    assert build_algorithm({"answer_mean": "sequences"}).savings == Savings(True, 64)
    for other in (joint, {"forced_log_prob": "half"}):
        with pytest.raises(UserError, match=r"algorithm.judge_replay is 8 with .*; allowed: 0"):
            build_algorithm({"judge_replay": 8, **other})


def test_rows_are_filled_up_with_what_nothing_trains():
    short, long = make_rollout("think", tokens=3), make_rollout("no_think", tokens=9)
    rows = Rows([long, short], [1.0, 2.0], [3.0, 4.0], [1.0, 1.0]).filled(4)
    assert [len(r.completion_ids) for r in rows.rollouts] == [9, 3, 3, 3]
    assert [bool(r.broken) for r in rows.rollouts] == [False, False, True, True]
    assert (rows.judge_B, rows.answer_B) == ([1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0])


def test_a_stored_decision_is_its_prompt_up_to_the_switch():
    protocol = make_protocol("kat")
    stored = [StoredGroup("a", 8, {"think": ((7, 8, 9), 4.0)}), StoredGroup("b", 4, {})]
    ((rollout, judge),) = stored_decisions(stored, {p.id: p for p in PROBLEMS}.__getitem__, protocol)
    assert (rollout.prompt_ids, rollout.completion_ids) == (protocol.render("12 + 34"), (7, 8, 9))
    assert (rollout.mode, rollout.forced, rollout.switch_index, judge) == ("think", "think", 2, 4.0)


def test_a_stored_group_pushes_as_hard_as_it_did_when_it_was_new(tmp_path):
    """The gradient of a round's judge part, and that of its stored groups in its place: the same."""
    policy = save_policy(tmp_path / "policy")
    algorithm = {"name": "step_srpo", "direct_first": False, "judge_replay": 4, "judge_weight": 1.0, "kappa": 1.0}
    rewards = [{"name": "judge", "all_wrong": "no_think"}, {"name": "math"}]
    protocol = {"name": "one_token", "think": "<think_on>", "no_think": "<think_off>"}
    config = small_config(
        tmp_path / "run", policy, algorithm=algorithm, rewards=rewards, protocol=protocol,
        rollout={"forced": {"start": 1.0, "floor": 1.0, "decay_steps": 0, "minimum": 2}},
    )  # fmt: skip
    setup = quiet_setup(dataclasses.replace(config, data=dataclasses.replace(config.data, train_size=4)))
    trainer = build_trainer(setup, 1)
    trainer.model.train()
    trainer._prepare_inputs(rows_of(setup))
    trainer.rounds.observe(trainer.round)
    stored = trainer.rounds.state.replay.draw(0)
    assert [group.rollouts for group in stored] == [4, 4, 4, 4]
    rows = Rows([], [], [], []).with_decisions(
        stored_decisions(stored, trainer.rounds._problem, trainer.rounds.protocol)
    )
    assert rows.judge_B == [2.0] * 4  # two direct rollouts of each problem, with 1 each

    def decision_gradient(rollouts, judge_B, count):
        trainer.model.zero_grad()
        total = torch.zeros(())
        for rollout, judge in zip(rollouts, judge_B, strict=True):
            ids = torch.tensor([*rollout.prompt_ids, *rollout.completion_ids[: rollout.switch_index + 1]])
            logps = trainer.model(input_ids=ids[None]).logits[0, -2].log_softmax(-1)
            total = total + judge * logps[ids[-1]] / count
        total.backward()
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])

    groups, judge_B, _ = trainer.round.everyone
    new = decision_gradient([r for g in groups for r in g.rollouts], judge_B, 16)
    assert torch.allclose(new, decision_gradient(rows.rollouts, rows.judge_B, 16), atol=1e-7)
    assert new.abs().max() > 0

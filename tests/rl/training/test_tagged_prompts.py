"""Prompts that state a mode in RL's mix: who has one, what it is worth, and what it must not touch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial

import pytest
from factories import make_group, make_problem, make_protocol
from small_runs import metrics, save_policy, small_config
from trainer_setups import quiet_setup

from rewards.builtin.judge import judge
from rewards.early import EarlyScores
from rewards.registry import build_rewards
from rl.algorithms import build_algorithm
from rl.algorithms.base import group_advantages
from rl.algorithms.configured import check_judge
from rl.algorithms.group import free_choices, judge_targets
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.curriculum.judge_replay import JudgeReplay
from rl.data.prompts import prompt_tokens
from rl.training.ahead import Order
from rl.training.controls import permuted
from rl.training.direct_first import collect_direct_first, open_groups
from rl.training.metrics import step_metrics
from rl.training.run import train
from rl.training.run_state import RunState
from rl.worlds.model import build_model
from rollout.collect import collect
from rollout.engines.base import Sampling
from rollout.engines.hf import HFEngine
from rollout.modes import stated_modes
from rollout.types import RolloutGroup, rollout_from_json, rollout_to_json

TAGS = {"think": "+ 00", "no_think": "- 00"}  # words that the embedded tokenizer has


def tagged(mode, modes="TTNN", correct=(1, 1, 0, 0), judge=None, **fields):
    """A group whose prompt states `mode`."""
    return make_group(modes, correct, judge, stated=mode, **fields)


# --- who -------------------------------------------------------------------------------------------------------------


def test_tagged_prompts_are_spread_evenly_and_take_the_modes_in_turn():
    assert stated_modes(0, 9, 1 / 3) == [None, None, "no_think", None, None, "think", None, None, "no_think"]
    assert stated_modes(0, 4, 0.0) == [None] * 4
    whole = stated_modes(0, 60, 0.15)
    assert Counter(whole) == {None: 51, "think": 4, "no_think": 5}
    assert [mode for first in range(0, 60, 4) for mode in stated_modes(first, 4, 0.15)] == whole


def test_a_tagged_prompt_is_rendered_with_its_tag_and_forces_nobody():
    protocol = make_protocol("kat", judge_patience=2, tags=TAGS)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    problems = [make_problem("a", "7 + 1"), make_problem("b", "12 + 34")]
    plan = ("think", "no_think", None)
    free, stated = collect(problems, plan, engine, protocol, Sampling(max_new_tokens=8), 3, [None, "think"])
    assert [r.forced for r in free.rollouts] == ["think", "no_think", None]
    assert [r.forced for r in stated.rollouts] == [None] * 3
    assert (free.stated, stated.stated) == (None, "think")
    assert {r.prompt_ids for r in stated.rollouts} == {protocol.render("12 + 34 + 00")}
    record = rollout_to_json(stated.rollouts[0])
    assert rollout_from_json(record) == stated.rollouts[0]
    del record["stated"]
    assert rollout_from_json(record).stated is None


def test_the_length_cap_counts_the_tag():
    protocol = make_protocol("kat", tags=TAGS)
    problem = make_problem("a", "7 + 1")
    plain = prompt_tokens(problem, protocol, 100)
    assert prompt_tokens(problem, protocol, 100, "think") == plain + 3  # digits are tokens
    with pytest.raises(ValueError, match=f"prompt of {plain + 3} tokens"):
        prompt_tokens(problem, protocol, plain + 2, "think")


# --- what it is worth ------------------------------------------------------------------------------------------------


def test_the_judge_reward_is_1_exactly_where_the_tag_is_obeyed():
    # Thinking is right on this problem, and the tag outweighs it.
    assert judge(tagged("no_think", "TTN-", (1, 1, 0, 0))) == [0, 0, 1, 0]
    assert judge(tagged("think", "TTN-", (0, 0, 1, 0)), wrong=-1.0) == [1, 1, -1, 0]
    assert judge(make_group("TTN-", (1, 1, 0, 0))) == [1, 1, 0, 0]


def test_a_tagged_prompt_counts_1_in_step_srpo_s_balance():
    known = {"progress": 0.0, "batch_target_share": 0.25}
    group = tagged("think", "TTNN", (1, 1, 0, 0), (1, 1, 0, 0))
    algorithm = build_algorithm({"name": "step_srpo", "balance": 3.0, "lean": 0.5})
    assert group_advantages(algorithm, group, **known)[0].tolist() == [1, 1, 0, 0]
    plain = RolloutGroup(group.problem, tuple(dataclasses.replace(r, stated=None) for r in group.rollouts))
    assert group_advantages(algorithm, plain, **known)[0].tolist() == [2, 2, 0, 0]  # lean / share = 0.5 / 0.25


# --- what it must not touch ------------------------------------------------------------------------------------------


def test_counts_of_choices_and_targets_leave_tagged_prompts_out():
    plain = make_group("TNNN", (1, 0, 0, 0), (1, 0, 0, 0))
    groups = [plain, tagged("think", "TTTN", (1, 1, 1, 1), (1, 1, 1, 0))]
    assert free_choices(groups) == (1, 4)
    assert judge_targets(groups) == (1, 1)


def test_histories_and_the_guard_see_open_prompts_alone():
    config = parse_config({"trainer": {"prompts_per_step": 1, "token_budget": 100}})
    a, b = make_problem("a"), make_problem("b")
    state = RunState(config, [a, b], [])
    groups = [make_group("TN", (1, 0), problem=a), tagged("think", "TT", (1, 1), problem=b)]
    with_tags = state.observe(1, groups)
    assert (set(state.history.counts(a)), state.history.counts(b)) == ({"think", "no_think"}, {})
    assert state.budget.spent == 16  # four rollouts of four tokens each: tagged ones cost as much
    assert RunState(config, [a, b], []).observe(1, groups[:1]) == with_tags


def test_the_metrics_of_a_step_are_those_of_its_open_prompts_beside_obedience():
    plain = make_group("TN", (1, 0), (1, 0))
    asked = [tagged("think", "TTTN", (0, 0, 0, 0), (1, 1, 1, 0)), tagged("no_think", "TN", (1, 1), (0, 1))]
    alone = step_metrics([plain], [1, 0], [0.5, 0], forced_share=0.5, history_size=1)
    found = step_metrics([plain, *asked], [1, 0, *[1] * 6], [0.5, 0, *[0] * 6], forced_share=0.5, history_size=1)
    assert (found.pop("obedience/think"), found.pop("obedience/no_think")) == (0.75, 0.5)
    assert (found.pop("tokens/total"), alone.pop("tokens/total")) == (32, 8)
    assert found == alone


def test_the_permuted_control_deals_nothing_to_tagged_prompts():
    groups = [make_group("TN", (1, 1), (0.25, 0.5)), tagged("think", "TN", (1, 1), (1, 0))]
    plain, stated = permuted(groups, "seed")
    assert sorted(r.scores["judge_reward"] for r in plain.rollouts) == [0.25, 0.5]
    assert stated == groups[1]


def test_direct_first_draws_no_thoughts_for_tagged_prompts():
    plan = ("think", "think", "no_think", "no_think")
    protocol = make_protocol("kat", judge_patience=2, tags=TAGS)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    rewards = build_rewards([{"name": "judge"}, {"name": "exact"}])
    problems = [make_problem("a", "7 + 1", answer="no answer"), make_problem("b", "12 + 34", answer="no answer")]
    order = Order(0, problems, plan, Sampling(max_new_tokens=8), 3, 1.0, (None, "no_think"))
    early = EarlyScores(rewards)
    is_open = partial(open_groups, rewards=rewards, history=lambda problem: {}, step=0, early=early)
    free, stated = collect_direct_first(order, engine, protocol, early, is_open)
    assert [r.forced for r in free.rollouts] == ["no_think", "no_think", "think", "think"]
    assert [(r.forced, r.stated) for r in stated.rollouts] == [(None, "no_think")] * 2


def test_decisions_of_tagged_prompts_are_not_stored():
    replay = JudgeReplay(4, seed=0)
    a, b = make_problem("a"), make_problem("b")
    replay.observe([tagged("think", "TT", (1, 1), problem=a), make_group("TN", (1, 0), problem=b)], [1, 1, 1, 0])
    (stored,) = replay.draw(0)
    assert (stored.problem, dict(stored.decisions)) == ("b", {"think": ((100,), 1)})


@pytest.mark.parametrize(
    ("sections", "names"),
    [
        ({}, "protocol.tags"),
        ({"protocol": {"tags": TAGS}, "rewards": [{"name": "exact"}]}, "rewards has no judge"),
    ],
)
def test_a_share_of_tagged_prompts_needs_tags_and_a_judge(sections, names):
    with pytest.raises(ConfigError, match=names):
        parse_config({"rollout": {"tagged_share": 0.25}, **sections})


@pytest.mark.parametrize(
    "tags",
    [
        {"think": "/t", "no_think": "/t "},
        {"think": "", "no_think": "/no"},
        {"think": "{prompt}", "no_think": "/no"},
        {"think": "{prompt} /t {prompt}", "no_think": "/no"},
    ],
)
def test_tags_that_state_nothing_are_refused(tags):
    with pytest.raises(ConfigError, match=r"protocol.tags is .*; allowed: two texts that differ"):
        parse_config({"protocol": {"tags": tags}})


def test_a_share_that_tags_no_row_or_every_row_of_a_mode_is_refused():
    def batch(**cold_start):
        return parse_config({"protocol": {"tags": TAGS}, "cold_start": cold_start})

    assert batch(batch=16, tagged_share=0.125).cold_start.rows_by_mode() == (8, 8)
    with pytest.raises(ConfigError, match=r"cold_start.tagged_share is 0.05 of the 8 rows a step in think"):
        batch(batch=16, tagged_share=0.05)
    with pytest.raises(ConfigError, match=r"cold_start.tagged_share is 0.9 of the 2 rows a step in no_think"):
        batch(batch=20, think_share=0.9, tagged_share=0.9)


def test_an_algorithm_that_reads_no_judge_reward_has_no_tagged_prompts():
    sections = {"protocol": {"tags": TAGS}, "rollout": {"tagged_share": 0.25}}
    rewards = [{"name": "judge"}, {"name": "exact"}]
    for name in ("step_srpo", "grpo"):
        config = parse_config({**sections, "rewards": rewards, "algorithm": {"name": name}})
        if name == "step_srpo":
            check_judge(config, build_algorithm(config.algorithm))
        else:
            with pytest.raises(ConfigError, match=r"rollout.tagged_share is 0.25 with algorithm.name 'grpo'"):
                check_judge(config, build_algorithm(config.algorithm))


# --- in training -----------------------------------------------------------------------------------------------------


def test_a_run_with_tagged_prompts_records_them_and_how_they_are_obeyed(tmp_path):
    config = small_config(
        tmp_path / "run",
        save_policy(tmp_path / "policy"),
        protocol={"tags": TAGS},
        rollout={"tagged_share": 0.5, "save_every": 1},
        trainer={"steps": 1, "prompts_per_step": 4},
    )
    train(quiet_setup(config))
    (row,) = metrics(tmp_path / "run")
    assert 0 <= row["obedience/think"] <= 1
    assert 0 <= row["obedience/no_think"] <= 1
    assert row["history/problems"] == 2

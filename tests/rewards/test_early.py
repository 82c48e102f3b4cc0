"""Scores that begin while other rows still decode: which rewards, once each, and the same scores as afterwards."""

from __future__ import annotations

import threading

import pytest
from factories import make_problem, make_protocol

from rewards.early import EarlyScores
from rewards.plugin import RewardError
from rewards.registry import Reward, build_rewards
from rewards.score import score_groups
from rl.worlds.model import build_model
from rollout.collect import collect
from rollout.engines.base import Sampling
from rollout.engines.hf import HFEngine

PROBLEMS = [make_problem("a", "7 + 1"), make_problem("b", "12 + ( 34 )"), make_problem("c", "99 - 01 r3")]
PLAN = ("think", "no_think", "no_think", "think")


def collected(finished, passes=None):
    """Groups of a small random model; `passes` gets an entry a forward pass."""
    protocol = make_protocol("kat", judge_patience=2)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    if passes is not None:
        model.register_forward_pre_hook(lambda *_: passes.append(1))
    sampling = Sampling(max_new_tokens=16, max_new_tokens_by_mode={"no_think": 2})
    return collect(PROBLEMS, PLAN, engine, protocol, sampling, seed=3, finished=finished)


def parallel_reward(function, **options):
    function.parallel = True
    return Reward("mine", "answer", 1.0, function, **{"correct": True, **options})


def share_of_ids(rollout):
    return len(rollout.completion_ids) / 16


def test_a_reward_is_called_while_other_rows_still_decode_and_once_for_each():
    called, seen, passes, passes_before = threading.Event(), [], [], []

    def reward(rollout):
        seen.append(rollout.completion_ids)
        called.set()
        return share_of_ids(rollout)

    rewards = [parallel_reward(reward)]
    early = EarlyScores(rewards)

    def finished(place, rollout):
        early.begin(place, rollout)
        assert called.wait(10)
        passes_before.append(len(passes))

    groups = collected(finished, passes)
    assert passes_before[0] <= 6 < len(passes)  # a capped row: two judge tokens, the close, the switch, two
    scored = score_groups(groups, rewards, early=early)
    assert sorted(seen) == sorted(r.completion_ids for g in groups for r in g.rollouts)
    assert scored == score_groups(groups, [Reward("mine", "answer", 1.0, share_of_ids, correct=True)])


def test_a_failure_of_an_early_call_names_its_rollout():
    def reward(rollout):
        raise ValueError("no")

    rewards = [parallel_reward(reward)]
    early = EarlyScores(rewards)
    groups = collected(early.begin)
    with pytest.raises(RewardError, match="reward 'mine' failed on problem 'a', rollout 0: ValueError: no"):
        score_groups(groups, rewards, early=early)


def test_math_and_code_begin_early_and_what_needs_more_than_the_rollout_does_not():
    rewards = build_rewards([{"name": "math", "correct": True}, {"name": "code", "correct": True}, {"name": "judge"}])
    assert [reward.name for reward in EarlyScores(rewards).rewards] == ["math", "code"]

    def stepped(rollout, *, step):
        return 0.0

    def plain(rollout):
        return 0.0

    others = [parallel_reward(stepped), parallel_reward(plain, correct=False), Reward("p", "answer", 1.0, share_of_ids)]
    assert EarlyScores(others).rewards == []


def test_a_problem_of_another_domain_is_left_alone():
    early = EarlyScores([parallel_reward(share_of_ids, domains=("code",))])
    collected(early.begin)
    assert early._futures == {}

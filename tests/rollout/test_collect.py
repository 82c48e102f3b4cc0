"""Problems in, parsed groups out, in the order of the plan."""

import pytest
from factories import make_problem, make_protocol

from rl.worlds.model import build_model
from rollout.collect import collect, make_rollout
from rollout.engines.base import Completion, Sampling
from rollout.engines.hf import HFEngine

PLAN = ("think", "no_think", None, None)
PROBLEMS = [make_problem("a", "7 + 1"), make_problem("b", "12 + ( 34 )"), make_problem("c", "99 - 01 r3")]


@pytest.fixture(scope="module")
def groups():
    protocol = make_protocol("kat", judge_patience=2)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=2)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    return collect(PROBLEMS, PLAN, engine, protocol, Sampling(max_new_tokens=16), seed=3)


def test_each_problem_gets_one_group_with_one_rollout_an_entry_of_the_plan(groups):
    assert [g.problem for g in groups] == PROBLEMS
    assert [[r.forced for r in g.rollouts] for g in groups] == [["think", "no_think", None, None]] * 3
    assert all([r.mode for r in g.rollouts][:2] == ["think", "no_think"] for g in groups)


def test_rollouts_carry_the_prompt_of_their_own_problem(groups):
    protocol = make_protocol("kat")
    for group in groups:
        assert {r.prompt_ids for r in group.rollouts} == {protocol.render(group.problem.prompt)}
        assert all(r.problem is group.problem for r in group.rollouts)


def test_rollouts_carry_what_the_engine_and_the_parser_said(groups):
    protocol = make_protocol("kat")
    for rollout in (r for g in groups for r in g.rollouts):
        parsed = protocol.parse(rollout.completion_ids)
        assert (rollout.mode, rollout.status, rollout.judge_ids) == (parsed.mode, parsed.status, parsed.judge_ids)
        assert len(rollout.logprobs) == len(rollout.sampled) == len(rollout.completion_ids)
        assert bool(rollout.switch_probs) == (rollout.mode is not None)
        assert rollout.scores == {}


def test_a_completion_becomes_a_rollout_field_by_field():
    protocol = make_protocol("kat")
    ids = protocol.response("think", "46", "12+34=46", "so")
    completion = Completion(ids, (-0.5,) * len(ids), (1, 1, 0, *(1,) * (len(ids) - 3)), {"think": 0.2, "no_think": 0.1})
    rollout = make_rollout(PROBLEMS[0], (2, 23, 4), completion, "think", protocol)
    assert (rollout.mode, rollout.forced, rollout.status, rollout.switch_index) == ("think", "think", "ok", 2)
    assert (rollout.judge_text, rollout.think_text, rollout.answer_text) == ("so", "12+34=46", "46")
    assert rollout.completion_ids == ids
    assert rollout.judge_ids == ids[:3]
    assert rollout.logprobs == completion.logprobs
    assert rollout.sampled == completion.sampled
    assert rollout.switch_probs == {"think": 0.2, "no_think": 0.1}
    assert not rollout.truncated

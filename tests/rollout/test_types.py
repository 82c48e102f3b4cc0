"""The carrier: copies, JSON and grouping."""

import dataclasses
import json

import pytest
from factories import make_group, make_problem, make_rollout

from rollout.types import MODES, Status, group_rollouts, rollout_from_json, rollout_to_json

CONTRACT = (
    "problem mode forced status prompt_ids completion_ids judge_ids think_ids answer_ids answer_text logprobs "
    "switch_probs truncated scores broken"
)
PROBLEM = "id prompt domain source answer tests difficulty necessity metadata messages"


def test_a_rollout_has_every_field_of_the_public_contract():
    record = rollout_to_json(make_rollout())
    assert set(CONTRACT.split()) <= set(record)
    assert set(PROBLEM.split()) == set(record["problem"])


def test_a_rollout_survives_json_unchanged():
    problem = make_problem(
        tests=({"call": "f", "args": [2], "expected": 3},),
        domain="code",
        difficulty="2",
        necessity="no_think",
        metadata={"solution": "def f(n): return n + 1", "level": 2},
        messages=({"role": "system", "content": "be brief"}, {"role": "user", "content": "12 + 34"}),
    )
    rollout = make_rollout(
        "no_think",
        forced="think",
        problem=problem,
        think_ids=(7,),
        judge_text="hm",
        answer_text="46",
        truncated=True,
        broken="no",
    )
    assert rollout_from_json(json.loads(json.dumps(rollout_to_json(rollout)))) == rollout


def test_a_rollout_without_a_mode_survives_json_unchanged():
    rollout = make_rollout(None)
    back = rollout_from_json(json.loads(json.dumps(rollout_to_json(rollout))))
    assert back == rollout
    assert back.mode is None
    assert back.switch_index is None


def test_an_unknown_or_missing_field_in_json_is_a_type_error():
    record = rollout_to_json(make_rollout())
    with pytest.raises(TypeError, match="colour"):
        rollout_from_json({**record, "colour": "red"})
    del record["mode"]
    with pytest.raises(TypeError, match="mode"):
        rollout_from_json(record)


def test_with_scores_adds_and_replaces_by_name_and_leaves_the_original_alone():
    rollout = make_rollout(scores={"math": 1.0, "format": 0.0})
    assert rollout.with_scores(format=1.0, judge=0.5).scores == {"math": 1.0, "format": 1.0, "judge": 0.5}
    assert rollout.scores == {"math": 1.0, "format": 0.0}


def test_a_rollout_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_rollout().mode = "no_think"


def test_by_mode_keeps_the_order_and_leaves_out_rollouts_without_a_mode():
    group = make_group("TN-T", (0.1, 0.2, 0.3, 0.4))
    assert [r.scores["correct"] for r in group.by_mode("think")] == [0.1, 0.4]
    assert [r.scores["correct"] for r in group.by_mode("no_think")] == [0.2]


def test_consecutive_rollouts_of_one_problem_become_a_group_in_order():
    one, two = make_problem("one"), make_problem("two")
    rollouts = [make_rollout(problem=p, tokens=n) for p, n in ((one, 1), (one, 2), (two, 3), (one, 4))]
    groups = group_rollouts(rollouts)
    assert [(g.problem.id, [len(r.completion_ids) for r in g.rollouts]) for g in groups] == [
        ("one", [1, 2]),
        ("two", [3]),
        ("one", [4]),
    ]
    assert group_rollouts([]) == []


def test_there_are_two_modes_and_eight_statuses():
    assert MODES == ("no_think", "think")  # cheapest first
    assert tuple(Status) == (
        "ok",
        "no_switch",
        "two_switches",
        "unclosed_think",
        "unclosed_answer",
        "empty_answer",
        "malformed",
        "truncated",
    )


def test_the_usable_part_of_a_group_leaves_out_the_broken_rollouts():
    group = make_group("TNN", (1, 0, 1))
    broken = dataclasses.replace(group.rollouts[1], broken="reward 'x' failed")
    mixed = dataclasses.replace(group, rollouts=(group.rollouts[0], broken, group.rollouts[2]))
    assert mixed.usable().rollouts == (group.rollouts[0], group.rollouts[2])
    assert group.usable() == group

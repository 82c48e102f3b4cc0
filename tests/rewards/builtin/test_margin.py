"""The margin's schedules, the controller's rule, and its state over a run."""

import pytest
from factories import make_group, make_rollout

from rewards.builtin.margin import ControlledMargin, auto_and_think, margin_at, read_margin
from rewards.registry import build_rewards
from rl.training.margin import MarginState
from rollout.errors import UserError
from rollout.types import RolloutGroup

CONTROLLED = {"start": 0.1, "change": 0.02, "tolerance": 0.05, "lowest": 0.05, "highest": 0.13}


def mixed(free, think, direct=()):
    """A group with these correctness values of free choices, forced thoughts and forced direct answers."""
    rollouts = [make_rollout("no_think", correct=c) for c in free]
    rollouts += [make_rollout("think", correct=c, forced=True) for c in think]
    rollouts += [make_rollout("no_think", correct=c, forced=True) for c in direct]
    return RolloutGroup(rollouts[0].problem, tuple(rollouts))


def test_a_number_stays_what_it_is():
    assert [margin_at(0.05, step) for step in (0, 100)] == [0.05, 0.05]


def test_a_linear_margin_reaches_its_end_and_stays_there():
    margin = {"start": 0.0, "end": 0.1, "steps": 50}
    assert [margin_at(margin, step) for step in (0, 10, 25, 50, 500)] == pytest.approx([0, 0.02, 0.05, 0.1, 0.1])


def test_a_controlled_margin_begins_at_its_start():
    assert margin_at(CONTROLLED, 7) == 0.1
    assert margin_at(CONTROLLED, 7, 0.12) == 0.12


@pytest.mark.parametrize(
    ("margin", "auto", "think", "after"),
    [
        (0.1, 0.9, 0.9, 0.12),
        (0.1, 0.86, 0.9, 0.12),  # within the tolerance
        (0.1, 0.84, 0.9, 0.08),
        (0.12, 0.9, 0.9, 0.13),  # never above `highest`
        (0.06, 0.0, 0.9, 0.05),  # never below `lowest`
    ],
)
def test_the_controller_asks_for_more_efficiency_while_accuracy_holds(margin, auto, think, after):
    assert ControlledMargin(**CONTROLLED).after(margin, auto, think) == pytest.approx(after)


def test_free_choices_are_compared_with_forced_thoughts_on_the_same_problems():
    groups = [
        mixed(free=(1, 0), think=(1, 1), direct=(0, 0)),
        mixed(free=(1,), think=(1, 0)),
        mixed(free=(), think=(0, 0)),  # nobody chose: says nothing
        mixed(free=(0, 0), think=(), direct=(1,)),  # nothing to compare with
    ]
    assert auto_and_think(groups) == (0.75, 0.75)
    assert auto_and_think(groups[2:]) is None
    assert auto_and_think([]) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wide", "judge.margin is 'wide'; allowed: a number"),
        (True, "judge.margin is True; allowed: a number"),
        ({"start": 0, "end": 1}, r"judge.margin is .*; allowed: a number, \{start, end, steps\} or \{start, change\}"),
        ({"start": 0}, r"judge.margin is .*; allowed: a number, \{start, end, steps\} or \{start, change\}"),
        ({"start": 0, "end": 1, "step": 5}, "judge.margin has an unknown key 'step'; did you mean 'steps'"),
        ({"start": 0, "chnge": 1}, "judge.margin has an unknown key 'chnge'; did you mean 'change'"),
        ({"start": 0, "end": "1", "steps": 5}, "judge.margin.end is '1'; allowed: a number"),
        ({"start": 0, "end": 1, "steps": 0}, "judge.margin.steps is 0; allowed: 1 or more"),
        ({"start": 0.9, "change": 0.1}, "judge.margin.start is 0.9; allowed: 0.0 to 0.5"),
        ({"start": 0.1, "change": 0}, "judge.margin.change is 0; allowed: above 0"),
    ],
)
def test_a_margin_that_cannot_be_read_is_named(value, message):
    with pytest.raises(UserError, match=message):
        read_margin(value)


def state(margin):
    return MarginState(build_rewards([{"name": "judge", "margin": margin}, {"name": "math"}]))


def test_a_runs_margin_moves_with_what_its_groups_show_and_comes_back_from_a_checkpoint():
    margin = state(CONTROLLED)
    assert margin.at(0) == 0.1
    margin.observe([mixed(free=(1, 1), think=(1, 1))])
    assert margin.at(1) == pytest.approx(0.12)
    margin.observe([make_group("TN", (1, 0))])  # no forced thought: stays
    assert margin.at(2) == pytest.approx(0.12)
    resumed = state(CONTROLLED)
    resumed.load_state_dict(margin.state_dict())
    assert resumed.at(2) == pytest.approx(0.12)


def test_a_schedule_follows_the_step_alone():
    margin = state({"start": 0.0, "end": 0.1, "steps": 10})
    margin.observe([mixed(free=(0,), think=(1,))])
    assert (margin.at(5), margin.controlled) == (pytest.approx(0.05), None)


def test_without_a_judge_reward_there_is_no_margin():
    assert MarginState(build_rewards([{"name": "math"}])).at(3) is None
    assert MarginState(build_rewards([{"name": "judge"}, {"name": "math"}])).at(3) == 0.05

"""Who takes part in the next pass over the data, by hand."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from factories import make_group, make_problem

from rl.config.schema import HistoryConfig
from rl.curriculum.resampling import Resampler
from rl.statistics.targets import judge_target, mean_switch_probability


def group(name, correct=(1, 1, 1, 1), target="no_think", think=0.05):
    """Two forced rollouts a mode; the judge prefers `target`; the policy thinks with probability `think`."""
    judge = {"think": [1, 1, 0, 0], "no_think": [0, 0, 1, 1], None: [0, 0, 0, 0]}[target]
    return make_group("TTNN", correct, judge, make_problem(name), switch_probs=(think, 1 - think))


def make(resample="mode_aware", **settings):
    return Resampler(HistoryConfig(resample=resample, **{"return_probability": 0.0, **settings}))


def members(resampler, pool, at_least=1, seed=0):
    return resampler.members(pool, at_least, random.Random(seed))


def hard(name):
    return group(name, (1, 1, 0, 0), "think", think=0.95)


def test_the_target_is_the_mode_with_the_higher_mean_judge_reward():
    assert judge_target(make_group("TTN", judge=(1, 0, 0.4), correct=(0, 0, 0))) == "think"
    assert judge_target(make_group("TTN", judge=(1, 0, 0.6), correct=(0, 0, 0))) == "no_think"
    assert judge_target(make_group("TTN", judge=(1, 0, 0.5), correct=(0, 0, 0))) is None
    assert judge_target(make_group("TT-", judge=(1, 1, 0), correct=(0, 0, 0))) is None
    assert judge_target(make_group("NN-", judge=(1, 1, 0), correct=(1, 1, 0))) == "no_think"
    assert judge_target(make_group("NN-", judge=(0, 0, 0), correct=(1, 0, 0))) is None


def test_the_switch_probability_is_taken_among_the_two_switches_alone():
    rollouts = make_group("TN", (0, 0), switch_probs=(0.3, 0.1)).rollouts
    assert mean_switch_probability(rollouts, "think") == pytest.approx(0.75)
    assert mean_switch_probability(rollouts, "no_think") == pytest.approx(0.25)
    assert mean_switch_probability(make_group("-", (0,)).rollouts, "think") is None


def test_off_keeps_everybody():
    resampler = make("off")
    resampler.observe([group("a")])
    assert members(resampler, ["a", "b"]) == ["a", "b"]
    assert resampler.metrics() == {}


def test_srpo_drops_the_all_correct_and_keeps_mixed_all_wrong_and_unseen():
    resampler = make("srpo")
    resampler.observe([group("right"), group("mixed", (1, 1, 0, 1)), group("wrong", (0, 0, 0, 0))])
    assert members(resampler, ["right", "mixed", "wrong", "unseen"]) == ["mixed", "wrong", "unseen"]
    assert resampler.metrics()["history/retired"] == 1


def test_a_problem_of_which_every_reward_broke_has_shown_nothing():
    resampler = make("srpo")
    resampler.observe([dataclasses.replace(group("broken"), rollouts=()), group("right")])
    assert members(resampler, ["broken", "right"]) == ["broken"]


def test_srpo_looks_at_all_visits_of_a_pass():
    resampler = make("srpo")
    resampler.observe([group("a", (1, 1, 0, 1)), group("b")])
    resampler.observe([group("a"), group("b")])
    assert members(resampler, ["a", "b"]) == ["a"]
    resampler.observe([group("a")])
    assert members(resampler, ["a", "b", "c"]) == ["c"]


@pytest.mark.parametrize(
    ("easy", "retires"),
    [
        ({}, True),
        ({"think": 0.1}, True),  # exactly settled
        ({"think": 0.11}, False),  # the policy still thinks too often
        ({"correct": (1, 1, 1, 0)}, False),
        ({"target": None}, False),  # the judge knows no right mode
        ({"target": "think"}, False),  # the policy takes the wrong one
    ],
)
def test_mode_aware_retires_what_is_solved_and_settled(easy, retires):
    resampler = make(settled=0.9)
    resampler.observe([group("a", **easy), group("b", target="no_think", think=0.5)])
    assert members(resampler, ["a", "b", "c"]) == (["b", "c"] if retires else ["a", "b", "c"])


def test_mode_aware_waits_for_the_warm_up_visits():
    resampler = make(warmup_visits=2)
    resampler.observe([group("a")])
    assert members(resampler, ["a", "b"]) == ["a", "b"]
    resampler.observe([group("a")])
    assert members(resampler, ["a", "b"]) == ["b"]


def test_mode_aware_never_lets_a_target_become_the_rarer_one():
    resampler = make()
    easy = [group(f"e{k}", think=0.01 * k) for k in range(5)]
    resampler.observe([*easy, hard("h0"), hard("h1")])
    pool = [f"e{k}" for k in range(5)] + ["h0", "h1"]
    # Five against two: three can go, the most settled first.
    assert members(resampler, pool) == ["e3", "e4", "h0", "h1"]
    assert resampler.metrics() == {"history/retired": 3, "history/active_think": 2, "history/active_no_think": 2}


def test_without_mode_awareness_the_easy_ones_all_go():
    resampler = make("srpo")
    resampler.observe([*[group(f"e{k}") for k in range(5)], hard("h0")])
    assert members(resampler, [f"e{k}" for k in range(5)] + ["h0"]) == ["h0"]


def test_a_retired_problem_that_fails_when_it_returns_is_back_for_good():
    resampler = make()
    resampler.observe([group("a"), group("b", think=0.5)])
    assert members(resampler, ["a", "b"], at_least=1) == ["b"]
    resampler.observe([group("a", (1, 1, 0, 1))])
    assert members(resampler, ["a", "b"]) == ["a", "b"]
    assert members(resampler, ["a", "b"]) == ["a", "b"]


def test_retired_problems_return_about_as_often_as_configured():
    resampler = make(return_probability=0.1)
    pool = [f"e{k}" for k in range(1000)]
    resampler.observe([group(name) for name in pool])
    returned = len(members(resampler, [*pool, "new"], seed=3)) - 1
    assert 70 < returned < 130
    assert resampler.metrics()["history/retired"] == 1000


def test_a_pass_is_filled_up_from_the_retired_when_too_few_are_left():
    resampler = make("srpo")
    pool = ["a", "b", "c", "d"]
    resampler.observe([group(name) for name in pool])
    assert len(members(resampler, pool, at_least=3)) == 3


def test_its_state_survives_json():
    one, two = make(), make()
    one.observe([group("a"), hard("h"), group("b", (0, 1, 1, 1))])
    members(one, ["a", "h", "b"])
    one.observe([group("b")])
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert two.state_dict() == one.state_dict()
    assert members(two, ["a", "b", "h"]) == members(one, ["a", "b", "h"])

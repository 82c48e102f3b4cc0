"""Stored groups: what is kept of a visit, what comes again, by hand."""

import json
from functools import partial

from factories import make_group, make_problem, make_rollout

from rl.algorithms.base import LossOptions
from rl.curriculum import judge_replay
from rl.curriculum.judge_replay import JudgeReplay, StoredGroup
from rl.training.masks import counts
from rollout.types import RolloutGroup


def group(name: str, modes: str = "TTNN", **fields):
    return make_group(modes, (1,) * len(modes), problem=make_problem(name), judge_tokens=2, **fields)


def test_a_group_keeps_each_pushed_modes_decision_and_the_sum_of_its_advantages():
    replay = JudgeReplay(5, seed=0)
    replay.observe([group("a"), group("b", "TN-")], [0.0, 0.0, 1.0, 0.5, 2.0, -1.0, -1.0])
    assert sorted(replay.draw(3), key=lambda g: g.problem) == [
        StoredGroup("a", 4, {"no_think": ((100, 101), 1.5)}),
        StoredGroup("b", 3, {"no_think": ((100, 101), -1.0), "think": ((100, 101), 2.0)}),
    ]


def test_the_last_visit_takes_the_place_of_the_one_before():
    replay = JudgeReplay(5, seed=0)
    for advantages in ([1.0, 0.0], [0.0, 3.0]):
        replay.observe([group("a", "TN")], advantages)
    assert replay.draw(0) == [StoredGroup("a", 2, {"no_think": ((100, 101), 3.0)})]


def test_broken_rollouts_are_not_stored():
    broken = make_group("TN", (1, 1), problem=make_problem("a"), broken="no score")
    replay = JudgeReplay(5, seed=0)
    replay.observe([broken], [1.0, 1.0])
    assert replay.draw(0) == [StoredGroup("a", 0, {})]


def test_rollouts_that_the_loss_leaves_out_are_not_stored():
    cut = make_rollout("think", truncated=True)
    kept = make_group("TN", (1, 1), problem=make_problem("a"))
    replay = JudgeReplay(5, seed=0)
    masked = partial(counts, options=LossOptions(truncated="masked"))
    replay.observe([RolloutGroup(kept.problem, (*kept.rollouts, cut))], [1.0, 0.0, 1.0], masked)
    assert replay.draw(0) == [StoredGroup("a", 2, {"think": ((100,), 1.0)})]


def test_a_step_draws_no_group_twice_and_every_rank_the_same():
    ranks = [JudgeReplay(3, seed=4) for _ in range(2)]
    for replay in ranks:
        replay.observe([group(name) for name in "abcdefgh"], [1.0, 1.0, 0.0, 0.0] * 8)
    one, other = (replay.draw(7) for replay in ranks)
    assert one == other
    assert len({g.problem for g in one}) == 3
    assert {g.problem for g in one} != {g.problem for g in ranks[0].draw(8)}


def test_the_oldest_visits_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(judge_replay, "LARGEST", 2)
    replay = JudgeReplay(9, seed=0)
    for name in "abca":
        replay.observe([group(name, "T")], [1.0])
    assert {g.problem for g in replay.draw(0)} == {"c", "a"}


def test_without_a_count_nothing_is_kept():
    replay = JudgeReplay(0, seed=0)
    replay.observe([group("a")], [1.0] * 4)
    assert replay.draw(0) == []
    assert replay.state_dict() == {"groups": []}


def test_the_state_survives_json():
    one, other = JudgeReplay(2, seed=1), JudgeReplay(2, seed=1)
    one.observe([group(name) for name in "abcd"], [1.0, 1.0, -0.5, 0.0] * 4)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.draw(5) == one.draw(5)

"""A broken reward stops the run, or by policy costs the rollouts that it broke on."""

import asyncio
import math

import pytest
from factories import make_problem
from score_helpers import bare_group, constant

from rewards.builtin.format import format_ok
from rewards.plugin import RewardError, batch_reward, group_reward
from rewards.registry import Reward, build_rewards
from rewards.score import check_broken, score_groups


def picky(rollout):
    """Breaks on the answer "bad"."""
    if rollout.answer_text == "bad":
        raise ConnectionError("gone")
    return float(rollout.answer_text == "46")


PICKY = Reward("picky", "answer", 1.0, picky, correct=True)


def test_a_dropped_rollout_says_why_and_the_others_are_scored_without_it():
    seen = []

    @group_reward
    def judge_like(group):
        seen.append([r.answer_text for r in group.rollouts])
        return [float(k) for k in range(len(group.rollouts))]

    rewards = [PICKY, Reward("format", "answer", 0.5, format_ok), Reward("order", "judge", 2.0, judge_like)]
    (group,) = score_groups([bare_group("TTN", ("46", "bad", "45"))], rewards, on_error="drop")
    right, broken, wrong = group.rollouts
    assert broken.broken == "reward 'picky' failed on problem 'p1', rollout 1: ConnectionError: gone"
    assert broken.scores == {}
    assert seen == [["46", "45"]]
    assert (right.broken, wrong.broken) == ("", "")
    assert right.scores == {
        "picky": 1.0,
        "format": 1.0,
        "correct": 1.0,
        "answer_reward": 1.5,
        "order": 0.0,
        "judge_reward": 0.0,
    }
    assert (wrong.scores["answer_reward"], wrong.scores["judge_reward"]) == (0.5, 2.0)


def test_the_judge_compares_the_modes_without_the_dropped_rollouts():
    group = bare_group("TTNN", ("46", "46", "bad", "45"))
    rewards = [PICKY, *build_rewards([{"name": "judge"}, {"name": "format"}])[:1]]
    (scored,) = score_groups([group], rewards, on_error="drop")
    assert [r.scores.get("judge") for r in scored.rollouts] == [1.0, 1.0, None, 0.0]


@pytest.mark.parametrize("value", [math.nan, 1e308, None, "1.0", [1.0], {"points": 1.0}])
def test_a_value_that_is_no_score_drops_its_rollout_too(value):
    (group,) = score_groups([bare_group()], [constant(value)], on_error="drop")
    assert all("reward 'mine' on problem 'p1', rollout" in r.broken for r in group.rollouts)


def test_a_correctness_out_of_range_drops_its_rollout_and_stops_by_default():
    (group,) = score_groups([bare_group()], [constant(1.5)], on_error="drop")
    assert "the correctness of problem 'p1' is 1.5; allowed: 0 to 1" in group.rollouts[0].broken
    with pytest.raises(RewardError, match=r"is 1\.5; allowed: 0 to 1"):
        score_groups([bare_group()], [constant(1.5)])


def test_a_group_or_batch_reward_that_breaks_drops_all_its_rollouts():
    def broken(subject):
        raise ValueError("no")

    groups = [bare_group("TN-", ("46", "45", "")), bare_group(problem=make_problem("p2"))]
    for mark, names in ((group_reward, 5), (batch_reward, 4)):
        function = mark(lambda subject: broken(subject))
        scored = score_groups(groups, [constant(1.0), Reward("sad", "answer", 1.0, function)], on_error="drop")
        assert sum(bool(r.broken) for g in scored for r in g.rollouts) == names
    assert "a batch of 4 rollouts, the first of problem 'p1': ValueError: no" in scored[1].rollouts[0].broken


@pytest.mark.parametrize("value", [[1.0], [1.0] * 3, "ab", 1.0, None])
def test_a_batch_of_the_wrong_length_is_named(value):
    reward = Reward("many", "answer", 1.0, batch_reward(lambda rollouts: value), correct=True)
    with pytest.raises(RewardError, match=r"reward 'many' on a batch of 2 rollouts.* allowed: a list of 2 scores"):
        score_groups([bare_group()], [reward])


def test_a_passed_limit_is_broken_machinery_and_not_a_wrong_answer():
    async def slow(rollout):
        await asyncio.sleep(30)

    reward = Reward("slow", "answer", 1.0, slow, correct=True, timeout_s=0.05)
    with pytest.raises(RewardError, match=r"reward 'slow' failed on problem 'p1', rollout 0: no result within 0.05 s"):
        score_groups([bare_group()], [reward])


def test_a_stopping_reward_is_not_called_again_after_it_broke():
    made = []

    def broken(rollout):
        made.append(rollout)
        raise ValueError("no")

    with pytest.raises(RewardError, match="rollout 0: ValueError: no"):
        score_groups([bare_group()] * 3, [Reward("broken", "answer", 1.0, broken, correct=True)])
    assert len(made) == 1


def test_broken_rollouts_are_counted_up_to_a_share():
    groups = score_groups([bare_group("TTNN", ("46", "bad", "45", "45"))], [PICKY], on_error="drop")
    assert check_broken(groups, 0.25) == 1
    with pytest.raises(
        RewardError, match=r"broke on 1 of 4 rollouts; allowed: a share of 0.2 .*: reward 'picky' failed"
    ):
        check_broken(groups, 0.2)
    assert check_broken([bare_group()], 0.0) == 0

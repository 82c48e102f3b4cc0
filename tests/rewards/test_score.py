"""Groups in, scored groups out; a broken reward is named with its problem, and stops the run or loses its rollout."""

import asyncio
import math

import pytest
from factories import make_problem, make_rollout
from score_helpers import bare_group, constant, of_group, scores

from rewards.builtin.format import format_ok
from rewards.builtin.judge import PassCounts
from rewards.plugin import NOT_APPLICABLE, RewardError, batch_reward, group_reward
from rewards.registry import Reward, build_rewards
from rewards.score import score_groups
from rollout.types import Status


def test_answer_and_judge_rewards_are_weighted_sums_beside_the_scores_they_come_from():
    rewards = build_rewards([{"name": "judge", "weight": 2.0}, {"name": "math"}, {"name": "format", "weight": 0.2}])
    assert scores(bare_group(), rewards) == [
        {"math": 1.0, "format": 1.0, "correct": 1.0, "answer_reward": 1.2, "judge": 1.0, "judge_reward": 2.0},
        {"math": 0.0, "format": 1.0, "correct": 0.0, "answer_reward": 0.2, "judge": 0.0, "judge_reward": 0.0},
    ]


def test_a_reward_is_given_the_step_when_it_asks_for_it():
    def late(rollout, *, step):
        return step / 10

    rewards = [Reward("late", "answer", 1.0, late, correct=True), constant(0.5, name="plain")]
    (scored,) = score_groups([bare_group()], rewards, None, step=4)
    assert [(r.scores["late"], r.scores["plain"]) for r in scored.rollouts] == [(0.4, 0.5)] * 2


def test_the_judge_sees_the_history_of_its_own_problem():
    rewards = build_rewards([{"name": "judge"}, {"name": "math"}])
    asked = []

    def history(problem):
        asked.append(problem.id)
        return {"think": PassCounts(0.0, 20.0), "no_think": PassCounts(20.0, 20.0)}

    assert [s["judge"] for s in scores(bare_group(problem=make_problem("p7")), rewards, history)] == [0.0, 1.0]
    assert asked == ["p7"]


def test_without_judge_rewards_the_judge_reward_is_zero():
    assert [s["judge_reward"] for s in scores(bare_group(), build_rewards([{"name": "math"}]))] == [0.0, 0.0]


def test_a_rollout_without_a_switch_scores_zero_in_everything():
    rewards = build_rewards([{"name": "judge", "wrong": -1.0}, {"name": "math"}, {"name": "format"}])
    last = scores(bare_group("TN-", ("46", "45", "46")), rewards)[2]
    assert last == dict.fromkeys(("math", "format", "correct", "answer_reward", "judge", "judge_reward"), 0.0)


def test_the_best_of_several_correct_rewards_says_whether_the_answer_is_right():
    low, high = constant(0.25, "low"), constant(0.75, "high")
    assert scores(bare_group(), [low, high])[0] == {
        "low": 0.25,
        "high": 0.75,
        "correct": 0.75,
        "answer_reward": 1.0,
        "judge_reward": 0.0,
    }


def test_a_mapping_gives_its_score_and_its_other_keys_as_metrics():
    assert scores(bare_group(), [constant({"score": 0.5, "steps": 3})])[0] == {
        "mine": 0.5,
        "mine/steps": 3.0,
        "correct": 0.5,
        "answer_reward": 0.5,
        "judge_reward": 0.0,
    }


def test_true_and_whole_numbers_are_scores():
    assert scores(bare_group(), [constant(True)])[0]["mine"] == 1.0
    assert scores(bare_group(), [constant(0)])[0]["mine"] == 0.0


def test_a_coroutine_is_awaited():
    async def slow(rollout):
        return 0.5

    assert scores(bare_group(), [Reward("slow", "answer", 1.0, slow, correct=True)])[0]["slow"] == 0.5


def test_a_reward_of_a_group_gives_one_score_a_rollout_in_order():
    assert [s["mine"] for s in scores(bare_group(), [of_group([0.25, 0.5])])] == [0.25, 0.5]


def test_parameters_reach_the_function():
    def tokens(rollout, *, per_token):
        return per_token * len(rollout.completion_ids)

    reward = Reward("tokens", "answer", 1.0, tokens, {"per_token": 0.1}, correct=True)
    assert scores(bare_group(), [reward])[0]["tokens"] == pytest.approx(0.4)


def test_rewards_are_applied_by_domain():
    rewards = [constant(1.0, "for_math", domains=("math",)), constant(0.5, "for_code", domains=("code",))]
    assert scores(bare_group(problem=make_problem(domain="code")), rewards)[0]["correct"] == 0.5
    with pytest.raises(RewardError, match=r"problem 'p9' \(domain 'law', source ''\) has no reward that says"):
        score_groups([bare_group(problem=make_problem("p9", domain="law"))], rewards)


def test_groups_are_scored_one_by_one_and_the_originals_stay_unscored():
    groups = [bare_group(problem=make_problem(name)) for name in ("a", "b")]
    scored = score_groups(groups, build_rewards([{"name": "math"}]))
    assert [g.problem.id for g in scored] == ["a", "b"]
    assert all(r.scores == {} for g in groups for r in g.rollouts)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (None, "None"),
        ("1.0", "'1.0'"),
        ([1.0], r"\[1\.0\]"),
        (object, "<class 'object'>"),
    ],
)
def test_a_value_that_is_no_number_names_reward_problem_and_rollout(value, shown):
    with pytest.raises(RewardError, match=f"reward 'mine' on problem 'p1', rollout 0, returned {shown}; allowed"):
        score_groups([bare_group()], [constant(value)])


@pytest.mark.parametrize("value", [[1.0], [1.0, 0.0, 0.0], [], 1.0, None])
def test_a_group_reward_of_the_wrong_length_names_reward_and_problem(value):
    with pytest.raises(RewardError, match=r"reward 'mine' on problem 'p1' returned .*; allowed: a list of 2 scores"):
        score_groups([bare_group()], [of_group(value)])


def test_a_bad_value_within_a_group_reward_names_the_rollout():
    with pytest.raises(RewardError, match="reward 'mine' on problem 'p1', rollout 1, returned nan"):
        score_groups([bare_group()], [of_group([1.0, math.nan])])


def test_a_mapping_without_a_score_or_with_a_bad_one_is_refused():
    with pytest.raises(RewardError, match="reward 'mine' on problem 'p1', rollout 0, returned no key 'score'"):
        score_groups([bare_group()], [constant({"points": 1.0})])
    with pytest.raises(RewardError, match="reward 'mine' on problem 'p1', rollout 0, returned None"):
        score_groups([bare_group()], [constant({"score": None})])
    with pytest.raises(RewardError, match="reward 'mine' on problem 'p1', rollout 0, returned 'x'"):
        score_groups([bare_group()], [constant({"score": 1.0, "extra": "x"})])


def test_a_reward_that_raises_is_named_with_its_problem_and_its_error():
    def broken(rollout):
        return {}["key"]

    with pytest.raises(RewardError, match="reward 'broken' failed on problem 'p1', rollout 0: KeyError: 'key'"):
        score_groups([bare_group()], [Reward("broken", "answer", 1.0, broken, correct=True)])


def test_a_problem_that_its_reward_cannot_judge_is_broken_machinery_not_a_wrong_answer():
    with pytest.raises(RewardError, match=r"reward 'math' failed on problem 'p1'.*no answer"):
        score_groups([bare_group(problem=make_problem(answer=None))], build_rewards([{"name": "math"}]))


@pytest.mark.parametrize("status", Status)
def test_the_format_reward_is_one_for_ok_alone(status):
    assert format_ok(make_rollout(status=status)) == (1.0 if status == "ok" else 0.0)


# --- what a reward sees -----------------------------------------------------------------------------------------------


def test_a_reward_that_does_not_say_what_is_right_sees_whether_the_answer_is_right():
    def if_right(rollout):
        return 0.5 * rollout.scores["correct"]

    rewards = [Reward("bonus", "answer", 1.0, if_right), *build_rewards([{"name": "math"}])]
    assert [s["answer_reward"] for s in scores(bare_group(), rewards)] == [1.5, 0.0]


def test_a_batch_reward_sees_the_answered_rollouts_of_all_problems_it_applies_to_at_once():
    seen = []

    @batch_reward
    def served(rollouts, *, scale):
        seen.append([(r.problem.id, r.mode) for r in rollouts])
        return [scale * len(r.answer_text) for r in rollouts]

    rewards = [Reward("served", "answer", 1.0, served, {"scale": 0.1}, domains=("a",)), constant(1.0)]
    groups = [
        bare_group("TN-", ("1", "22", "333"), make_problem("p1", domain="a")),
        bare_group("TN", ("1", "2"), make_problem("p2", domain="b")),
        bare_group("NT", ("1", "22"), make_problem("p3", domain="a")),
    ]
    scored = score_groups(groups, rewards)
    assert seen == [[("p1", "think"), ("p1", "no_think"), ("p3", "no_think"), ("p3", "think")]]
    assert [[r.scores.get("served") for r in g.rollouts] for g in scored] == [[0.1, 0.2, 0.0], [None, None], [0.1, 0.2]]


def test_a_batch_without_rollouts_is_not_called():
    @batch_reward
    def never(rollouts):
        raise AssertionError

    assert scores(bare_group("--", ("", "")), [Reward("never", "answer", 1.0, never), constant(1.0)])


def test_async_rewards_of_all_rollouts_groups_and_batches_are_awaited():
    together = asyncio.Barrier(4)  # passes only when all four wait at once

    async def of_rollout(rollout):
        await asyncio.wait_for(together.wait(), 5)
        return 0.25

    @group_reward
    async def whole(group):
        return [0.5] * len(group.rollouts)

    @batch_reward
    async def many(rollouts):
        return [1.0] * len(rollouts)

    functions = {"one": of_rollout, "whole": whole, "many": many}
    rewards = [Reward(name, "answer", 1.0, f, correct=name == "one") for name, f in functions.items()]
    groups = score_groups([bare_group(), bare_group(problem=make_problem("p2"))], rewards)
    assert [r.scores["answer_reward"] for g in groups for r in g.rollouts] == [1.75] * 4


def test_an_array_of_scores_is_as_good_as_a_list():
    import numpy as np

    assert [s["mine"] for s in scores(bare_group(), [of_group(np.array([0.25, 0.5]))])] == [0.25, 0.5]


def test_a_reward_with_nothing_to_say_leaves_no_score_and_no_trace_in_the_sum():
    silent = Reward("silent", "answer", 1.0, lambda rollout: NOT_APPLICABLE)
    assert scores(bare_group(), [constant(0.5), silent])[0] == {
        "mine": 0.5,
        "correct": 0.5,
        "answer_reward": 0.5,
        "judge_reward": 0.0,
    }
    with pytest.raises(RewardError, match="correctness of problem 'p1' was said by none of its rewards"):
        score_groups([bare_group()], [constant(NOT_APPLICABLE)])

"""Groups in, scored groups out: every reward by its name, then the sums that the algorithms read.

    correct         the best score of the rewards marked `correct`, in [0, 1]
    answer_reward   r_i = Σ weight · score over the rewards of step `answer`
    judge_reward    q_i = Σ weight · score over the rewards of step `judge`

Order: the rewards marked `correct`, the other answer rewards (they may read `rollout.scores["correct"]`), the judge
rewards. A rollout without a switch has answered nothing: its scores are all 0. Rewards are kept apart from what is
derived from them; nothing here overwrites a score.

A wrong answer is 0; a reward that raises, passes its limit or returns no score is broken machinery. With `on_error`
"stop" that is a `RewardError`. With "drop" the rollout is marked `broken`, no later reward sees it, and it gets none of
the three sums; `check_broken` bounds the share of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rewards.builtin.judge import PassCounts
from rewards.early import EarlyScores
from rewards.plugin import RewardError
from rewards.problems import check_judged
from rewards.registry import Reward
from rewards.run import Failure, call_all
from rewards.values import BadValue, named_scores, short, value_list
from rollout.types import Problem, Rollout, RolloutGroup

History = Callable[[Problem], Mapping[str, PassCounts]]
Place = tuple[int, int]


def score_groups(
    groups: Sequence[RolloutGroup],
    rewards: Sequence[Reward],
    history: History | None = None,
    on_error: str = "stop",
    early: EarlyScores | None = None,
    **state: Any,
) -> list[RolloutGroup]:
    """The same groups with `scores` filled in; `early` has the calls that were begun before, `state` is what else
    rewards may ask for (`registry.INJECTED`). Raises `RewardError`; see the module docstring."""
    scored = score_correct(groups, rewards, history, on_error, early, **state)
    state = {**state, "history": history}
    answers = [r for r in rewards if r.step == "answer"]
    judges = [r for r in rewards if r.step == "judge"]
    for reward in (r for r in answers if not r.correct):
        scored = _apply(scored, reward, state, on_error)
    scored = [_each(group, lambda r: r.with_scores(answer_reward=_weighted(r, answers))) for group in scored]
    for reward in judges:
        scored = _apply(scored, reward, state, on_error)
    return [_each(group, lambda r: r.with_scores(judge_reward=_weighted(r, judges))) for group in scored]


def score_correct(
    groups: Sequence[RolloutGroup],
    rewards: Sequence[Reward],
    history: History | None = None,
    on_error: str = "stop",
    early: EarlyScores | None = None,
    **state: Any,
) -> list[RolloutGroup]:
    """The same groups with `correct`, and the scores that it is the best of: the first part of `score_groups`."""
    for group in groups:
        check_judged(group.problem, rewards)
    scored, answers = list(groups), [r for r in rewards if r.step == "answer"]
    for reward in (r for r in answers if r.correct):
        scored = _apply(scored, reward, {**state, "history": history}, on_error, early)
    return [_each(group, lambda r: _with_correct(r, answers, on_error)) for group in scored]


def check_broken(groups: Sequence[RolloutGroup], max_share: float) -> int:
    """The number of broken rollouts. Raises `RewardError` when their share is above `max_share`."""
    rollouts = [r for g in groups for r in g.rollouts]
    broken = [r.broken for r in rollouts if r.broken]
    if len(broken) > max_share * len(rollouts):
        raise RewardError(
            f"rewards broke on {len(broken)} of {len(rollouts)} rollouts; allowed: a share of {max_share} "
            f"(reward_errors.max_share); the first: {broken[0]}"
        )
    return len(broken)


def _each(group: RolloutGroup, change: Callable[[Rollout], Rollout]) -> RolloutGroup:
    """The group with all but the broken rollouts changed."""
    return RolloutGroup(group.problem, tuple(r if r.broken else change(r) for r in group.rollouts))


def _weighted(rollout: Rollout, rewards: Sequence[Reward]) -> float:
    return sum((reward.weight * rollout.scores.get(reward.name, 0.0) for reward in rewards), 0.0)


def _with_correct(rollout: Rollout, answers: Sequence[Reward], on_error: str) -> Rollout:
    values = [rollout.scores[a.name] for a in answers if a.correct and a.name in rollout.scores]
    if values and 0 <= max(values) <= 1:
        return rollout.with_scores(correct=max(values))
    found = f"is {max(values)}" if values else "was said by none of its rewards"
    return _break(
        rollout,
        f"the correctness of problem {rollout.problem.id!r} {found}; allowed: 0 to 1 (mark another reward `correct`, "
        "or scale this one)",
        on_error,
    )


def _break(rollout: Rollout, message: str, on_error: str, cause: BaseException | None = None) -> Rollout:
    if on_error == "stop":
        raise RewardError(message) from cause
    return dataclasses.replace(rollout, broken=message)


@dataclasses.dataclass(frozen=True)
class _Task:
    """One call of a reward, the rollouts that its values are for, and how an error names the call."""

    subject: Any
    parameters: Mapping[str, Any]
    places: tuple[Place, ...]
    where: str


def _apply(
    groups: list[RolloutGroup],
    reward: Reward,
    state: Mapping[str, Any],
    on_error: str,
    early: EarlyScores | None = None,
) -> list[RolloutGroup]:
    """The groups with the scores of one reward."""
    mine = [reward.applies_to(g.problem.domain, g.problem.source) for g in groups]
    tasks = list(_tasks([(i, g) for i, g in enumerate(groups) if mine[i]], reward, state))
    begun = [early.take(reward, task.places[0]) if early else None for task in tasks]
    calls = [(task.subject, task.parameters) for task, future in zip(tasks, begun, strict=True) if future is None]
    made = iter(call_all(reward.function, calls, reward.timeout_s, first_failure_ends=on_error == "stop"))
    values: dict[Place, Any] = {}
    for task, future in zip(tasks, begun, strict=True):
        values |= _by_place(task, next(made) if future is None else future.result(), reward)
    return [
        RolloutGroup(
            group.problem,
            tuple(_scored(r, values.get((i, k), 0.0), reward, k, on_error) for k, r in enumerate(group.rollouts)),
        )
        if mine[i]
        else group
        for i, group in enumerate(groups)
    ]


def _tasks(groups: Sequence[tuple[int, RolloutGroup]], reward: Reward, state: Mapping[str, Any]) -> Iterator[_Task]:
    batch: list[tuple[Place, Rollout]] = []
    given = {**reward.parameters, **{name: value for name, value in state.items() if reward.wants(name)}}
    for i, group in groups:
        parameters = dict(given)
        if parameters.get("history"):
            parameters["history"] = parameters["history"](group.problem)
        problem = f"problem {group.problem.id!r}"
        alive = [((i, k), r) for k, r in enumerate(group.rollouts) if not r.broken]
        answered = [(place, r) for place, r in alive if r.mode is not None]
        if reward.scope == "batch":
            batch += answered
        elif reward.scope == "group" and alive:
            yield _Task(group.usable(), parameters, tuple(place for place, _ in alive), problem)
        elif reward.scope == "rollout":
            for place, rollout in answered:
                yield _Task(rollout, parameters, (place,), f"{problem}, rollout {place[1]}")
    if batch:
        where = f"a batch of {len(batch)} rollouts, the first of problem {batch[0][1].problem.id!r}"
        yield _Task([r for _, r in batch], given, tuple(place for place, _ in batch), where)


def _by_place(task: _Task, result: Any, reward: Reward) -> dict[Place, Any]:
    """A value or a `Failure` for each rollout of the call."""
    if isinstance(result, Failure):
        result = Failure(f"reward {reward.name!r} failed on {task.where}: {result.reason}", result.error)
    elif reward.scope == "rollout":
        return {task.places[0]: result}
    else:
        values = value_list(result)
        if values is not None and len(values) == len(task.places):
            return dict(zip(task.places, values, strict=True))
        result = Failure(
            f"reward {reward.name!r} on {task.where} returned {short(result)}; allowed: a list of "
            f"{len(task.places)} scores, one a rollout"
        )
    return dict.fromkeys(task.places, result)


def _scored(rollout: Rollout, value: Any, reward: Reward, index: int, on_error: str) -> Rollout:
    if rollout.broken:
        return rollout
    if isinstance(value, Failure):
        return _break(rollout, value.reason, on_error, value.error)
    if rollout.mode is None and reward.step == "answer":
        value = 0.0
    try:
        return rollout.with_scores(**named_scores(reward.name, value))
    except BadValue as error:
        where = f"reward {reward.name!r} on problem {rollout.problem.id!r}, rollout {index},"
        return _break(rollout, f"{where} {error}", on_error, error)

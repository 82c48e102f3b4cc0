"""Groups in, scored groups out: every reward by its name, then the sums that the algorithms read.

    correct         the score of the reward marked `correct`, in [0, 1]
    answer_reward   r_i = Σ weight · score over the rewards of step `answer`
    judge_reward    q_i = Σ weight · score over the rewards of step `judge`

A rollout without a switch has answered nothing: its scores are all 0. Rewards are kept apart from what is derived from
them; nothing here overwrites a score.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rewards.judge import PassCounts
from rewards.registry import Reward, RewardError
from rollout.types import Problem, Rollout, RolloutGroup

History = Callable[[Problem], Mapping[str, PassCounts]]


def score_groups(
    groups: Sequence[RolloutGroup], rewards: Sequence[Reward], history: History | None = None, **state: Any
) -> list[RolloutGroup]:
    """The same groups with `scores` filled in; `state` is what else rewards may ask for (`registry.INJECTED`). Raises
    `RewardError` when a reward breaks."""
    return [_score_group(group, rewards, {**state, "history": history}) for group in groups]


def _score_group(group: RolloutGroup, rewards: Sequence[Reward], state: Mapping[str, Any]) -> RolloutGroup:
    problem = group.problem
    mine = [r for r in rewards if r.applies_to(problem.domain, problem.source)]
    answers = [r for r in mine if r.step == "answer"]
    if not any(r.correct for r in answers):
        raise RewardError(
            f"problem {problem.id!r} (domain {problem.domain!r}, source {problem.source!r}) has no reward that says "
            "whether its answer is right; allowed: one `correct` answer reward for each domain"
        )
    for reward in answers:
        group = _apply(group, reward, state)
    group = _replace(group, [_sum_answers(r, answers) for r in group.rollouts])
    for reward in (r for r in mine if r.step == "judge"):
        group = _apply(group, reward, state)
    judges = [r for r in mine if r.step == "judge"]
    return _replace(
        group, [r.with_scores(judge_reward=sum(j.weight * r.scores[j.name] for j in judges)) for r in group.rollouts]
    )


def _sum_answers(rollout: Rollout, answers: Sequence[Reward]) -> Rollout:
    correct = max(rollout.scores[a.name] for a in answers if a.correct)
    if not 0 <= correct <= 1:
        raise RewardError(
            f"the correctness of problem {rollout.problem.id!r} is {correct}; allowed: 0 to 1 (mark another reward "
            "`correct`, or scale this one)"
        )
    total = sum(a.weight * rollout.scores[a.name] for a in answers)
    return rollout.with_scores(correct=correct, answer_reward=total)


def _replace(group: RolloutGroup, rollouts: Sequence[Rollout]) -> RolloutGroup:
    return RolloutGroup(group.problem, tuple(rollouts))


def _apply(group: RolloutGroup, reward: Reward, state: Mapping[str, Any]) -> RolloutGroup:
    parameters = dict(reward.parameters) | {name: value for name, value in state.items() if reward.wants(name)}
    if parameters.get("history"):
        parameters["history"] = parameters["history"](group.problem)
    if reward.of_group:
        values = _call(reward, group, parameters)
        if not isinstance(values, Sequence) or len(values) != len(group.rollouts):
            raise RewardError(
                f"reward {reward.name!r} on problem {group.problem.id!r} returned {_short(values)}; "
                f"allowed: a list of {len(group.rollouts)} scores, one a rollout"
            )
        if reward.step == "answer":
            values = [0.0 if r.mode is None else v for r, v in zip(group.rollouts, values, strict=True)]
    else:
        values = [0.0 if r.mode is None else _call(reward, r, parameters) for r in group.rollouts]
    scored = []
    for index, (rollout, value) in enumerate(zip(group.rollouts, values, strict=True)):
        scored.append(rollout.with_scores(**_named_scores(reward.name, value, group.problem.id, index)))
    return _replace(group, scored)


def _call(reward: Reward, subject: Any, parameters: Mapping[str, Any]) -> Any:
    try:
        value = reward.function(subject, **parameters)
        return asyncio.run(value) if inspect.iscoroutine(value) else value
    except Exception as error:
        raise RewardError(
            f"reward {reward.name!r} failed on problem {subject.problem.id!r}: {type(error).__name__}: {error}"
        ) from error


def _named_scores(name: str, value: Any, problem_id: str, index: int) -> dict[str, float]:
    if isinstance(value, Mapping):
        if "score" not in value:
            raise RewardError(f"reward {name!r} on problem {problem_id!r} returned no key 'score': {_short(value)}")
        extra = {f"{name}/{key}": _number(name, v, problem_id, index) for key, v in value.items() if key != "score"}
        return {name: _number(name, value["score"], problem_id, index), **extra}
    return {name: _number(name, value, problem_id, index)}


def _number(name: str, value: Any, problem_id: str, index: int) -> float:
    if isinstance(value, str) or value is None:
        number = math.nan
    else:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
    if not math.isfinite(number):
        raise RewardError(
            f"reward {name!r} on problem {problem_id!r}, rollout {index}, returned {_short(value)}; "
            "allowed: a finite number"
        )
    return number


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

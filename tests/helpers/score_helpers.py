"""Groups without scores, and rewards that return a given value."""

import dataclasses

from factories import make_group

from rewards.registry import Reward
from rewards.score import score_groups
from rollout.types import RolloutGroup


def bare_group(modes="TN", answers=("46", "45"), problem=None, **fields):
    """An unscored group with these answer texts."""
    group = make_group(modes, (0,) * len(modes), problem=problem)
    rollouts = [
        dataclasses.replace(r, answer_text=text, scores={}, **fields)
        for r, text in zip(group.rollouts, answers, strict=True)
    ]
    return RolloutGroup(group.problem, tuple(rollouts))


def constant(value, name="mine", **options):
    """A reward that returns `value` for every rollout."""
    return Reward(name, "answer", 1.0, lambda rollout: value, correct=True, **options)


def of_group(value, name="mine", step="answer"):
    """A reward of a whole group that returns `value`."""

    def function(group):
        return value

    function.scope = "group"
    return Reward(name, step, 1.0, function, correct=step == "answer")


def scores(group, rewards, history=None):
    (scored,) = score_groups([group], rewards, history)
    return [dict(r.scores) for r in scored.rollouts]

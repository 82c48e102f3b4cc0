"""Control runs that spoil the rewards on purpose: how much noise does an algorithm stand?"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from rewards.registry import Reward
from rewards.score import score_groups
from rollout.types import RolloutGroup, untagged


def flip_rewards(rewards: Sequence[Reward], share: float, seed: int) -> list[Reward]:
    """The rewards, with `share` of the correctness scores c turned into 1 − c. Which ones follows from the seed, the
    problem, the rollout's place in its group and what it says, so a resumed run flips the same."""
    if share <= 0:
        return list(rewards)
    return [dataclasses.replace(r, function=_flipped(r, share, seed)) if r.correct else r for r in rewards]


def _flipped(reward: Reward, share: float, seed: int) -> Callable[..., list[float]]:
    def flipped(group: RolloutGroup, **_: object) -> list[float]:
        (scored,) = score_groups([group], [reward])
        values = []
        for place, rollout in enumerate(scored.rollouts):
            key = f"flip-{seed}-{group.problem.id}-{place}-{rollout.completion_ids}"
            wrong = random.Random(key).random() < share
            correct = rollout.scores["correct"]
            values.append(1 - correct if wrong else correct)
        return values

    flipped.scope = "group"  # type: ignore[attr-defined]
    return flipped


def permuted(groups: Sequence[RolloutGroup], seed: str) -> list[RolloutGroup]:
    """The groups with their judge rewards dealt out at random among all rollouts that have one and whose prompt states
    no mode."""
    values = [r.scores["judge_reward"] for group in untagged(groups) for r in group.usable().rollouts]
    random.Random(seed).shuffle(values)
    dealt = iter(values)
    return [
        RolloutGroup(
            g.problem, tuple(r if r.broken or r.stated else r.with_scores(judge_reward=next(dealt)) for r in g.rollouts)
        )
        for g in groups
    ]

"""Direct answers first: a group gets its thoughts only where they could make thinking right.

    1   the rollouts that are forced to answer directly, and those that choose
    2   the rollouts that are forced to think, of the problems where thinking would be right if all of them were
        (rewards/builtin/judge.py, `may_think`), and of those whose judge rewards ask something else

Where direct answers are right within the judge's margin of always, no thought can change the target: what it would cost
is spent on other problems. Thoughts are by far the dearest part of a round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from rewards.builtin.judge import PassCounts, judge, may_think
from rewards.builtin.margin import margin_at
from rewards.early import EarlyScores
from rewards.registry import Reward
from rewards.score import History, score_correct
from rl.training.ahead import Order
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, RolloutGroup

IsOpen = Callable[[Sequence[RolloutGroup]], list[bool]]


def collect_direct_first(
    order: Order, engine: Engine, protocol: DecisionProtocol, early: EarlyScores, is_open: IsOpen
) -> list[RolloutGroup]:
    """The groups of an order in two draws; `is_open` says of each group of the first whether it needs the second."""
    first = dataclasses.replace(order, plan=tuple(mode for mode in order.plan if mode != "think"))
    groups = first.collect(engine, protocol, early)
    asked = [number for number, needed in enumerate(is_open(groups)) if needed]
    if not asked:
        return groups
    second = dataclasses.replace(
        order,
        plan=tuple(mode for mode in order.plan if mode == "think"),
        problems=[order.problems[number] for number in asked],
        seed=order.seed ^ 1,
        stated=(),
    )
    for number, more in zip(asked, second.collect(engine, protocol, early, asked, len(first.plan)), strict=True):
        groups[number] = RolloutGroup(more.problem, groups[number].rollouts + more.rollouts)
    return groups


def open_groups(
    groups: Sequence[RolloutGroup], rewards: Sequence[Reward], history: History, step: int, early: EarlyScores
) -> list[bool]:
    """Of each group of direct answers and free choices, whether thinking may be right for its problem, by every reward
    of step judge that applies to it. One that does not go by pass rates leaves it open, and so does none at all. A
    group whose prompt states a mode asks for no comparison."""
    judges = [reward for reward in rewards if reward.step == "judge"]

    def may(group: RolloutGroup) -> bool:
        if group.stated:
            return False
        usable = group.usable().rollouts
        modes, correct = [r.mode for r in usable], [r.scores["correct"] for r in usable]
        past: dict[str, PassCounts] = dict(history(group.problem))
        asked = [reward for reward in judges if reward.applies_to(group.problem.domain, group.problem.source)]
        return not asked or any(_may_be_right(reward, modes, correct, past, step) for reward in asked)

    return [may(group) for group in score_correct(groups, rewards, history, "drop", early, step=step)]


def _may_be_right(
    reward: Reward, modes: Sequence[Mode | None], correct: Sequence[float], past: dict[str, PassCounts], step: int
) -> bool:
    given = reward.parameters
    if reward.function is not judge or given.get("target", "group") != "group":
        return True
    return may_think(modes, correct, past, margin_at(given.get("margin", 0.05), step), given.get("prior", 0.5))

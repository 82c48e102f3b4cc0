"""Greedy evaluation of one model: forced think, forced direct, and its own choice, on the same problems.

The same engine, parser and rewards as in training. Comparing forced modes on the same problems avoids the selection
bias of comparing rollouts whose mode the policy picked. `mean_tokens` counts every response token: judge text, switch
(forced or not), tags, end.

`rl/statistics/routers.py` says what other ways of choosing would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.plugin import RewardError
from rewards.registry import Reward
from rl.config.schema import Config
from rl.evaluation.answer import answer
from rl.statistics.names import level_order
from rl.statistics.routers import routers
from rl.statistics.targets import think_share
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, Problem, Rollout

MODE_PLAN: dict[str, Mode | None] = {"think": "think", "no_think": "no_think", "auto": None}


@dataclass(frozen=True)
class Outcome:
    """One problem in all three modes."""

    problem: Problem
    rollouts: dict[str, Rollout]

    def correct(self, mode: str) -> float:
        """1 if the answer was right."""
        return self.rollouts[mode].scores["correct"]

    def tokens(self, mode: str) -> int:
        """Response tokens."""
        return len(self.rollouts[mode].completion_ids)


def evaluate(
    config: Config,
    problems: Sequence[Problem],
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    on_rollouts: Callable[[Sequence[Rollout]], None] | None = None,
) -> dict[str, Any]:
    """The contents of `eval.json`. `on_rollouts` sees the rollouts of each batch as they finish. With
    `reward_errors.policy: drop` a problem that a reward broke on in one mode is left out of all, and `broken` counts
    them."""
    outcomes: list[Outcome] = []
    broken = 0
    plan = tuple(MODE_PLAN.values())
    for groups in answer(config, problems, plan, engine, protocol, rewards, show="evaluate"):
        for group in groups:
            if any(r.broken for r in group.rollouts):
                broken += 1
            else:
                outcomes.append(Outcome(group.problem, dict(zip(MODE_PLAN, group.rollouts, strict=True))))
            if on_rollouts:
                on_rollouts(group.rollouts)
    if not outcomes:
        raise RewardError(f"rewards broke on each of the {broken} problems in one mode or another: nothing to report")
    return {**summarize(outcomes, config.data.easy, config.data.hard), "broken": broken}


def summarize(outcomes: Sequence[Outcome], easy: Sequence[str] = (), hard: Sequence[str] = ()) -> dict[str, Any]:
    """All tables of an evaluation."""
    rows = [problem_row(o) for o in outcomes]
    levels = sorted({o.problem.difficulty for o in outcomes if o.problem.difficulty is not None}, key=level_order)
    domains = sorted({o.problem.domain for o in outcomes})
    return {
        "n": len(outcomes),
        "modes": {name: row for name, row in mode_table(outcomes).items() if name in MODE_PLAN},
        "routers": routers(rows),
        "by_difficulty": {level: mode_table(_where(outcomes, (level,))) for level in levels},
        "by_domain": {d: mode_table([o for o in outcomes if o.problem.domain == d]) for d in domains},
        "easy": mode_table(_where(outcomes, easy)),
        "hard": mode_table(_where(outcomes, hard)),
        "problems": rows,
    }


def problem_row(outcome: Outcome) -> dict[str, Any]:
    """One problem: right or wrong and tokens of each mode, and what auto did. What routers and intervals read."""
    row: dict[str, Any] = {"id": outcome.problem.id, "difficulty": outcome.problem.difficulty}
    row["length"] = len(outcome.rollouts["think"].prompt_ids)
    row |= {mode: [outcome.correct(mode), outcome.tokens(mode)] for mode in MODE_PLAN}
    return row | {"thinks": outcome.rollouts["auto"].mode == "think"}


def _where(outcomes: Sequence[Outcome], levels: Sequence[str]) -> list[Outcome]:
    return [o for o in outcomes if o.problem.difficulty in levels]


def mode_table(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Accuracy, mean tokens and count of each mode; for auto also the share that thought and the mean probability of
    thinking at the decision (what a sampled choice would do)."""
    if not outcomes:
        return {}
    table: dict[str, Any] = {
        mode: {
            "accuracy": _mean([o.correct(mode) for o in outcomes]),
            "mean_tokens": _mean([o.tokens(mode) for o in outcomes]),
        }
        for mode in MODE_PLAN
    }
    table["auto"]["think_rate"] = _mean([o.rollouts["auto"].mode == "think" for o in outcomes])
    table["auto"]["think_probability"] = _mean([think_share(o.rollouts["auto"]) for o in outcomes])
    table["n"] = len(outcomes)
    return table


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0

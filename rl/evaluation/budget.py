"""Accuracy against thinking budget: the same problems, forced to think and by the model's own choice, with every
thought closed after so many tokens (rollout/reader.py counts them, rollout/budget.py has the words)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rewards.registry import Reward
from rl.config.schema import Config
from rl.evaluation.evaluate import batches, sampling
from rl.files.row_store import RowStore
from rl.statistics.intervals import drawn_means, ends
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, Problem, Rollout

PLAN: dict[str, Mode | None] = {"think": "think", "auto": None}


def budget_curve(
    config: Config,
    problems: Sequence[Problem],
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    store: Callable[[int], RowStore | None] = lambda budget: None,
) -> list[dict[str, Any]]:
    """One point a budget of `evaluation.budget`, smallest first: for `think` and `auto` accuracy and tokens as [value,
    lower, upper], 95 % over the problems, and the share of thoughts that the budget closed. A problem on which a reward
    broke is left out."""
    samples = config.evaluation.samples
    plan = tuple(mode for mode in PLAN.values() for _ in range(samples))
    points = []
    for budget in sorted(set(config.evaluation.budget)):
        drawn = dataclasses.replace(sampling(config), thinking_budget=budget)
        kept = store(budget)
        found = batches(config, problems, plan, engine, protocol, rewards, kept, drawn, f"budget {budget}")
        groups = [g.rollouts for made, _ in found for g in made if not any(r.broken for r in g.rollouts)]
        point: dict[str, Any] = {"budget": budget, "n": len(groups)}
        for place, name in enumerate(PLAN):
            answers = [members[place * samples : (place + 1) * samples] for members in groups]
            point[name] = _measured(answers, budget, protocol) if answers else {}
        points.append(point)
    return points


def _measured(answers: Sequence[Sequence[Rollout]], budget: int, protocol: DecisionProtocol) -> dict[str, Any]:
    """Means over a problem's k answers, then over the problems."""
    values_NC = np.array(
        [[_mean([r.scores["correct"] for r in own]), _mean([len(r.completion_ids) for r in own])] for own in answers]
    )
    means = drawn_means(values_NC)
    thoughts = [r for own in answers for r in own if r.mode == "think"]
    closed = _mean([was_closed(r.completion_ids, budget, protocol) for r in thoughts])
    return {"accuracy": ends(means[:, 0]), "tokens": ends(means[:, 1]), "closed": closed, "thoughts": len(thoughts)}


def was_closed(ids: Sequence[int], budget: int, protocol: DecisionProtocol) -> bool:
    """Whether the thought of this response was closed by its budget."""
    reading = protocol.thought_budget(budget)
    closing = reading.closing
    return any(reading.push(token) and tuple(ids[k + 1 :][: len(closing)]) == closing for k, token in enumerate(ids))


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0

"""Greedy evaluation of one model: forced think, forced direct, and its own choice, on the same problems.

The same engine, parser and rewards as in training. Comparing forced modes on the same problems avoids the selection
bias of comparing rollouts whose mode the policy picked. `mean_tokens` counts every response token: judge text, switch
(forced or not), tags, end.

Routers, per problem from the forced modes: `oracle` answers directly where that is right and thinks elsewhere;
`random` thinks at the model's own rate (its expectation); `length` sees only the prompt's length, decides by pass
rates on one half of the problems and is scored on the other half, both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from rewards.plugin import RewardError
from rewards.registry import Reward
from rewards.score import check_broken, score_groups
from rl.config.schema import Config
from rl.reports.tables import level_order
from rl.statistics.targets import think_share
from rollout.collect import collect
from rollout.engines.base import Engine, Sampling
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, Problem, Rollout

MODE_PLAN: dict[str, Mode | None] = {"think": "think", "no_think": "no_think", "auto": None}
MARGIN = 0.05


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
    answers = [r for r in rewards if r.step == "answer"]
    length = config.evaluation.max_new_tokens or config.rollout.max_new_tokens
    sampling = Sampling(temperature=0.0, max_new_tokens=length)
    size = max(1, config.evaluation.batch // len(MODE_PLAN))
    outcomes: list[Outcome] = []
    broken = 0
    with tqdm(total=len(problems), desc="evaluate", unit="problem", dynamic_ncols=True) as progress:
        for start in range(0, len(problems), size):
            batch = problems[start : start + size]
            groups = collect(batch, tuple(MODE_PLAN.values()), engine, protocol, sampling, config.seed)
            scored = score_groups(groups, answers, on_error=config.reward_errors.policy)
            check_broken(scored, config.reward_errors.max_share)
            for group in scored:
                if any(r.broken for r in group.rollouts):
                    broken += 1
                else:
                    outcomes.append(Outcome(group.problem, dict(zip(MODE_PLAN, group.rollouts, strict=True))))
                if on_rollouts:
                    on_rollouts(group.rollouts)
            progress.update(len(batch))
    if not outcomes:
        raise RewardError(f"rewards broke on each of the {broken} problems in one mode or another: nothing to report")
    return {**summarize(outcomes, config.data.easy, config.data.hard), "broken": broken}


def summarize(outcomes: Sequence[Outcome], easy: Sequence[str] = (), hard: Sequence[str] = ()) -> dict[str, Any]:
    """All tables of an evaluation."""
    levels = sorted({o.problem.difficulty for o in outcomes if o.problem.difficulty is not None}, key=level_order)
    domains = sorted({o.problem.domain for o in outcomes})
    return {
        "n": len(outcomes),
        "modes": {name: row for name, row in mode_table(outcomes).items() if name in MODE_PLAN},
        "routers": routers(outcomes),
        "by_difficulty": {level: mode_table(_where(outcomes, (level,))) for level in levels},
        "by_domain": {d: mode_table([o for o in outcomes if o.problem.domain == d]) for d in domains},
        "easy": mode_table(_where(outcomes, easy)),
        "hard": mode_table(_where(outcomes, hard)),
        "problems": [_problem_row(o) for o in outcomes],
    }


def _problem_row(outcome: Outcome) -> dict[str, Any]:
    """One problem: right or wrong and tokens of each mode, and what auto did. What intervals are drawn from."""
    row: dict[str, Any] = {"id": outcome.problem.id, "difficulty": outcome.problem.difficulty}
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


def routers(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """The routers of the module docstring, and what share of the oracle's saving auto and they capture."""
    if not outcomes:
        return {}
    always = _mean([o.tokens("think") for o in outcomes])
    direct = _mean([o.tokens("no_think") for o in outcomes])
    rate = _mean([o.rollouts["auto"].mode == "think" for o in outcomes])
    accuracy = {m: _mean([o.correct(m) for o in outcomes]) for m in ("think", "no_think")}
    table = {
        "oracle": _routed(outcomes, ["no_think" if o.correct("no_think") >= 1 else "think" for o in outcomes]),
        "random": {
            "accuracy": rate * accuracy["think"] + (1 - rate) * accuracy["no_think"],
            "mean_tokens": rate * always + (1 - rate) * direct,
        },
        "length": _routed(outcomes, length_routes(outcomes)),
        "auto": {"mean_tokens": _mean([o.tokens("auto") for o in outcomes])},
    }
    saving = always - table["oracle"]["mean_tokens"]
    for row in table.values():
        row["saving_captured"] = (always - row["mean_tokens"]) / saving if saving > 0 else 0.0
    auto = table.pop("auto")
    table["oracle"]["saving_captured_by_auto"] = auto["saving_captured"]
    return table


def length_routes(outcomes: Sequence[Outcome]) -> list[str]:
    """The mode that prompt length alone would choose, cross-fitted on the two halves."""
    routes = ["think"] * len(outcomes)
    for parity in (0, 1):
        fitted = [o for i, o in enumerate(outcomes) if i % 2 != parity]
        overall = _gain(fitted)
        for i in range(parity, len(outcomes), 2):
            length = len(outcomes[i].rollouts["think"].prompt_ids)
            alike = [o for o in fitted if len(o.rollouts["think"].prompt_ids) == length]
            gain = _gain(alike) if alike else overall
            routes[i] = "think" if gain > MARGIN else "no_think"
    return routes


def _gain(outcomes: Sequence[Outcome]) -> float:
    return _mean([o.correct("think") - o.correct("no_think") for o in outcomes])


def _routed(outcomes: Sequence[Outcome], routes: Sequence[str]) -> dict[str, float]:
    pairs = list(zip(outcomes, routes, strict=True))
    return {
        "accuracy": _mean([o.correct(m) for o, m in pairs]),
        "mean_tokens": _mean([o.tokens(m) for o, m in pairs]),
        "think_rate": _mean([m == "think" for m in routes]),
    }


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0

"""Evaluation of one model: forced think, forced no_think, and its own choice, on the same problems under the same cap.

The same engine, parser and rewards as in training. Comparing forced modes on the same problems avoids the selection
bias of comparing rollouts whose mode the policy picked. Greedy, or `evaluation.samples` samples of each mode as
`rollout` draws them. `rl/evaluation/outcomes.py` has the tables, docs/evaluation.md the formulas.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from rewards.plugin import RewardError
from rewards.registry import Reward
from rl.config.schema import Config
from rl.evaluation.answer import answer, greedy
from rl.evaluation.outcomes import MODE_PLAN, Outcome, summarize
from rl.files.row_store import RowStore
from rl.statistics.areas import operating_points
from rollout.engines.base import Engine, Sampling
from rollout.modes import Plan
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout, RolloutGroup, rollout_from_json, rollout_to_json


def evaluate(
    config: Config,
    problems: Sequence[Problem],
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    on_rollouts: Callable[[Sequence[Rollout]], None] | None = None,
    store: RowStore | None = None,
) -> dict[str, Any]:
    """The contents of `eval.json`. `on_rollouts` sees the rollouts of each batch as they finish; `store` keeps them, so
    that a killed evaluation goes on where it stopped. With `reward_errors.policy: drop` a problem that a reward broke
    on in one mode is left out of all, and `broken` counts them."""
    started = time.perf_counter()
    samples = config.evaluation.samples
    plan = tuple(mode for mode in MODE_PLAN.values() for _ in range(samples))
    outcomes: list[Outcome] = []
    broken, earlier = 0, 0.0
    for groups, seconds in batches(config, problems, plan, engine, protocol, rewards, store, sampling(config)):
        earlier += seconds
        for group in groups:
            if any(r.broken for r in group.rollouts):
                broken += 1
            else:
                places = range(0, len(plan), samples)
                answers = [group.rollouts[place : place + samples] for place in places]
                outcomes.append(Outcome(group.problem, dict(zip(MODE_PLAN, answers, strict=True))))
            if on_rollouts:
                on_rollouts(group.rollouts)
    if not outcomes:
        raise RewardError(f"rewards broke on each of the {broken} problems in one mode or another: nothing to report")
    result = summarize(outcomes, config.data.easy, config.data.hard)
    spent = {"broken": broken, "seconds": earlier + time.perf_counter() - started}
    return {**result, "dial": operating_points(result["problems"]), **spent}


def batches(
    config: Config,
    problems: Sequence[Problem],
    plan: Plan,
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    store: RowStore | None,
    drawn: Sampling,
    show: str = "evaluate",
) -> Iterator[tuple[list[RolloutGroup], float]]:
    """The groups of each batch: from the store where all of a batch are there, with the seconds that they took then,
    else answered, and kept there. A batch is answered as a whole, because what is decoded together shares its seed."""
    size = max(1, config.evaluation.batch // len(plan))
    with tqdm(total=len(problems), desc=show, unit="problem", dynamic_ncols=True) as progress:
        for start in range(0, len(problems), size):
            batch = problems[start : start + size]
            if store is not None and all(problem.id in store for problem in batch):
                groups = [_group_of(store.rows[problem.id], problem) for problem in batch]
                yield groups, sum(store.rows[problem.id].get("seconds", 0.0) for problem in batch)
            else:
                started = time.perf_counter()
                (groups,) = answer(config, batch, plan, engine, protocol, rewards, drawn)
                took = (time.perf_counter() - started) / len(batch)
                if store is not None:
                    store.append([{**_row_of(group), "seconds": took} for group in groups])
                yield groups, 0.0
            progress.update(len(batch))


def _row_of(group: RolloutGroup) -> dict[str, Any]:
    """A group as a row of the store; no table needs log-probabilities, which are most of it."""
    plain = [rollout_to_json(dataclasses.replace(r, logprobs=(), sampled=())) for r in group.rollouts]
    return {"id": group.problem.id, "rollouts": [{**one, "problem": None} for one in plain]}


def _group_of(row: Mapping[str, Any], problem: Problem) -> RolloutGroup:
    known = dataclasses.asdict(problem)
    return RolloutGroup(problem, tuple(rollout_from_json({**one, "problem": known}) for one in row["rollouts"]))


def sampling(config: Config) -> Sampling:
    """Greedy for one sample, the run's own sampling for more; under evaluation's cap either way."""
    cap, rollout = greedy(config).max_new_tokens, config.rollout
    if config.evaluation.samples == 1:
        return greedy(config)
    return Sampling(rollout.temperature, rollout.top_p, rollout.top_k, cap)

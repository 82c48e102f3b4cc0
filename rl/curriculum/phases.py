"""Staged curricula: which data, length cap and forced share a run has at each step.

    stages:
      - {steps: 40, weights: {math: 1.0}, max_new_tokens: 64}
      - {steps: 80, weights: {math: 0.5, code: 0.5}, max_new_tokens: 128, forced_share: 0.5}

A stage lasts `steps` optimizer steps; the stages together make up `trainer.steps`. `train` is a data source of its own
(default: `data.train`); `weights` draws each problem's domain with these weights, `shares` its difficulty. Keys that a
stage leaves out keep the run's values. No stages: one mix over all problems, as configured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rl.config.schema import Config, ConfigError, RolloutConfig, StageConfig
from rl.curriculum.prompt_order import Mix
from rl.data.load import load_split
from rollout.errors import nearest
from rollout.types import Problem


def stage_index(config: Config, step: int) -> int:
    """The stage of an optimizer step, counted from 0; the last one from its start on."""
    index = 0
    while index + 1 < len(config.stages) and step >= config.stages[index].steps:
        step -= config.stages[index].steps
        index += 1
    return index


def stage_at(config: Config, step: int) -> StageConfig:
    """The settings of a step's stage; one that changes nothing without stages."""
    return config.stages[stage_index(config, step)] if config.stages else StageConfig()


def rollout_at(config: Config, step: int) -> RolloutConfig:
    """The sampling settings of a step."""
    limit = stage_at(config, step).max_new_tokens
    return config.rollout if limit is None else dataclasses.replace(config.rollout, max_new_tokens=limit)


def load_training_problems(config: Config, places: dict[str, str] | None = None) -> list[Problem]:
    """The problems of `data.train` and of every stage's own source; ids of the latter begin with `SOURCE#`. `places`
    is filled with where each comes from. Raises `ConfigError` as `mixes` does."""
    problems: list[Problem] = []
    for source in ["", *dict.fromkeys(stage.train for stage in config.stages if stage.train)]:
        data = dataclasses.replace(config.data, train=source) if source else config.data
        loaded = load_split(dataclasses.replace(config, data=data), "train")
        prefix = f"{source}#" if source else ""
        problems += [dataclasses.replace(p, id=f"{prefix}{p.id}") for p in loaded.problems]
        if places is not None:
            places |= {f"{prefix}{name}": place for name, place in loaded.places.items()}
    mixes(config, problems)
    return problems


def mixes(config: Config, problems: Sequence[Problem]) -> list[Mix]:
    """What each stage draws from. Raises `ConfigError` on a domain or difficulty that its data does not have."""
    if not config.stages:
        return [Mix(0, {"": [p.id for p in problems]}, {})]
    sources = {stage.train for stage in config.stages if stage.train}
    made, start = [], 0
    for index, stage in enumerate(config.stages):
        mine = [p for p in problems if _source(p, sources) == stage.train]
        made.append(_mix(stage, mine, start // config.trainer.iterations, f"stages[{index}]"))
        start += stage.steps
    return made


def _source(problem: Problem, sources: set[str]) -> str:
    # A source may hold a # of its own, and be what another one begins with.
    mine = [source for source in sources if source and problem.id.startswith(f"{source}#")]
    return max(mine, key=len, default="")


def _mix(stage: StageConfig, problems: Sequence[Problem], start: int, place: str) -> Mix:
    field, chosen = ("weights", stage.weights) if stage.weights else ("shares", stage.shares)
    if not chosen:
        return Mix(start, {stage.train: [p.id for p in problems]}, {})
    kind = {"weights": "domain", "shares": "difficulty"}[field]
    pools: dict[str, list[str]] = {}
    for problem in problems:
        pools.setdefault(str(getattr(problem, kind)), []).append(problem.id)
    for name in chosen:
        if name not in pools:
            hint = nearest(name, pools, f"the data has {', '.join(sorted(pools))}")
            raise ConfigError(f"{place}.{field} names the {kind} {name!r}; {hint}")
    names = {name: " ".join(part for part in (stage.train, kind, name) if part) for name in chosen if chosen[name] > 0}
    return Mix(start, {names[n]: pools[n] for n in names}, {names[n]: chosen[n] for n in names})

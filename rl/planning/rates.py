"""Seconds of a step from measured rates: given by the user, or read from the records of a run."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.config.schema import Config, ConfigError
from rl.files.run_log import read_metrics


@dataclass(frozen=True)
class Rates:
    """Response tokens a second of one GPU in the rollout and in the update, and seconds of rewards that a step waits
    for."""

    rollout: float
    update: float
    reward: float = 0.0


@dataclass(frozen=True)
class StepTime:
    """Seconds of one optimizer step, and hours of the run."""

    rollout: float
    reward: float
    update: float
    hours: float

    @property
    def whole(self) -> float:
        """Seconds of the step."""
        return self.rollout + self.reward + self.update


def step_time(config: Config, rates: Rates, gpus: int, response: float, generating: int = 0) -> StepTime:
    """With `response` mean tokens a response. `generating` GPUs decode (0: the training ones); a generation serves
    `trainer.iterations` steps. Rates are taken to grow with the GPUs."""
    tokens = config.trainer.prompts_per_step * config.rollout.group_size * response
    share = 1 / config.trainer.iterations
    rollout, reward = share * tokens / (rates.rollout * (generating or gpus)), share * rates.reward
    update = tokens / (rates.update * gpus)
    return StepTime(rollout, reward, update, config.trainer.steps * (rollout + reward + update) / 3600)


SAME = tuple(f"model.{name}" for name in ("path", "dtype", "lora.rank", "gradient_checkpointing"))
SAME += tuple(f"rollout.{name}" for name in ("engine", "max_new_tokens", "max_prompt_tokens"))
"""What rates and lengths depend on."""


def unlike(config: Config, run_dir: Path) -> list[str]:
    """Lines for what a run's rates depend on and is another there: they are taken all the same."""
    try:
        run = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    told = []
    for key in SAME:
        old: Any = run
        new: Any = config
        for part in key.split("."):
            old, new = old.get(part) if isinstance(old, dict) else None, getattr(new, part)
        if old != new:
            told.append(f"{key} {old}, here {new}")
    return [f"the rates are those of another run: {'; '.join(told)} ({run_dir})"] if told else []


def measured_rates(run_dir: Path, gpus: int) -> tuple[Rates, float]:
    """The rates of a run that took `gpus` GPUs, and its mean response; medians over its steps but the first. Raises
    `ConfigError` where it recorded none."""
    file, settings = run_dir / "metrics.jsonl", run_dir / "config.json"
    timed = [
        r for r in read_metrics(run_dir)[1:] if r.get("time/step") and r.get("time/rollout") and r.get("tokens/total")
    ]
    if not timed:
        raise ConfigError(f"{file} has no two steps with times; allowed: a run folder of scripts/train.py")
    try:
        config = json.loads(settings.read_text(encoding="utf-8"))
        rows = config["trainer"]["prompts_per_step"] * config["rollout"]["group_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{settings} does not say how many rows a step had ({error}); allowed: a run folder"
        ) from error
    if config["rollout"].get("ahead"):
        raise ConfigError(
            f"{settings} has rollout.ahead 1: its times of rollouts are waits for one; allowed: a run without"
        )
    rollout = statistics.median(r["tokens/total"] / r["time/rollout"] for r in timed)
    update = statistics.median(
        r["tokens/total"] / max(r["time/step"] - r["time/rollout"] - r.get("time/reward", 0.0), 1e-9) for r in timed
    )
    reward = statistics.median(r.get("time/reward", 0.0) for r in timed)
    response = statistics.median(r["tokens/total"] for r in timed) / rows
    return Rates(rollout / gpus, update / gpus, reward), response

"""The gate between cold start and RL: a policy that cannot do both modes has nothing to decide, so RL cannot move it.

On a few training problems, each answered greedily in both forced modes and once freely:

    switch probability of a mode   mean over the problems of its probability at the free decision, within limits
    accuracy of a mode             share right when forced into it, at or above a floor
    obedience                      with manual tags: share of tagged prompts answered in the stated mode

Every failure says what was measured, what is allowed, and what to change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from rewards.registry import Reward, build_rewards
from rl.cold_start.work import gate_work
from rl.config.cold_start import GateConfig
from rl.config.schema import Config, ConfigError
from rl.data.prompts import draw_usable
from rl.evaluation.answer import answer
from rl.evaluation.tags import obedience
from rl.files.atomic import write_atomically
from rl.files.finished import DIGEST, begin, differences, matches
from rl.files.json_file import read_object
from rl.models.location import GATE, cold_start_folder
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem

PLAN = (*MODES, None)
REMEDIES = {
    "switch_probability": "more examples of this mode in the cold start (cold_start.gears.keep: each_mode, more steps)",
    "accuracy": "a longer cold start, easier problems, or a longer rollout.max_new_tokens",
    "obedience": "more cold_start.gears.manual_steps or a larger manual_share",
}


@dataclass(frozen=True)
class Probe:
    """What was measured: by mode the mean switch probability, the forced accuracy and (with tags) the obedience."""

    problems: int
    switch_probability: Mapping[str, float]
    accuracy: Mapping[str, float]
    obedience: Mapping[str, float]


def run_gate(config: Config) -> list[str]:
    """What fails (nothing: RL may begin): as `gate.json` has it where that was measured on this model with these
    settings, else measured now and written there; an older one is moved aside."""
    work = gate_work(config)
    if not matches(work):
        from rl.models.open import open_policy

        policy = open_policy(config, str(cold_start_folder(config) / "model"))
        problems = gate_problems(config, policy.protocol)
        probe = measure(config, problems, policy.engine, policy.protocol, build_rewards(config.rewards))
        print("".join(f"{line}\n" for line in begin(work, "never")), end="")
        failures = judge_probe(probe, config.cold_start.gate)
        write_atomically(work.product, json.dumps({"failures": failures, **asdict(probe)}, indent=2) + "\n")
    return judge_probe(read_probe(config), config.cold_start.gate)


def gate_problems(config: Config, protocol: DecisionProtocol) -> list[Problem]:
    """What the gate asks. Raises `DataError` where prompts cannot be used."""
    return draw_usable(config, "train", protocol, config.cold_start.gate.problems)


def read_probe(config: Config) -> Probe:
    """What `gate.json` holds."""
    names = [one.name for one in fields(Probe)]
    file = cold_start_folder(config) / GATE
    found = read_object(file, names, "that file moved away, to measure anew")
    return Probe(**{name: found[name] for name in names})


def is_open(config: Config) -> bool:
    """Whether this model has been through its gate with these settings, and passed; True where there is none."""
    if not config.cold_start.gate.problems:
        return True
    return matches(gate_work(config)) and not judge_probe(read_probe(config), config.cold_start.gate)


def check_gate(config: Config) -> None:
    """Raises `ConfigError` when RL would start from a cold start that has not been through its gate or failed there;
    with `cold_start.gate.problems` 0 there is none."""
    model, work = cold_start_folder(config) / "model", gate_work(config)
    if not config.cold_start.gate.problems or not (model / "config.json").is_file():
        return
    again = "scripts/cold_start.py, which measures it, or cold_start.gate.problems=0 to train all the same"
    if not work.product.is_file():
        raise ConfigError(f"{model} has not been through its gate; allowed: {again}")
    if any(key == f"{DIGEST}model.path" for key, _, _ in differences(work)):
        raise ConfigError(f"{work.product} was measured on another model than {model}; allowed: {again}")
    failures = judge_probe(read_probe(config), config.cold_start.gate)
    if failures:
        raise ConfigError(f"{model} has failed its gate ({failures[0]}); allowed: a model that passes, {again}")


def measure(
    config: Config,
    problems: Sequence[Problem],
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
) -> Probe:
    """The probe of a policy on these problems, `evaluation.batch` rows at once."""
    batches = answer(config, problems, PLAN, engine, protocol, rewards)
    groups = [group for batch in batches for group in batch]
    rollouts = [r for group in groups for r in group.rollouts]
    forced = {mode: [r for r in rollouts if r.forced == mode and not r.broken] for mode in MODES}
    free = [r for r in rollouts if r.forced is None]
    return Probe(
        problems=len(groups),
        switch_probability={mode: _mean([r.switch_probs.get(mode, 0.0) for r in free]) for mode in MODES},
        accuracy={mode: _mean([r.scores["correct"] for r in forced[mode]]) for mode in MODES},
        obedience=obedience(config, problems, engine, protocol),
    )


def judge_probe(probe: Probe, limits: GateConfig) -> list[str]:
    """One line for each limit that is not kept."""
    low, high = limits.min_switch_probability, limits.max_switch_probability
    failures = []
    for mode, value in probe.switch_probability.items():
        if not low <= value <= high:
            failures.append(_failure("switch_probability", mode, value, f"{low} to {high}"))
    for mode, floor in limits.min_accuracy.items():
        if probe.accuracy[mode] < floor:
            failures.append(_failure("accuracy", mode, probe.accuracy[mode], f"{floor} or more"))
    for mode, value in probe.obedience.items():
        if value < limits.min_obedience:
            failures.append(_failure("obedience", mode, value, f"{limits.min_obedience} or more"))
    return failures


def _failure(name: str, mode: str, value: float, allowed: str) -> str:
    return f"{name.replace('_', ' ')} of {mode} is {value:.3f}; allowed: {allowed}; try {REMEDIES[name]}"


def lines(probe: Mapping[str, Any]) -> list[str]:
    """The probe in a line a mode."""
    shown = []
    for mode in MODES:
        parts = [
            f"switch probability {probe['switch_probability'][mode]:.3f}",
            f"accuracy {probe['accuracy'][mode]:.3f}",
        ]
        parts += [f"obeys its tag {probe['obedience'][mode]:.3f}"] if probe["obedience"] else []
        shown.append(f"gate, {mode}: {', '.join(parts)}")
    return shown


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0

"""The algorithm of a whole configuration, checked against its plan."""

from __future__ import annotations

from rl.algorithms import build_algorithm
from rl.algorithms.base import Algorithm
from rl.config.schema import Config, ConfigError


def configured_algorithm(config: Config) -> Algorithm:
    """The algorithm that a run trains with. Raises `UserError`, also where `forced_switch: masked` meets a plan
    without free choices: nothing would train the judge."""
    algorithm, size = build_algorithm(config.algorithm), config.rollout.group_size
    plan = algorithm.plan or config.rollout.forced
    if algorithm.loss.forced_switch == "masked" and plan.ever_forces_all(size):
        raise ConfigError(
            f"algorithm.forced_switch is 'masked' while the plan of {algorithm.name!r} forces all {size} rollouts of "
            "a group: nothing would train the judge; allowed: a forced share below 1 (rollout.forced.start and "
            "floor), uncorrected or importance"
        )
    return algorithm


def kl_weight(config: Config, algorithm: Algorithm) -> float:
    """trainer.kl where it is set, else the algorithm's own."""
    return algorithm.loss.kl if config.trainer.kl is None else config.trainer.kl

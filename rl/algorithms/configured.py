"""The algorithm of a whole configuration, checked against its plan."""

from __future__ import annotations

import dataclasses

from rl.algorithms import build_algorithm
from rl.algorithms.base import Algorithm, LossOptions, Savings
from rl.config.schema import Config, ConfigError
from rollout.modes import ForcedShare, make_plan


def configured_algorithm(config: Config) -> Algorithm:
    """The algorithm that a run trains with. Raises `UserError`, also where `forced_switch: masked` meets a plan
    without free choices: nothing would train the judge."""
    algorithm, size = build_algorithm(config.algorithm), config.rollout.group_size
    if algorithm.loss.forced_switch == "masked" and _forces_all(config, algorithm.plan or config.rollout.forced):
        raise ConfigError(
            f"algorithm.forced_switch is 'masked' while the plan of {algorithm.name!r} forces all {size} rollouts of "
            "a group: nothing would train the judge; allowed: a forced share below 1 (rollout.forced.start and "
            "floor, forced_share of a stage, guard.floor), uncorrected or importance"
        )
    if algorithm.loss.forced_switch == "importance" and config.rollout.ahead:
        raise ConfigError(
            "algorithm.forced_switch is 'importance' with rollout.ahead 1: its weights are the probabilities of the "
            "policy that trains, and those known are a round old; allowed: uncorrected, masked, or ahead 0"
        )
    return algorithm


def _forces_all(config: Config, plan: ForcedShare) -> bool:
    """Whether some group of the run has no free choice: by its plan, a stage's share or the guard's."""
    size = config.rollout.group_size
    shares = [stage.forced_share for stage in config.stages if stage.forced_share is not None]
    shares += [config.guard.floor] if config.guard.action == "floor" else []
    return plan.ever_forces_all(size) or any(None not in make_plan(size, s, plan.least(size)) for s in shares)


def plan_lines(config: Config, algorithm: Algorithm) -> list[str]:
    """What is told before a run of settings that the algorithm's own plan replaces."""
    if algorithm.plan is None or config.rollout.forced == type(config.rollout.forced)():
        return []
    return [f"rollout.forced does nothing with {algorithm.name}, which says itself who is forced (docs/algorithms.md)"]


def configured_savings(config: Config, algorithm: Algorithm) -> Savings:
    """The algorithm's savings, as far as they are possible: a second draw needs a judge reward that decides by pass
    rates, and a round that is drawn when its turn comes. Raises `ConfigError` where it was asked for and is not."""
    savings = algorithm.savings or Savings()
    by_rates = any(entry.get("name") == "judge" and entry.get("target", "group") == "group" for entry in config.rewards)
    if not savings.direct_first or (by_rates and not config.rollout.ahead and not config.rollout.replay):
        return savings
    if config.algorithm.get("direct_first"):
        found = "rollout.ahead 1" if config.rollout.ahead else "rollout.replay" if config.rollout.replay else ""
        raise ConfigError(
            f"algorithm.direct_first is true with {found or 'no judge reward of target group'}, which leaves no second "
            "draw to decide on; allowed: false"
        )
    return dataclasses.replace(savings, direct_first=False)


def check_judge(config: Config, algorithm: Algorithm) -> None:
    """Raises `ConfigError` for step_srpo without a reward of step judge, and for prompts that state a mode where no
    advantage reads whether it was obeyed."""
    if config.rollout.tagged_share and algorithm.savings is None:
        raise ConfigError(
            f"rollout.tagged_share is {config.rollout.tagged_share} with algorithm.name {algorithm.name!r}, which does "
            "not read the judge reward that says whether a tag is obeyed; allowed: 0, step_srpo, or an algorithm of "
            "your own"
        )
    judges = [entry for entry in config.rewards if entry.get("step", entry.get("name")) == "judge"]
    if not judges and algorithm.name == "step_srpo" and algorithm.loss.judge_weight > 0:
        raise ConfigError(
            "algorithm.name is 'step_srpo' and no reward is of step judge: nothing would train the decision; allowed: "
            "{name: judge} in rewards, algorithm.judge_weight: 0, or an algorithm without a judge, such as grpo"
        )


def configured_loss(config: Config, algorithm: Algorithm) -> LossOptions:
    """The algorithm's loss options with the run's: clipping where the algorithm names none, and trainer.kl where it is
    set. Raises `UserError` where they contradict each other."""
    loss, trainer = algorithm.loss, config.trainer
    return dataclasses.replace(
        loss,
        clip_low=trainer.clip_low if loss.clip_low is None else loss.clip_low,
        clip_high=trainer.clip_high if loss.clip_high is None else loss.clip_high,
        kl=loss.kl if trainer.kl is None else trainer.kl,
    )

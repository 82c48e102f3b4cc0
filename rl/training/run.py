"""From a configuration to a running trainer: loading, checking, resuming, saving."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import GRPOConfig

from rewards.registry import Reward, build_rewards
from rl.algorithms.base import LossOptions
from rl.algorithms.configured import configured_algorithm, configured_loss, plan_lines
from rl.checks.model_check import check_model
from rl.checks.preflight import preflight
from rl.cold_start.gate import check_gate
from rl.config.contradictions import warmup_lines
from rl.config.read import save_config
from rl.config.schema import Config, ConfigError, longest_response
from rl.curriculum.phases import load_training_problems
from rl.curriculum.rehearsal import read_rehearsal
from rl.data.prompts import usable_problems
from rl.evaluation.probe import Probe
from rl.files.finished import EXACT, Work, begin, is_finished
from rl.files.json_lines import json_lines
from rl.files.outputs import hold
from rl.files.terminated import Terminated, at_the_next_step
from rl.models.adapters import fit_fused_head, lora_config
from rl.models.engines import check_sharded
from rl.models.loading import fsdp_arguments, trainer_arguments
from rl.models.location import trained_path
from rl.models.open import Policy, open_policy
from rl.models.protocols import keep_run_date
from rl.models.ranks import is_main, world_size
from rl.training.ahead import ahead_lines
from rl.training.callbacks import AfterUpdate
from rl.training.checkpoints import check_ranks, check_readable, last_complete, remove_incomplete, step_of
from rl.training.controls import flip_rewards
from rl.training.final import check_steps, finish
from rl.training.journal import Journal
from rl.training.trainer import StepSRPOTrainer
from rl.training.work import machine_settings, refuse_foreign, training_work
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout, RolloutGroup, group_rollouts, rollout_from_json

logger = logging.getLogger(__name__)


@dataclass
class Setup:
    """A run that has passed its checks and is ready to be trained."""

    config: Config
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    protocol: DecisionProtocol
    problems: list[Problem]
    rewards: list[Reward]
    recorded: dict[str, RolloutGroup] | None
    added: list[str] = field(default_factory=list)
    rehearsed: list[Rollout] = field(default_factory=list)


def set_up(config: Config, show: Callable[[str], None] = print) -> Setup:
    """Load and check everything. Raises a one-line `ValueError` subclass on what cannot work."""
    fsdp_arguments(config)
    check_sharded(config, world_size())
    rewards = build_rewards(config.rewards)
    algorithm = configured_algorithm(config)
    loss = configured_loss(config, algorithm)
    if config.history.resample == "mode_aware" and not any(reward.step == "judge" for reward in rewards):
        raise ConfigError("history.resample is 'mode_aware' without a judge reward; allowed: off, srpo")
    recorded = read_replay(config) if config.rollout.replay else None
    places: dict[str, str] = {}
    problems = [g.problem for g in recorded.values()] if recorded else load_training_problems(config, places)
    check_gate(config)
    path = trained_path(config)
    show(f"model: {path}")
    policy = open_policy(config, path, to_train=True)
    rising = warmup_lines("trainer", config.trainer.warmup_steps, config.trainer.steps)
    for line in (*policy.protocol.notes, *ahead_lines(config), *plan_lines(config, algorithm), *rising):
        show(line)
    check_model(config, policy.model, policy.tokenizer, show)
    problems = preflight(config, problems, policy.protocol, rewards, policy.own_engine, show, places)
    rehearsed = rehearsed_rows(config, loss, policy, path, show)
    return Setup(
        config, policy.model, policy.tokenizer, policy.protocol, problems, rewards, recorded, policy.added, rehearsed
    )


def rehearsed_rows(
    config: Config, loss: LossOptions, policy: Policy, path: str, show: Callable[[str], None]
) -> list[Rollout]:
    """The rows of the cold start at `path` that RL trains again, none where it does not. Raises `ConfigError` where
    they are asked for and there are none."""
    if not loss.rehearsal:
        return []
    longest = config.rollout.max_prompt_tokens + longest_response(config)
    rows, line = read_rehearsal(Path(path), policy.protocol, policy.model.config.get_text_config().vocab_size, longest)
    if not rows and "rehearsal" in config.algorithm:
        raise ConfigError(
            f"algorithm.rehearsal is {loss.rehearsal} and {line}; allowed: 0, or rows of both modes, as a cold start "
            "leaves them beside its model (scripts/cold_start.py; an older one made anew with resume=never)"
        )
    show(f"rehearsal: {'' if rows else 'none: '}{line}")
    return rows


def read_replay(config: Config) -> dict[str, RolloutGroup]:
    """Recorded groups by problem id. Raises `ConfigError` when a group has another size than the configured one; a
    smaller one is whole where nobody was forced to think (rl/training/direct_first.py)."""
    path, size = Path(config.rollout.replay), config.rollout.group_size
    if not path.is_file():
        raise ConfigError(f"rollout.replay {str(path)!r} is no file (looked in {Path.cwd()})")
    rollouts = []
    for number, row in json_lines(path):
        try:
            rollouts.append(rollout_from_json(row))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"rollout.replay {str(path)!r}, line {number}: no rollout ({error})") from error
    groups = group_rollouts(rollouts)
    for group in groups:
        thoughts = any(rollout.forced == "think" for rollout in group.rollouts)
        if len(group.rollouts) > size or (thoughts and len(group.rollouts) < size):
            raise ConfigError(
                f"rollout.replay {str(path)!r}: problem {group.problem.id!r} has {len(group.rollouts)} rollouts; "
                f"allowed: rollout.group_size, {size}, or fewer where none was forced to think"
            )
    return {group.problem.id: group for group in groups}


def batch_shape(config: Config, ranks: int) -> tuple[int, int]:
    """(rows a micro-batch, micro-batches a step) on each rank. Raises `ConfigError` when groups would be split."""
    trainer, size = config.trainer, config.rollout.group_size
    if trainer.prompts_per_step % ranks:
        raise ConfigError(
            f"trainer.prompts_per_step is {trainer.prompts_per_step} on {ranks} ranks; allowed: a multiple of {ranks}, "
            "so that no group is split over ranks"
        )
    rows = trainer.prompts_per_step // ranks * size
    micro = trainer.micro_batch or rows
    if rows % micro:
        raise ConfigError(f"trainer.micro_batch is {micro}; allowed: a divisor of the {rows} rows of a rank")
    return micro, rows // micro


def grpo_config(config: Config, ranks: int) -> GRPOConfig:
    """TRL's arguments: shapes, optimizer, places. The loss is ours (rl/training/loss.py), and so is the reference."""
    trainer, rollout = config.trainer, config.rollout
    micro, accumulation = batch_shape(config, ranks)
    return GRPOConfig(
        output_dir=str(Path(config.run_dir) / "checkpoints"),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation,
        num_generations=rollout.group_size,
        num_iterations=trainer.iterations,
        max_completion_length=longest_response(config),
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        max_steps=trainer.steps,
        adam_epsilon=trainer.adam_epsilon,
        max_grad_norm=trainer.max_grad_norm,
        beta=0.0,
        save_strategy="steps",
        save_steps=trainer.save_every,
        save_total_limit=trainer.keep_checkpoints,
        logging_steps=1,
        **trainer_arguments(config, trainer),
    )


def build_trainer(setup: Setup, ranks: int, journal: Journal | None = None) -> StepSRPOTrainer:
    """The trainer of a checked run; it tells `journal` what happens."""
    config = setup.config
    trainer = StepSRPOTrainer(
        config=config,
        model=setup.model,
        tokenizer=setup.tokenizer,
        args=grpo_config(config, ranks),
        problems=setup.problems,
        protocol=setup.protocol,
        rewards=flip_rewards(setup.rewards, config.control.flip_rewards, config.seed),
        algorithm=configured_algorithm(config),
        recorded=setup.recorded,
        peft_config=lora_config(config, setup.model, setup.tokenizer, setup.added),
        rehearsed=setup.rehearsed,
    )
    fit_fused_head(trainer.model)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(AfterUpdate(trainer, journal or Journal(), _probe(setup)))
    return trainer


def _probe(setup: Setup) -> Probe | None:
    if setup.config.evaluation.every <= 0:
        return None
    return Probe(setup.config, usable_problems(setup.config, "test", setup.protocol), setup.protocol, setup.rewards)


def train(setup: Setup) -> Path:
    """Train from the last complete checkpoint (or the start) to the end; returns the folder of the final model. A
    finished run is left as it is. Raises `UserError` when the run in this folder was made with other settings, and
    `Terminated` after a SIGTERM, when the step under way is done and saved."""
    config, work, journal = setup.config, training_work(setup.config), Journal()
    if config.resume == "auto":
        refuse_foreign(work)
    if is_finished(work, config.resume):
        return work.product
    if is_main():
        hold(Path(config.run_dir) / "training")
    trainer = build_trainer(setup, world_size(), journal)
    checkpoints = Path(config.run_dir) / "checkpoints"
    resume = last_complete(checkpoints) if config.resume == "auto" else None
    trainer.accelerator.wait_for_everyone()
    check_steps(config, step_of(resume) if resume else 0)
    if resume:
        check_readable(resume)
        check_ranks(resume, world_size(), bool(config.trainer.deepspeed))
        trainer.load_state(resume)
    try:
        if is_main():
            _open_run(config, work, journal, resume, trainer.accelerator.device.type)
        trainer.accelerator.wait_for_everyone()
        _go_on(trainer, config, work, journal, resume)
    except UserError as error:
        journal.alarm(f"the run has ended: {error}")
        raise
    finally:
        journal.close()
    return work.product


def _open_run(config: Config, work: Work, journal: Journal, resume: Path | None, device: str) -> None:
    """Write down what the run is made with and say what it goes on from. Call it on one process."""
    changed = begin(work, config.resume, **machine_settings(config, world_size(), device))
    removed = remove_incomplete(Path(config.run_dir) / "checkpoints")
    save_config(config, Path(config.run_dir) / "config.json")
    keep_run_date(config)
    journal.open(config, step_of(resume) if resume else 0)
    for line in (*(f"training: {line}" for line in changed), *removed):
        journal.line(line)
    if resume:
        journal.line(f"resuming from {resume}{EXACT if changed else ''}")


def _go_on(trainer: StepSRPOTrainer, config: Config, work: Work, journal: Journal, resume: Path | None) -> None:
    """Train what is left and save the final model."""
    state, step = trainer.rounds.state, step_of(resume) if resume else 0
    if step < config.trainer.steps and not state.over:
        with at_the_next_step():
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        trainer.rounds.engine.close()
        step = trainer.state.global_step
        if trainer.terminated and step < config.trainer.steps and not state.over:
            journal.line(f"SIGTERM: step {step} is saved in {work.product.parent / 'checkpoints'}")
            raise Terminated
    if is_main() and not state.skips.stopped:
        finish(config, work)
    trainer.accelerator.wait_for_everyone()
    if state.skips.stopped:
        raise UserError(state.skips.stopped)

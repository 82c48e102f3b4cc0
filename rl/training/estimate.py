"""How long a run takes and how much it needs: one round and one update, timed on the model of the run.

The round has all its rows but short responses; what a full-length response costs is worked out from it, so the hours
are those of a run whose every response is as long as it may be. Nothing of it is kept: it is for `--dry-run`.
"""

from __future__ import annotations

import dataclasses
import math
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback

from rl.config.schema import Config, ConfigError, longest_response
from rl.models.ranks import world_size
from rl.training.run import Setup, build_trainer

SHORT = 64
ADAM_BYTES = 8  # two float32 moments a trained weight
ADAPTER_BYTES = 4  # PEFT keeps adapters in float32
GIB = 2**30


@dataclass(frozen=True)
class Timed:
    """One round of `rows` rollouts and its update, in seconds; `prompt` and `response` are mean tokens of a row."""

    rows: int
    prompt: float
    response: float
    rollout: float
    reward: float
    update: float

    def at(self, response: int) -> Timed:
        """The same with responses of this length: decoding goes with their tokens, the update with all of a row's."""
        longer = response / max(self.response, 1.0)
        whole = (self.prompt + response) / max(self.prompt + self.response, 1.0)
        return dataclasses.replace(self, response=response, rollout=self.rollout * longer, update=self.update * whole)


class _Clock(TrainerCallback):
    """The seconds of the one step."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds = -time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter()


def estimate(setup: Setup, show: Callable[[str], None] = print) -> None:
    """Time a round and an update of a checked run and say what follows. The model is not what it was afterwards.
    Raises `ConfigError` when the disk has no room for the checkpoints."""
    config = setup.config
    needed, free = checkpoint_bytes(config, setup.model), free_bytes(Path(config.run_dir))
    show(f"checkpoints: {needed / GIB:.3g} GiB at most, {free / GIB:.0f} GiB free at {config.run_dir}")
    if needed > free:
        raise ConfigError(
            f"the run's checkpoints need {needed / GIB:.1f} GiB, {free / GIB:.1f} GiB are free; allowed: another "
            "run_dir, a smaller trainer.keep_checkpoints, or model.lora"
        )
    if world_size() > 1 or config.trainer.deepspeed:
        show("time: not measured on several ranks or with DeepSpeed; one rank without it says what one takes")
        return
    timed = time_round(setup)
    for line in time_lines(config, timed, len(setup.problems)):
        show(line)
    show(f"peak memory: {peak_bytes() / GIB:.2f} GiB")


def time_round(setup: Setup) -> Timed:
    """One round with responses of at most `SHORT` tokens, and its update."""
    config, clock = setup.config, _Clock()
    with tempfile.TemporaryDirectory() as folder:
        short = dataclasses.replace(
            config,
            run_dir=folder,
            stages=[],
            rollout=dataclasses.replace(
                config.rollout, engine="hf", max_new_tokens=min(SHORT, config.rollout.max_new_tokens)
            ),
            trainer=dataclasses.replace(config.trainer, steps=1, iterations=1, save_every=1, warmup_steps=0),
            evaluation=dataclasses.replace(config.evaluation, every=0),
        )
        trainer = build_trainer(dataclasses.replace(setup, config=short), 1)
        trainer.args.save_strategy = "no"
        trainer.add_callback(clock)
        trainer.train()
    round_ = trainer.round
    assert round_ is not None
    rollouts = [rollout for group in round_.groups for rollout in group.rollouts]
    generated, scored = round_.seconds["time/rollout"], round_.seconds["time/reward"]
    return Timed(
        len(rollouts),
        sum(len(r.prompt_ids) for r in rollouts) / len(rollouts),
        sum(len(r.completion_ids) for r in rollouts) / len(rollouts),
        generated,
        scored,
        max(clock.seconds - generated - scored, 0.0),
    )


def time_lines(config: Config, timed: Timed, problems: int) -> list[str]:
    """Seconds a step, and the hours of each stage were every response at its cap."""
    trainer, cap = config.trainer, longest_response(config)
    full = timed.at(cap)
    rounds = -(-trainer.steps // trainer.iterations)
    training = rounds * (full.rollout + full.reward) + trainer.steps * full.update
    answers = full.rollout / full.rows
    gears = config.cold_start.gears
    tuning = gears.manual_steps + gears.automatic_steps or config.cold_start.steps
    cold = tuning * config.cold_start.batch * full.update / full.rows
    probes = rounds // config.evaluation.every + 2 if config.evaluation.every else 0
    measured = 3 * (2 * config.evaluation.problems + probes * config.evaluation.probe) * answers
    labels = 2 * config.label.samples * (config.label.problems or problems) * answers
    spent = timed.rollout + timed.reward + timed.update
    return [
        f"a step of {timed.rows} rollouts: {spent:.1f} s at {timed.response:.0f} tokens a response (rollouts "
        f"{timed.rollout:.1f}, rewards {timed.reward:.1f}, update {timed.update:.1f}), timed with the engine hf",
        f"a step with every response at its cap of {cap} tokens: {full.rollout + full.reward + full.update:.1f} s",
        f"at most: RL {hours(training)} ({trainer.steps} steps), cold start {hours(cold)} ({tuning} steps), "
        f"evaluations {hours(measured)}, labels of the pipeline {hours(labels)}, together "
        f"{hours(training + cold + measured + labels)}",
    ]


def hours(seconds: float) -> str:
    """Seconds as hours, or minutes below one.

    >>> hours(90), hours(5400)
    ('1.5 minutes', '1.5 hours')
    """
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"


def checkpoint_bytes(config: Config, model: PreTrainedModel) -> int:
    """What the checkpoints that are kept and the final model take: weights and, in checkpoints, the optimizer; of a run
    with adapters, if every matrix had them, those alone and the embeddings, which PEFT saves beside them where the
    vocabulary grew. One more checkpoint is there while the oldest is not yet removed."""
    final = saved = sum(map(_bytes, model.parameters()))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if rank := config.model.lora.rank:
        trained = sum(rank * sum(p.shape[-2:]) * math.prod(p.shape[:-2]) for p in model.parameters() if p.ndim > 1)
        layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
        saved = trained * ADAPTER_BYTES + sum(map(_bytes, {layer.weight for layer in layers if layer is not None}))
    return (config.trainer.keep_checkpoints + 1) * (saved + trained * ADAM_BYTES) + final


def _bytes(weights: torch.Tensor) -> int:
    return weights.numel() * weights.element_size()


def free_bytes(folder: Path) -> int:
    """What is free where the folder is or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def peak_bytes() -> int:
    """The most memory so far: the accelerator's, or this process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

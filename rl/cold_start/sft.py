"""One supervised fine-tuning with TRL's `SFTTrainer`, on one rank or several: resumes, finishes, is not done twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import reduce
from datasets import Dataset
from tqdm import tqdm
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer

from rl.checks.model_check import check_cold_start
from rl.cold_start.examples import Row
from rl.config.contradictions import warmup_lines
from rl.config.schema import Config, ConfigError
from rl.curriculum.rehearsal import keep_rehearsal
from rl.files.atomic import clear_part, complete_folder, part_of
from rl.files.finished import EXACT, Work, begin, is_finished, move_aside, read_record, settings_of
from rl.files.outputs import hold
from rl.files.terminated import Terminated, asked, at_the_next_step
from rl.models.adapters import fit_fused_head, lora_config, save_plain
from rl.models.loading import trainer_arguments
from rl.models.location import GATE
from rl.models.open import Policy, open_policy
from rl.models.protocols import keep_run_date
from rl.models.ranks import is_main, world_size
from rl.training.checkpoints import check_readable, last_complete, mark_complete, remove_incomplete, step_of
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol

LINES = 10


class ProgressLine(TrainerCallback):
    """On the main rank a progress bar over the steps and a line with the loss every so often; and the end mark of a
    checkpoint, written when all of it is there. After a SIGTERM on any rank all of them save and stop."""

    def __init__(self, steps: int, title: str) -> None:
        self.title, self.terminated = title, False
        self.bar = tqdm(total=steps, desc=title, unit="step", dynamic_ncols=True, disable=not is_main())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)
        told = reduce(torch.tensor(float(asked()), device=args.device), reduction="sum")
        self.terminated = bool(told > 0) and state.global_step < state.max_steps
        if self.terminated:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if is_main() and logs and "loss" in logs:
            loss = float(logs["loss"])
            self.bar.write(f"{self.title} step {state.global_step}/{state.max_steps} | loss {loss:.3f}")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if is_main():
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark_complete(folder, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()


def fine_tune(
    config: Config,
    work: Work,
    rows: Callable[[DecisionProtocol], Iterable[Row]],
    steps: int,
    *,
    source: str = "",
    title: str = "cold start",
    kept: int = 0,
) -> Path:
    """Fine-tune the model at `source` (default: the configured one) on `rows`, save it as the product of `work` and
    return that path. A finished one is left alone, a killed one goes on from its last complete checkpoint. So many
    checkpoints, evenly spaced, are `kept` beside it; with 0 none is. Raises `Terminated` after a SIGTERM, when the step
    under way is done and saved."""
    checkpoints = work.product.parent / "checkpoints"
    if is_finished(work, config.resume):
        if is_main():
            print(f"{title}: already finished ({work.product})")
        return work.product
    if config.resume == "auto" and (resume := last_complete(checkpoints)):
        check_readable(resume)
        _check_recorded(work, resume)
    if is_main():
        hold(work.product)
    policy = _opened(config, source, title)
    if is_main():
        for line in warmup_lines("cold_start", config.cold_start.warmup_steps, steps):
            print(f"{title}: {line}")
    progress = ProgressLine(steps, title)
    learned = list(rows(policy.protocol))
    trainer = _trainer(config, policy, learned, sft_config(config, checkpoints, steps, kept), progress)
    start = _checkpoint(config, trainer, work, checkpoints)
    with at_the_next_step():
        trainer.train(resume_from_checkpoint=start)
    if progress.terminated:
        raise Terminated
    _save(trainer, work.product, None if kept else checkpoints, learned, config.seed)
    return work.product


def _check_recorded(work: Work, checkpoint: Path) -> None:
    """Raises `UserError` for a checkpoint of which nothing says what it was made with: it may be another task's."""
    if not read_record(work):
        raise UserError(
            f"{checkpoint} is there, and no {work.record} says what it was made with; allowed: that file back, another "
            f"run_dir, or resume=never, which moves it to {work.product.parent / 'old'}/TIME"
        )


def _trainer(
    config: Config, policy: Policy, rows: list[Row], arguments: SFTConfig, progress: ProgressLine
) -> SFTTrainer:
    trainer = SFTTrainer(
        model=policy.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=policy.tokenizer,
        peft_config=lora_config(config, policy.model, policy.tokenizer, policy.added),
        callbacks=[progress],
    )
    fit_fused_head(trainer.model)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def _opened(config: Config, source: str, title: str) -> Policy:
    """The policy to tune, checked; what was found is printed."""
    show = (lambda line: print(f"{title}: {line}")) if is_main() else lambda line: None
    policy = open_policy(config, source, to_train=True)
    if config.protocol.add_tokens:
        show(f"added tokens {', '.join(policy.added) or 'none'}")
    check_cold_start(config, policy.model, policy.tokenizer, show)
    if is_main():
        keep_run_date(config)
    for line in policy.protocol.notes:
        show(line)
    return policy


def _checkpoint(config: Config, trainer: SFTTrainer, work: Work, folder: Path) -> str | None:
    """Where to go on from. The ranks agree on it before the main one writes down what the work is made with and clears
    away what a kill left half written."""
    resume = last_complete(folder) if config.resume == "auto" else None
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        machine = {"ranks": world_size(), "device": trainer.accelerator.device.type}
        changed = begin(work, config.resume, **machine, **settings_of(config, ["cold_start.micro_batch"]))
        told = (*changed, *remove_incomplete(folder))
        print("".join(f"{work.name}: {line}\n" for line in told), end="")
        if resume:
            print(f"resuming from {resume} (step {step_of(resume)}){EXACT if changed else ''}")
    trainer.accelerator.wait_for_everyone()
    return str(resume) if resume else None


def _save(trainer: SFTTrainer, folder: Path, checkpoints: Path | None, rows: Sequence[Row], seed: int) -> None:
    """The model in full or not at all, rows that RL may rehearse beside it; then these checkpoints have done their
    work."""
    if trainer.accelerator.is_main_process:
        clear_part(folder)
    trainer.accelerator.wait_for_everyone()
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "merge_and_unload"):
        trainer.save_model(str(part_of(folder)))
    elif trainer.accelerator.is_main_process:
        save_plain(model, trainer.processing_class, part_of(folder))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        keep_rehearsal(part_of(folder), rows, seed)
        print("".join(f"{line}\n" for line in move_aside(Work("gate", folder.parent / GATE, {}))), end="")
        complete_folder(folder)
        if checkpoints:
            shutil.rmtree(checkpoints, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


def sft_config(config: Config, output: Path, steps: int, kept: int = 0) -> SFTConfig:
    """TRL's arguments; every option that shapes the loss is set. `cold_start.batch` counts over all ranks."""
    settings, ranks = config.cold_start, world_size()
    if settings.batch % 2:
        raise ConfigError(f"cold_start.batch is {settings.batch}; allowed: an even number, half of it a mode")
    micro = settings.micro_batch or max(1, settings.batch // max(2, ranks))
    if settings.batch % (micro * ranks):
        raise ConfigError(
            f"cold_start.micro_batch is {micro} on {ranks} rank(s); allowed: a divisor of cold_start.batch / ranks, "
            f"{settings.batch} / {ranks}"
        )
    return SFTConfig(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.batch // (micro * ranks),
        max_grad_norm=1.0,
        max_length=None,
        packing=False,
        loss_type="nll",
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=max(1, steps // LINES),
        save_strategy="steps" if settings.save_every or kept else "no",
        save_steps=steps // kept if kept else settings.save_every or 500,
        save_total_limit=None if kept else 2,
        **trainer_arguments(config, settings),
    )

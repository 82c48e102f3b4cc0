"""Supervised fine-tuning on the two-mode set with TRL's `SFTTrainer`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset
from tqdm import tqdm
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from rl.cold_start.examples import training_rows, worked_problems
from rl.config import Config, ConfigError
from rl.policy import add_decision_tokens, build_protocol, device_arguments, load_model, load_tokenizer
from rl.run_log import write_atomically

DONE = "done.json"
LINES = 10


class ProgressLine(TrainerCallback):
    """A progress bar over the steps and a line with the loss every so often."""

    def __init__(self, steps: int) -> None:
        self.bar = tqdm(total=steps, desc="cold start", unit="step", dynamic_ncols=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.bar.write(f"cold start step {state.global_step}/{state.max_steps} | loss {float(logs['loss']):.3f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()


def cold_start(config: Config) -> Path:
    """Fine-tune and save to `run_dir/cold_start/model`; returns that folder. Finished work is not done twice."""
    folder = Path(config.run_dir) / "cold_start"
    model_folder = folder / "model"
    if config.resume == "auto" and (folder / DONE).is_file():
        print(f"cold start: already done ({model_folder})")
        return model_folder
    tokenizer = load_tokenizer(config)
    model = load_model(config, tokenizer)
    if config.protocol.add_tokens:
        added = add_decision_tokens(config, tokenizer, model)
        print(f"cold start: added tokens {', '.join(added) or 'none'}")
    protocol = build_protocol(config, tokenizer)
    dataset = Dataset.from_list(list(training_rows(worked_problems(config), config, protocol)))
    trainer = SFTTrainer(
        model=model,
        args=sft_config(config, folder / "checkpoints"),
        train_dataset=dataset,
        processing_class=tokenizer,
        callbacks=[ProgressLine(config.cold_start.steps)],
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    checkpoint = get_last_checkpoint(str(folder / "checkpoints")) if (folder / "checkpoints").is_dir() else None
    trainer.train(resume_from_checkpoint=checkpoint if config.resume == "auto" else None)
    trainer.save_model(str(model_folder))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        write_atomically(folder / DONE, json.dumps({"steps": config.cold_start.steps}))
    return model_folder


def sft_config(config: Config, output: Path) -> SFTConfig:
    """TRL's arguments; every option that shapes the loss is set."""
    settings = config.cold_start
    if settings.batch % 2:
        raise ConfigError(f"cold_start.batch is {settings.batch}; allowed: an even number, half of it a mode")
    micro = settings.micro_batch or settings.batch // 2
    if settings.batch % micro:
        raise ConfigError(f"cold_start.micro_batch is {micro}; allowed: a divisor of cold_start.batch")
    return SFTConfig(
        output_dir=str(output),
        max_steps=settings.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.batch // micro,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=settings.adam_beta2,
        max_grad_norm=1.0,
        max_length=None,
        packing=False,
        loss_type="nll",
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=config.trainer.bf16,
        gradient_checkpointing=config.model.gradient_checkpointing,
        logging_steps=max(1, settings.steps // LINES),
        save_strategy="steps" if settings.save_every else "no",
        save_steps=settings.save_every or 500,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        **device_arguments(),
        seed=config.seed,
        data_seed=config.seed,
    )

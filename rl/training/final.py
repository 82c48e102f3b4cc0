"""The model that a run ends with, made from its last checkpoint alone: the same whether the run was killed or not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from rl.config.schema import Config
from rl.files.atomic import clear_part, complete_folder
from rl.files.finished import Work, move_to_old
from rl.models.inputs import files_of_model
from rl.models.loading import add_decision_tokens, load_tokenizer, read_model
from rl.models.location import trained_path
from rl.training.checkpoints import last_complete, step_of
from rollout.errors import UserError

MADE_FROM = "checkpoint.json"
ADAPTER = "adapter_config.json"
WEIGHTS = (".safetensors", ".bin")


def check_steps(config: Config, start: int) -> None:
    """Raises `UserError` where a run has gone further than it now shall."""
    if start > config.trainer.steps:
        raise UserError(
            f"the run in {config.run_dir} is at step {start} and trainer.steps is {config.trainer.steps}; allowed: "
            f"{start} or more, another run_dir, or resume=never"
        )


def finish(config: Config, work: Work) -> None:
    """Save what the last checkpoint holds as the run's model. One of fewer steps is moved aside; one of this checkpoint
    stays as it is. Call it on one process."""
    checkpoint = last_complete(Path(config.run_dir) / "checkpoints")
    if checkpoint is None:
        raise UserError(f"{config.run_dir} has no complete checkpoint to take the model from; allowed: resume=never")
    made = work.product / MADE_FROM
    if work.product.exists():
        if made.is_file() and json.loads(made.read_text(encoding="utf-8")) == {"step": step_of(checkpoint)}:
            return
        print(f"the model of before is now in {move_to_old(work.product.parent, [work.product])}")
    save_final(config, checkpoint, work.product)


def save_final(config: Config, checkpoint: Path, folder: Path) -> None:
    """The plain model of a checkpoint (adapters merged, on the CPU) and its tokenizer at `folder`, loadable by
    `AutoModelForCausalLM`, there in full or not at all. Call it on one process. Raises `UserError` where the checkpoint
    holds no whole weights."""
    files = [file for file in files_of_model(checkpoint) if not file.name.startswith("adapter_")]
    if not (checkpoint / ADAPTER).is_file() and not any(file.name.endswith(WEIGHTS) for file in files):
        raise UserError(
            f"{checkpoint} holds no whole weights; allowed: a trainer.deepspeed file with "
            "stage3_gather_16bit_weights_on_model_save: true"
        )
    part = clear_part(folder)
    (part / MADE_FROM).write_text(json.dumps({"step": step_of(checkpoint)}), encoding="utf-8")
    if (checkpoint / ADAPTER).is_file():
        merged(config, checkpoint).save_pretrained(part)
    for file in (*files, checkpoint / "generation_config.json"):
        if file.is_file() and not (part / file.name).exists():
            shutil.copyfile(file, part / file.name)
    complete_folder(folder)


def merged(config: Config, checkpoint: Path) -> Any:
    """The model that RL started from with a checkpoint's adapters in its weights."""
    unset_hf_deepspeed_config()  # under ZeRO-3 the model would be cut over ranks that do not take part
    source = trained_path(config)
    tokenizer = load_tokenizer(config, source)
    base = read_model(config, tokenizer, source)
    if config.protocol.add_tokens:
        add_decision_tokens(config, tokenizer, base)
    return PeftModel.from_pretrained(base, str(checkpoint)).merge_and_unload()

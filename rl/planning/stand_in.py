"""The dry run of a model that is not at hand: its sizes on torch's meta device, and one round and one update of a small
model of its kind in its place. What is not the run's own is said."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedConfig

from rewards.registry import build_rewards
from rl.algorithms.configured import configured_algorithm, configured_loss
from rl.config.schema import Config, DataConfig, ModelConfig, ProtocolConfig
from rl.planning.architecture import read_architecture
from rl.planning.plan import make_plan
from rl.training.estimate import time_round
from rl.training.run import batch_shape, set_up
from rl.worlds.model import build_tokenizer

WIDTH, HEADS, LAYERS, PROMPT, RESPONSE = 64, 4, 2, 48, 32


def dry_run(config: Config, gpus: int, gpu_bytes: int, show: Callable[[str], None] = print) -> bool:
    """All that can be checked without the model's files; whether the plan fits `gpus` training GPUs. Raises `UserError`
    on what cannot work."""
    rows, micro = batch_shape(config, gpus)
    build_rewards(config.rewards)
    configured_loss(config, configured_algorithm(config))
    architecture, _ = read_architecture(config)
    tokens = config.trainer.micro_tokens
    cut = f"cut at {tokens:,} padded tokens" if tokens else f"as {micro} times {rows}"
    show(f"a step on each of {gpus} {'ranks' if gpus > 1 else 'rank'}: {rows * micro} rows, {cut}")
    with tempfile.TemporaryDirectory() as folder:
        small = stand_in(config, architecture, Path(folder))
        timed = time_round(set_up(small, show=lambda line: None))
        kind = type(small_model(architecture)).__name__
    show(
        f"stand-in: a {kind} of {LAYERS} layers and width {WIDTH} with the embedded tokenizer, layout and problems "
        f"made a round of {timed.rows} rollouts and its update"
    )
    show(f"not checked: weights, tokenizer and template of {config.model.path}, data, rewards, engine, ranks")
    plan = make_plan(config, gpus, gpu_bytes)
    for line in plan.lines():
        show(line)
    return plan.fits


def small_model(architecture: PreTrainedConfig) -> Any:
    """A random model of this kind, small, over the embedded vocabulary."""
    tokenizer, values = build_tokenizer(), architecture.to_dict()
    groups = max(1, HEADS * values.get("num_key_value_heads", HEADS) // values["num_attention_heads"])
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": groups,
        "head_dim": WIDTH // HEADS,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    values = {key: value for key, value in values.items() if key != "layer_types"}
    return AutoModelForCausalLM.from_config(type(architecture).from_dict({**values, **sizes}))


def stand_in(config: Config, architecture: PreTrainedConfig, folder: Path) -> Config:
    """The run with a small model in `folder`, the embedded problems and short rows; how the update is made stays."""
    small_model(architecture).save_pretrained(folder / "policy")
    build_tokenizer().save_pretrained(folder / "policy")
    model, trainer, rollout = config.model, config.trainer, config.rollout
    limits: dict[str, Any] = {"max_new_tokens": RESPONSE, "max_prompt_tokens": PROMPT, "max_new_tokens_by_mode": {}}
    update: dict[str, Any] = {
        "prompts_per_step": 2,
        "micro_batch": 0,
        "deepspeed": "",
        "fsdp": False,
        "save_every": trainer.iterations,
    }
    if trainer.micro_tokens:
        update["micro_tokens"] = PROMPT + RESPONSE
    evaluation = dataclasses.replace(config.evaluation, every=0, max_new_tokens=RESPONSE)
    return dataclasses.replace(
        config,
        run_dir=str(folder / "run"),
        data=DataConfig(shares={"1": 0.5, "3": 0.5}, train_size=8, test_size=2),
        model=ModelConfig(
            path=str(folder / "policy"),
            dtype=model.dtype if model.lora.rank else "float32",
            gradient_checkpointing=model.gradient_checkpointing,
            lora=model.lora,
        ),
        protocol=ProtocolConfig(judge_patience=3),
        rewards=[{"name": "judge"}, {"name": "math"}, {"name": "format", "weight": 0.2}],
        rollout=dataclasses.replace(rollout, engine="hf", ahead=0, replay="", **limits),
        trainer=dataclasses.replace(trainer, **update),
        evaluation=evaluation,
        stages=[],
        cold_start=dataclasses.replace(config.cold_start, gate=dataclasses.replace(config.cold_start.gate, problems=0)),
        wandb=dataclasses.replace(config.wandb, mode="disabled"),
    )

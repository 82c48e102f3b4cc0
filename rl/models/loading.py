"""The policy: model, tokenizer and protocol of a run. `rl/models/location.py` says where its weights are."""

from __future__ import annotations

import datetime
import math
import os
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from rl.config.schema import ColdStartConfig, Config, ConfigError, TrainerConfig
from rl.data import is_tiny
from rl.models.location import model_location
from rl.models.protocols import find_layout
from rl.models.ranks import world_size
from rollout.chat import Chat
from rollout.layouts import ADDABLE, ProtocolError, required_tokens

# Bars for writing a file of a second; the bars of the run are our own.
transformers_logging.disable_progress_bar()


def load_tokenizer(config: Config, path: str = "") -> PreTrainedTokenizerBase:
    """The tokenizer of `path` (default: the configured model), with the configured chat template."""
    source = path or config.model.path
    if is_tiny(source):
        from rl.worlds.model import tokenizer_of

        return tokenizer_of(source)
    tokenizer: Any = _loaded(AutoTokenizer, config, source)
    if config.model.chat_template:
        file = Path(config.model.chat_template)
        if not file.is_file():
            raise ConfigError(f"model.chat_template {str(file)!r} is no file (looked in {Path.cwd()})")
        try:
            tokenizer.chat_template = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"model.chat_template {str(file)!r} is no text in UTF-8 (byte {error.start})") from error
    if tokenizer.pad_token_id is None:
        # Padding is masked: any token will do.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    tokenizer.padding_side = "left"
    return tokenizer


def load_model(
    config: Config, tokenizer: PreTrainedTokenizerBase, path: str = "", *, to_train: bool = False
) -> PreTrainedModel:
    """The model of `path` (default: the configured one) in the configured dtype, on this rank's accelerator. One
    `to_train` under DeepSpeed stays on the CPU: DeepSpeed places it, and when sharded it need not fit."""
    model = read_model(config, tokenizer, path or config.model.path)
    device = None if to_train and config.trainer.deepspeed else accelerator()
    return model if device is None else model.to(device)  # type: ignore[arg-type]


def read_model(config: Config, tokenizer: PreTrainedTokenizerBase, source: str) -> PreTrainedModel:
    """The model on the CPU."""
    if is_tiny(source):
        from rl.worlds.model import model_of

        return model_of(source, tokenizer, config.seed)
    dtype = getattr(torch, config.model.dtype)
    model: Any = _loaded(AutoModelForCausalLM, config, source, dtype=dtype, attn_implementation=config.model.attention)
    if source.startswith("gguf:"):
        # The weights are dequantised by now; the marks of the file's quantisation would forbid training them.
        model.hf_quantizer.remove_quantization_config(model)
    return model


def _loaded(kind: Any, config: Config, source: str, **options: Any) -> Any:
    """`kind.from_pretrained`. Whatever it raises is a `ConfigError` in one line: a missing file, an unknown type, code
    of the model's own, a kernel that is not there, a file that was cut off."""
    location = model_location(source)
    if kind is AutoModelForCausalLM and "gguf_file" not in location:
        # A pickle may name any function to call.
        options["use_safetensors"] = True
    try:
        return kind.from_pretrained(**location, **options, trust_remote_code=config.model.trust_remote_code)
    except Exception as error:  # libraries and the model's own code raise what they like
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it comes with code of its own; allowed: model.trust_remote_code: true, once you have read it"
        elif "model.safetensors" in reason:
            reason += "; allowed: weights as safetensors, which save_pretrained writes"
        elif any(word in str(error).lower() for word in ("attn", "attention", "flash")):
            reason += f"; model.attention is {config.model.attention!r}; allowed: sdpa, eager"
        raise ConfigError(
            f"model {source!r} cannot be loaded (looked in {Path.cwd()}): {reason} ({type(error).__name__})"
        ) from error


def add_decision_tokens(config: Config, tokenizer: PreTrainedTokenizerBase, model: Any) -> list[str]:
    """Add the protocol's missing decision tokens and grow the embeddings; returns the tokens added. Raises
    `ProtocolError` as `add_tokens` does."""
    missing = add_tokens(config, tokenizer)
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = {int(tokenizer(t, add_special_tokens=False)["input_ids"][0]) for t in missing} | {
        *range(rows, len(tokenizer))
    }
    if new:
        _new_rows(model, sorted(new))
    return missing


def add_tokens(config: Config, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Add the protocol's missing decision tokens to the tokenizer; returns them.

    They are no special tokens: a server shows them in its text, where it must cut at them. Raises `ProtocolError` for a
    line break or another ordinary text, which would no longer be read as text anywhere.
    """
    spec = find_layout(config, tokenizer).spec
    chat = Chat(tokenizer)
    missing = [text for text in required_tokens(spec) if not chat.is_token(text)]
    ordinary = [text for text in missing if not ADDABLE.fullmatch(text)]
    if ordinary:
        raise ProtocolError(
            f"protocol {spec.name!r} needs {ordinary[0]!r} as one token, which this tokenizer has not; "
            "protocol.add_tokens adds tags such as '<think>' alone; allowed: protocol.name: kat or one_token"
        )
    if missing:
        tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in missing])
    return missing


@torch.no_grad()
def _new_rows(model: Any, new_ids: list[int]) -> None:
    """New tokens start as random rows like the old ones: their mean plus noise of their spread in each dimension.

    The mean alone is shorter than any token's row: no hidden state can point at it, and fine-tuning first has to make
    all other tokens unlikely.
    """
    seeded = torch.Generator().manual_seed(0)
    layers = {layer.weight.data_ptr(): layer.weight for layer in _embeddings(model)}
    for weight in layers.values():
        old = weight[: min(new_ids)].float()
        noise = torch.randn(len(new_ids), old.shape[1], generator=seeded).to(old.device)
        weight[new_ids] = (old.mean(dim=0) + old.std(dim=0) * noise).to(weight.dtype)


def _embeddings(model: Any) -> list[Any]:
    return [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]


def accelerator() -> torch.device | None:
    """This rank's accelerator; None where there is none. Apple's has no float64, which drawing tokens needs: None."""
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if kind is None or kind.type == "mps":
        return None
    return torch.device(kind.type, int(os.environ.get("LOCAL_RANK", "0")))


def device_arguments() -> dict[str, Any]:
    """What transformers must be told where there is no accelerator: without it, ranks on a CPU never meet. Raises
    `ConfigError` where one process sees several GPUs: transformers would deal each batch to all of them."""
    if accelerator() is not None:
        count = torch.accelerator.device_count()
        if count > 1 and "WORLD_SIZE" not in os.environ:
            raise ConfigError(
                f"one process sees {count} GPUs; allowed: one GPU a process (torchrun --nproc_per_node={count}, or "
                "CUDA_VISIBLE_DEVICES=0)"
            )
        return {}
    return {"use_cpu": True, "ddp_backend": "gloo" if "WORLD_SIZE" in os.environ else None}


def trainer_arguments(config: Config, update: TrainerConfig | ColdStartConfig) -> dict[str, Any]:
    """What every trainer of a run is told alike: the optimizer of its section, precision, places, seeds, and to log
    and show nothing by itself."""
    meet_ranks(config)
    return {
        "learning_rate": update.learning_rate,
        "lr_scheduler_type": update.schedule,
        "warmup_steps": update.warmup_steps,
        "weight_decay": update.weight_decay,
        "adam_beta2": update.adam_beta2,
        "bf16": config.trainer.bf16,
        "gradient_checkpointing": config.model.gradient_checkpointing,
        "deepspeed": config.trainer.deepspeed or None,
        "ddp_timeout": math.ceil(config.trainer.rank_timeout),
        **fsdp_arguments(config),
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "ddp_find_unused_parameters": False,
        "seed": config.seed,
        "data_seed": config.seed,
        **device_arguments(),
    }


def meet_ranks(config: Config) -> None:
    """On a CPU transformers would leave the ranks to torch's own time-out, so they meet here, with the configured."""
    launched = world_size() > 1 and "MASTER_ADDR" in os.environ
    if launched and accelerator() is None and not torch.distributed.is_initialized():
        limit = datetime.timedelta(seconds=config.trainer.rank_timeout)
        torch.distributed.init_process_group("gloo", timeout=limit)


def fsdp_arguments(config: Config) -> dict[str, Any]:
    """FSDP2 through accelerate. Checkpoints hold whole tensors, so that they load on any number of ranks. Raises
    `ConfigError` where there is no accelerator: accelerate would train with plain data parallelism there."""
    if not config.trainer.fsdp:
        return {}
    if accelerator() is None:
        raise ConfigError(
            "trainer.fsdp is true and there is no GPU here, where accelerate would not shard anything; allowed: false, "
            "or trainer.deepspeed"
        )
    settings = {"fsdp_version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "state_dict_type": "FULL_STATE_DICT"}
    return {"fsdp": "full_shard", "fsdp_config": settings}


def rank_arguments() -> dict[str, Any]:
    """The same for accelerate's `PartialState`."""
    arguments = device_arguments()
    backend = arguments.get("ddp_backend")
    return ({"cpu": True} if arguments else {}) | ({"backend": backend} if backend else {})

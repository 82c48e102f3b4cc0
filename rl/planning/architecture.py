"""The model of a run without its weights: its architecture, and the model on torch's meta device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from rl.config.schema import Config, ConfigError
from rl.data import is_tiny
from rl.models.adapters import lora_config
from rl.models.location import model_location

WRITTEN_DOWN = Path(__file__).resolve().parents[2] / "configs" / "architectures"
CAUSAL = "causal_without_mask"


def read_architecture(config: Config) -> tuple[PreTrainedConfig, str]:
    """The architecture of `model.path`, and where it is from: the embedded model, a folder, `configs/architectures`, or
    the hub. Raises `ConfigError` where it cannot be had, and for a mixture of experts, whose work depends on its data.
    """
    path = config.model.path
    found: PreTrainedConfig
    file = WRITTEN_DOWN / f"{path.rpartition('/')[2].lower()}.json"
    if is_tiny(path):
        from rl.worlds.model import model_of, tokenizer_of

        found = model_of(path, tokenizer_of(path), 0).config
        source = "embedded"
    elif file.is_file() and not Path(path).is_dir():
        sizes = json.loads(file.read_text(encoding="utf-8"))
        source = f"sizes written down in configs/architectures/{file.name}"
        if other := sizes.pop("stand_in", ""):
            source += f", a stand-in: {other}"
        found = AutoConfig.for_model(**sizes)
    else:
        found, source = _published(config, path), path
    text = found.get_text_config()
    if any(getattr(text, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        raise ConfigError(f"model {path!r} is a mixture of experts; allowed: a dense model, whose work can be counted")
    return text, source


def _published(config: Config, path: str) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(**model_location(path), trust_remote_code=config.model.trust_remote_code)
    except (OSError, ValueError) as error:
        known = ", ".join(sorted(file.stem for file in WRITTEN_DOWN.glob("*.json")))
        raise ConfigError(
            f"the architecture of model {path!r} cannot be had ({str(error).strip().partition(chr(10))[0]}); allowed: "
            f"a folder or hub id with a config.json, or one of {known}"
        ) from error


def with_layers(architecture: PreTrainedConfig, layers: int) -> PreTrainedConfig:
    """The same with another number of layers."""
    values = {key: value for key, value in architecture.to_dict().items() if key != "layer_types"}
    return type(architecture).from_dict({**values, "num_hidden_layers": layers})


def on_meta(config: Config, architecture: PreTrainedConfig, dtype: torch.dtype) -> Any:
    """The model, with the run's adapters if it has any, on the meta device: every tensor has its shape and type and no
    memory. Attention is causal without a mask, as in training."""
    AttentionInterface.register(CAUSAL, _causal_attention)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(architecture, attn_implementation=CAUSAL, dtype=dtype)
        adapters = lora_config(config, model, None)
        if adapters is None:
            return model
        from peft import get_peft_model

        return get_peft_model(model, adapters)


def made_fake(model: torch.nn.Module) -> None:
    """Under `FakeTensorMode`: the tensors of a model on meta become fake ones of the CPU, tied ones stay tied."""
    made: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            new = torch.nn.Parameter(torch.empty(old.shape, dtype=old.dtype, device="cpu"), old.requires_grad)
            module.register_parameter(name, made.setdefault(id(old), new))
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu"))


def _causal_attention(
    module: Any, q: Any, k: Any, v: Any, mask: Any, scaling: Any = None, **_: Any
) -> tuple[Any, None]:
    """transformers' `sdpa` without a mask; with tensors that have no values it would make one, which is never there."""
    grouped = q.shape[1] != k.shape[1]
    out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=grouped)
    return out.transpose(1, 2).contiguous(), None

"""The policy's weights under the names of its checkpoint, for engines that are copies of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from peft import PeftModel
from torch.distributed.fsdp import FSDPModule
from trl.distributed import DistributedBackend
from trl.generation.vllm_generation import VLLMGeneration


class _Reader(VLLMGeneration):
    """TRL's weight reader without its engine."""

    def __init__(self, model: Any, accelerator: Any) -> None:
        self.model, self.accelerator, self._dist = model, accelerator, DistributedBackend(accelerator)


def policy_weights(model: Any, accelerator: Any) -> Iterable[tuple[str, torch.Tensor]]:
    """(checkpoint name, tensor) of every weight, adapters merged and shards gathered. Every rank must iterate to the
    end. A tensor is whole until the next one is asked for."""
    reader = _Reader(model, accelerator)
    unwrapped = accelerator.unwrap_model(model)
    if isinstance(unwrapped, PeftModel) and not (reader._dist.is_zero3 or reader._dist.is_fsdp):
        return _with_adapters(unwrapped)
    reshard(model)
    return ((name, tensor.detach()) for name, tensor in reader._iter_named_params())


def reshard(model: Any) -> None:
    """Give back what FSDP2 has gathered: after a forward pass without a backward one, such as a rollout's, its root
    holds whole tensors, which no reader of shards expects."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def kept_weights(model: Any, accelerator: Any) -> Iterable[tuple[str, torch.Tensor]]:
    """The same as copies, for a loader that holds on to one after the next is asked for."""
    return ((name, tensor.clone()) for name, tensor in policy_weights(model, accelerator))


def all_weights(model: Any, accelerator: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """`policy_weights` and whatever else a checkpoint holds."""
    yield from policy_weights(model, accelerator)
    unwrapped = accelerator.unwrap_model(model)
    plain = unwrapped.get_base_model() if isinstance(unwrapped, PeftModel) else unwrapped
    saved = plain.state_dict().keys()
    yield from (
        (name, buffer.detach()) for name, buffer in plain.named_buffers() if name in saved and not _of_an_adapter(name)
    )


def _with_adapters(model: PeftModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Each layer is merged alone and gets its very weights back: taking adapters out again leaves rounding behind,
    which would add up from one update to the next."""
    trained = {id(p) for name, p in model.named_parameters() if _of_an_adapter(name)}
    for name, parameter in model.named_parameters():
        if id(parameter) in trained:
            continue
        owner, found, _ = name.rpartition(".base_layer.")
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "").replace(".token_adapter", "")
        if not found:
            yield plain, parameter.detach()
            continue
        before = parameter.detach().clone()
        layer: Any = model.get_submodule(owner)
        layer.merge()
        try:
            yield plain, parameter.detach()
        finally:
            layer.unmerge()
            parameter.data.copy_(before)


def _of_an_adapter(name: str) -> bool:
    return any(part.startswith(("lora_", "trainable_tokens_")) for part in name.split("."))

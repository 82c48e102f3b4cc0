"""The bytes that a forward pass keeps for the backward pass, counted on a model without memory.

Everything that is saved grows with layers and with tokens alone (attention without a mask keeps no square), so that

    bytes = fixed + layer · layers + token · tokens + layer_token · layers · tokens

and four small sizes, one and two layers by 64 and 128 tokens, give all four numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedConfig

from rl.config.schema import Config
from rl.planning.architecture import made_fake, on_meta, with_layers
from rl.planning.saved import saved_bytes

LAYERS, TOKENS = (1, 2), (64, 128)


@dataclass(frozen=True)
class Activations:
    """The four numbers in bytes; `boundary`, bytes a token that a layer hands to the next; `cache`, bytes of keys and
    values a token in one layer."""

    fixed: float
    layer: float
    token: float
    layer_token: float
    boundary: float
    cache: float

    def kept(self, layers: int, tokens: int, checkpointing: bool) -> int:
        """Bytes at the end of a forward pass of these many padded tokens. With checkpointing the inputs of the layers
        and, in the backward pass, one layer's own."""
        outside, inside = self.fixed + self.token * tokens, self.layer + self.layer_token * tokens
        if checkpointing:
            return round(outside + inside + layers * tokens * self.boundary)
        return round(outside + layers * inside)


def count_activations(config: Config, architecture: PreTrainedConfig, dtype: torch.dtype) -> Activations:
    """Counted with the run's adapters and precision, on torch's fake tensors."""
    found = {(n, t): _counted(config, with_layers(architecture, n), dtype, t) for n in LAYERS for t in TOKENS}
    (one, two), (few, many) = LAYERS, TOKENS
    bytes_of = {size: saved for size, (saved, *_) in found.items()}
    by_layer = {t: (bytes_of[two, t] - bytes_of[one, t]) / (two - one) for t in TOKENS}
    layer_token = (by_layer[many] - by_layer[few]) / (many - few)
    token = (bytes_of[one, many] - bytes_of[one, few]) / (many - few) - one * layer_token
    layer = by_layer[few] - layer_token * few
    fixed = bytes_of[one, few] - one * by_layer[few] - token * few
    _, boundary, cache = found[one, few]
    return Activations(fixed, layer, token, layer_token, boundary / few, cache / few)


def _counted(config: Config, architecture: PreTrainedConfig, dtype: torch.dtype, tokens: int) -> tuple[int, int, int]:
    """Bytes saved, handed from layer to layer, and of keys and values, of one row."""
    model: Any = on_meta(config, architecture, dtype).train()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.autocast("cpu", torch.bfloat16, enabled=config.trainer.bf16):
        made_fake(model)
        backbone = (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model
        ids = torch.zeros(1, tokens, dtype=torch.long)
        with saved_bytes(model) as saved:
            hidden = backbone(input_ids=ids, use_cache=False).last_hidden_state
        with torch.no_grad():
            cache = backbone(input_ids=ids, use_cache=True).past_key_values
        pairs = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        return saved.bytes, hidden.nbytes, pairs // len(cache.layers)

"""Linear layers with their weights packed beforehand, for decoding on a CPU.

A decoding step multiplies a few rows with large weights. The product that PyTorch takes by default lays the weights out
anew in every call, so that six rows cost two thirds of what 32 do; oneDNN's takes weights laid out once and follows
the rows. The same numbers to rounding. Packing copies the weights once a generation; small models do not earn it back.

A layer is packed when it is first called, in the precision that it computes in there: float32, or bfloat16 where the
model runs under autocast (`trainer.bf16`) on a processor that has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import linear

# Weights of all linear layers from which on packing pays.
LEAST_WEIGHTS = 10_000_000
# The number of rows that the layout is made for; others are right too.
ROWS = 8


def can_pack() -> bool:
    """Whether this build of PyTorch has the operators, which are not part of its public interface."""
    operators = torch.ops.mkldnn
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    found = [hasattr(operators, name) for name in names]
    return bool(torch.backends.mkldnn.is_available()) and all(found)


@contextmanager
def packed_linears(model: torch.nn.Module, least: int = LEAST_WEIGHTS) -> Iterator[int]:
    """Inside, the float32 linear layers on the CPU that nobody else has changed use packed weights; their number is
    given. Only without gradients. With fewer than `least` weights, or where it is not possible, nothing is changed."""
    layers: list[Any] = [layer for layer in model.modules() if _is_plain(layer)] if can_pack() else []
    if sum(int(layer.weight.numel()) for layer in layers) < least:
        layers = []
    try:
        for layer in layers:
            layer.forward = _PackedLinear(layer)
        yield len(layers)
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _is_plain(layer: Any) -> bool:
    return (
        type(layer) is torch.nn.Linear
        and "forward" not in vars(layer)
        and layer.weight.dtype is torch.float32
        and layer.weight.device.type == "cpu"
        and layer.weight.numel() > 0
    )


class _PackedLinear:
    """The forward pass of one layer, its weights packed once for each precision that it is called in."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.packed: dict[torch.dtype, tuple[torch.Tensor, torch.Tensor | None]] = {}

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        cast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if cast else torch.float32
        if not _is_packable(dtype) or not (cast or values.dtype is dtype):
            return linear(values, self.layer.weight, self.layer.bias)
        if dtype not in self.packed:
            weight, bias = self.layer.weight.detach().to(dtype), self.layer.bias
            reordered = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
            self.packed[dtype] = reordered, None if bias is None else bias.detach().to(dtype)
        return torch.ops.mkldnn._linear_pointwise(values.to(dtype), *self.packed[dtype], "none", [], "")


def _is_packable(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies in this precision on this processor."""
    if dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype is torch.float32

"""Linear layers with their weights packed beforehand, for decoding on a CPU.

A decoding step multiplies a few rows with large weights. The product that PyTorch takes by default lays the weights out
anew in every call, so that six rows cost two thirds of what 32 do; oneDNN's takes weights laid out once and follows
the rows. The same numbers to rounding. Packing copies the weights once a generation; small models do not earn it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

# Weights of all linear layers from which on packing pays.
LEAST_WEIGHTS = 10_000_000
# The number of rows that the layout is made for; others are right too.
ROWS = 8


def can_pack() -> bool:
    """Whether this build of PyTorch has the two operators, which are not part of its public interface."""
    operators = torch.ops.mkldnn
    found = [hasattr(operators, name) for name in ("_reorder_linear_weight", "_linear_pointwise")]
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
            layer.forward = _packed(layer)
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


def _packed(layer: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
    return partial(_linear, weight, layer.bias)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")

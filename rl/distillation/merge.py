"""Merging checkpoints of one model, streamed over safetensors: one tensor of each is in memory at a time, and one shard
of the result.

    delta    Θ = Θ₀ + λ · mean_i(Θ_i − Θ₀)     the checkpoints of an iteration (openPangu-Embedded, arXiv 2505.22375)
    linear   Θ = Σ_i w_i Θ_i, Σ w_i = 1        model soups (arXiv 2203.05482)

Sums are taken in float32 and written in the checkpoints' own type. Rows that the checkpoints have and Θ₀ has not (added
tokens) have no delta: they become the mean of the checkpoints' rows. A head that is tied to the embeddings is stored
once by some and twice by others: it counts where all have it. Left out: adapters (merge them into their model first).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from rl.files.atomic import clear_part, complete_folder
from rollout.errors import UserError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
WEIGHT_FILES = (".safetensors", ".bin", ".pt", ".pth", ".index.json")
# What is said of one checkpoint alone: the threshold of its dial, where its training stood.
OWN_FILES = ("dial.json", "trainer_state.json", "complete.json")


class MergeError(UserError):
    """Models that cannot be merged; one line."""


class Weights:
    """The tensors of a model folder, read one at a time."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Raises `MergeError` for a folder without safetensors."""
        self.folder = folder
        if (folder / "adapter_config.json").is_file():
            raise MergeError(f"{folder} holds adapters; allowed: whole models (merge the adapters into theirs first)")
        if (folder / INDEX).is_file():
            places = _weight_map(folder / INDEX)
        elif (folder / SINGLE).is_file():
            places = {}
        else:
            raise MergeError(f"{folder} has no {SINGLE}; allowed: a model folder saved as safetensors")
        files = sorted(set(places.values())) or [SINGLE]
        self._open: dict[str, Any] = {}
        for name in files:
            try:
                self._open[name] = stack.enter_context(safe_open(folder / name, framework="pt"))
            except Exception as error:  # safetensors has an error of its own for a cut file
                raise MergeError(f"{folder / name} cannot be read: {' '.join(str(error).split())}") from error
        self.places = places or dict.fromkeys(self._open[SINGLE].keys(), SINGLE)

    def read(self, name: str) -> Tensor:
        """One tensor."""
        return self._open[self.places[name]].get_tensor(name)


def merge(
    checkpoints: Sequence[Path],
    out: Path,
    *,
    base: Path | None = None,
    scale: float = 1.0,
    weights: Sequence[float] = (),
) -> int:
    """Merge the checkpoints into the new folder `out`, with the tokenizer and configuration of the first; returns the
    number of tensors. With `base` their mean delta times `scale`, else a sum by `weights` (default: their mean). The
    folder appears when it is complete. Raises `MergeError`."""
    if not checkpoints:
        raise MergeError("no checkpoints to merge; allowed: one or more model folders")
    if out.exists():
        raise MergeError(f"{out} is there already; allowed: a new folder")
    shares = list(weights) or [1 / len(checkpoints)] * len(checkpoints)
    if not math.isfinite(scale):
        raise MergeError(f"scale is {scale}; allowed: a number")
    if base is None and (len(shares) != len(checkpoints) or not abs(sum(shares) - 1) <= 1e-6):
        raise MergeError(f"weights are {list(weights)}; allowed: one for each of {len(checkpoints)} models, sum 1")
    unfinished = clear_part(out)
    with ExitStack() as stack:
        models = [Weights(folder, stack) for folder in checkpoints]
        start = Weights(base, stack) if base else None
        names = _common(models, start)
        for shard in sorted({models[0].places[name] for name in names}):
            mine = [name for name in names if models[0].places[name] == shard]
            merged = {name: _merged(name, models, start, scale, shares) for name in mine}
            save_file(merged, unfinished / shard, metadata={"format": "pt"})
    if (checkpoints[0] / INDEX).is_file():
        _write_index(unfinished, models[0], names)
    for file in checkpoints[0].iterdir():
        if file.is_file() and not file.name.endswith(WEIGHT_FILES) and file.name not in OWN_FILES:
            shutil.copy2(file, unfinished / file.name)
    complete_folder(out)
    return len(names)


def delta_mean(start: Tensor, tensors: Sequence[Tensor], scale: float) -> Tensor:
    """Θ₀ + λ · mean_i(Θ_i − Θ₀) in float32; rows beyond those of Θ₀ are the mean of the tensors'."""
    total = torch.zeros_like(tensors[0], dtype=torch.float32)
    rows = len(start) if start.dim() else 0
    for tensor in tensors:
        total += tensor.float()
    total /= len(tensors)
    if start.shape == total.shape:
        return start.float() + scale * (total - start.float())
    total[:rows] = start.float() + scale * (total[:rows] - start.float())
    return total


def _merged(
    name: str, models: Sequence[Weights], start: Weights | None, scale: float, shares: Sequence[float]
) -> Tensor:
    tensors = [model.read(name) for model in models]
    first = tensors[0]
    for model, tensor in zip(models, tensors, strict=True):
        if tensor.shape != first.shape:
            raise MergeError(f"{name} is {_shape(tensor)} in {model.folder}; allowed: {_shape(first)} as in the first")
    if not first.is_floating_point():
        return first
    if start is None:
        total = torch.zeros_like(first, dtype=torch.float32)
        for tensor, share in zip(tensors, shares, strict=True):
            total += share * tensor.float()
        return total.to(first.dtype).contiguous()
    origin = start.read(name)
    if origin.shape != first.shape and not (origin.shape[1:] == first.shape[1:] and origin.numel() < first.numel()):
        raise MergeError(f"{name} is {_shape(origin)} in {start.folder}; allowed: {_shape(first)}, or fewer rows")
    return delta_mean(origin, tensors, scale).to(first.dtype).contiguous()


def _weight_map(index: Path) -> dict[str, str]:
    """Where each tensor is. Raises `MergeError` for an index that cannot be read."""
    try:
        return dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise MergeError(f"{index} cannot be read: {type(error).__name__} {error}") from error


def _common(models: Sequence[Weights], start: Weights | None) -> list[str]:
    """The names that all have. Raises `MergeError` on one that is missing somewhere and is no tied head."""
    everyone = [*models, *([start] if start else [])]
    names = sorted(set.intersection(*(set(model.places) for model in everyone)))
    for model in everyone:
        extra = sorted(set(model.places) - set(names))
        lost = [name for name in extra if not (name.endswith("lm_head.weight") and _is_tied(models[0].folder))]
        if lost:
            raise MergeError(f"{model.folder} has {lost[0]}, another has not; allowed: checkpoints of one model")
    return names


def _is_tied(folder: Path) -> bool:
    file = folder / "config.json"
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8")).get("tie_word_embeddings"))


def _write_index(folder: Path, model: Weights, names: Sequence[str]) -> None:
    size = sum((folder / shard).stat().st_size for shard in {model.places[name] for name in names})
    index = {"metadata": {"total_size": size}, "weight_map": {name: model.places[name] for name in names}}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"

"""The bytes that a forward pass keeps for its backward pass, counted where autograd saves them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef


@dataclass
class Saved:
    """Bytes of the storages that autograd has saved; each storage counts once, weights and buffers not at all."""

    bytes: int = 0
    seen: set[int] = field(default_factory=set)
    kept: list[torch.UntypedStorage] = field(default_factory=list)  # so that no address is used twice


@contextmanager
def saved_bytes(model: torch.nn.Module) -> Iterator[Saved]:
    """Counts while it is open. Storages are told apart by identity, so views of one tensor count once; works on
    tensors without memory as well (meta, fake)."""
    found = Saved()
    own = {_number(t.untyped_storage()) for t in (*model.parameters(), *model.buffers())}

    def pack(tensor: torch.Tensor) -> Any:
        storage = tensor.untyped_storage()
        number = _number(storage)
        if number not in own and number not in found.seen:
            found.seen.add(number)
            found.kept.append(storage)
            found.bytes += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found


def _number(storage: torch.UntypedStorage) -> int:
    """What tells storages apart that have no address."""
    return int(StorageWeakRef(storage).cdata)

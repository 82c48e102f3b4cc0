"""A key-value cache that grows in place and whose rows leave at the cost of one row.

transformers' `DynamicLayer` copies the whole cache for every token (`torch.cat`) and again for every row that leaves.
Here each layer keeps buffers with room for more tokens, written in place and enlarged by half when full, and the place
of a row that leaves is taken by the last one. Layers of other kinds (sliding windows, linear attention) keep
transformers' own way.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

FIRST_ROOM = 32


class GrowingLayer(DynamicLayer):
    """Keys and values (rows, heads, tokens, width) as views of larger buffers."""

    buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Append these tokens; returns all keys and values. Under autocast they are kept in its type: attention would
        otherwise cast the whole cache to it at every token."""
        kind = key_states.device.type
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            key_states, value_states = key_states.to(dtype), value_states.to(dtype)
        if self.get_seq_length() == 0:
            self.buffers = None
            return super().update(key_states, value_states, *args, **kwargs)
        assert self.keys is not None
        assert self.values is not None
        start, rows = self.keys.shape[-2], self.keys.shape[0]
        end = start + key_states.shape[-2]
        if self.buffers is None or end > self.buffers[0].shape[-2]:
            room = max(end + FIRST_ROOM, end * 3 // 2)
            self.buffers = (_with_room(self.keys, room), _with_room(self.values, room))
        keys, values = self.buffers
        keys[:rows, :, start:end], values[:rows, :, start:end] = key_states, value_states
        self.keys, self.values = keys[:rows, :, :end], values[:rows, :, :end]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Any) -> None:
        """Take these rows, as copies."""
        super().reorder_cache(beam_idx)
        self.buffers = None

    def move_rows(self, source: torch.Tensor, target: torch.Tensor, rows: int) -> None:
        """Copy rows `source` to the places `target` and keep the first `rows` rows."""
        assert self.keys is not None
        assert self.values is not None
        self.keys[target], self.values[target] = self.keys[source], self.values[source]
        self.keys, self.values = self.keys[:rows], self.values[:rows]


def _with_room(states: torch.Tensor, room: int) -> torch.Tensor:
    rows, heads, tokens, width = states.shape
    buffer = states.new_empty(rows, heads, room, width)
    buffer[:, :, :tokens] = states
    return buffer


class GrowingCache(DynamicCache):
    """transformers' cache for this model with `GrowingLayer` wherever it has a plain `DynamicLayer`."""

    def __init__(self, config: Any) -> None:
        super().__init__(config=config)
        self.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in self.layers]

    def keep_rows(self, order: list[int], device: torch.device) -> None:
        """Row k becomes the present row `order[k]`; places that keep their row are not touched."""
        moved = [(old, new) for new, old in enumerate(order) if old != new]
        source, target = torch.tensor(moved, device=device, dtype=torch.long).reshape(-1, 2).unbind(1)
        index: Any = torch.tensor(order, device=device)
        for layer in self.layers:
            if isinstance(layer, GrowingLayer):
                layer.move_rows(source, target, len(order))
            else:
                layer.reorder_cache(index)


def close_gaps(kept: list[int]) -> list[int]:
    """Which of the `kept` rows (ascending) takes each place, so that as few as possible move.

    >>> close_gaps([0, 2, 3, 5])
    [0, 5, 2, 3]
    """
    places = len(kept)
    movers = [row for row in kept if row >= places]
    staying = {row for row in kept if row < places}
    return [place if place in staying else movers.pop() for place in range(places)]

"""The order of prompts over a whole run, as one long epoch: resuming is skipping.

Each round draws `prompts` problems without repetition from a stream of shuffled passes over the data, writes each of
them `group_size` times in a row, and repeats that block `repeats` times, once for every micro-batch that TRL fetches
while it works on one generation. The order depends on the seed alone, so all ranks and all restarts agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from torch.utils.data import Sampler

from rollout.errors import UserError


class RoundSampler(Sampler[int]):
    """Row indices for `rounds` generations; see the module docstring."""

    def __init__(self, size: int, *, prompts: int, group_size: int, repeats: int, rounds: int, seed: int) -> None:
        if prompts > size:
            raise UserError(f"trainer.prompts_per_step is {prompts}; allowed: up to the {size} training problems")
        self.size, self.prompts, self.group_size = size, prompts, group_size
        self.repeats, self.rounds, self.seed = repeats, rounds, seed

    def __len__(self) -> int:
        return self.rounds * self.repeats * self.prompts * self.group_size

    def __iter__(self) -> Iterator[int]:
        stream = self._stream()
        for _ in range(self.rounds):
            block = self._draw(stream)
            rows = [index for index in block for _ in range(self.group_size)]
            for _ in range(self.repeats):
                yield from rows

    def _draw(self, stream: Iterator[int]) -> list[int]:
        block: dict[int, None] = {}
        while len(block) < self.prompts:
            block[next(stream)] = None
        return list(block)

    def _stream(self) -> Iterator[int]:
        rng = random.Random(f"prompt-order-{self.seed}")
        while True:
            yield from rng.sample(range(self.size), self.size)

"""The order of rows over a whole run, as one long epoch: resuming is skipping.

Each round writes every problem of its block `group_size` times in a row, and repeats that `repeats` times, once for
every micro-batch that TRL fetches while it works on one generation. Which problems a round has is
`rl/curriculum/prompt_order.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch.utils.data import Sampler

from rl.curriculum.prompt_order import PromptOrder


class RoundSampler(Sampler[int]):
    """Row indices for `rounds` generations; `rows` are the data set's rows by problem id."""

    def __init__(
        self, order: PromptOrder, rows: Mapping[str, int], *, group_size: int, repeats: int, rounds: int
    ) -> None:
        self.order, self.rows = order, rows
        self.group_size, self.repeats, self.rounds = group_size, repeats, rounds

    def __len__(self) -> int:
        return self.rounds * self.repeats * self.order.prompts * self.group_size

    def __iter__(self) -> Iterator[int]:
        for number in range(self.rounds):
            # Asked for once a round: later rounds must not change what the repeats hold.
            rows = [self.rows[name] for name in self.order.block(number) for _ in range(self.group_size)]
            for _ in range(self.repeats):
                yield from rows

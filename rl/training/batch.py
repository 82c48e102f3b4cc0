"""`StepBatch`: one generation as tensors, and how its rows are dealt to micro-batches. Shapes are in the names.

Rows stand at the left edge, prompt and completion in one piece: behind a causal mask what is padded at the right is
never seen, so attention needs no mask and positions begin at 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rl.algorithms.base import LossOptions
from rl.curriculum.rehearsal import rehearsed_tokens
from rl.training.batching import even_parts, like_lengths
from rl.training.masks import part_masks
from rollout.types import Rollout

Envelope = Callable[[Tensor], Sequence[int]]


class Part(NamedTuple):
    """Rows that go through the model together: how many, tokens of the longest, tokens of the shortest prompt."""

    rows: int
    longest: int
    first: int


@dataclass(frozen=True, eq=False)
class StepBatch:
    """B rollouts of L tokens at most, T of them completion at most; what the loss needs besides the model.

    `ids_BL` prompt and completion; `prompts_B` and `lengths_B` tokens of the prompt and of the whole row. `judge_BT` is
    A_judge at each judge token, `answer_B` A_answer. The masks are 1 at the trained tokens of each part, `sampled_BT`
    where the policy drew the token, `coin_BT` at a switch that a coin chose (forced_log_prob: half). `engine_BT` are
    the log-probabilities of an engine apart, `reference_BT` those of the starting model, `policy_old_BT` those of the
    policy that the round begins to train, None where there is none or not yet. `rehearsed_BT` is 1 at the tokens of the
    cold start that train again, None where none do.
    `parts`: which rows go through the model together, one part after the other.
    """

    ids_BL: Tensor
    prompts_B: Tensor
    lengths_B: Tensor
    judge_BT: Tensor
    answer_B: Tensor
    judge_mask_BT: Tensor
    answer_mask_BT: Tensor
    sampled_BT: Tensor
    coin_BT: Tensor
    engine_BT: Tensor | None = None
    reference_BT: Tensor | None = None
    policy_old_BT: Tensor | None = None
    rehearsed_BT: Tensor | None = None
    parts: tuple[Part, ...] = ()

    def rows(self, index: Tensor) -> StepBatch:
        """These rows, in this order, with no `parts` yet."""
        values: dict[str, Any] = {
            name: None if value is None else value[index] for name, value in self._tensors().items()
        }
        return dataclasses.replace(self, **values, parts=())

    def passes(self) -> list[StepBatch]:
        """Each part as a batch of its own."""
        ends = list(accumulate(part.rows for part in self.parts))
        starts = [0, *ends[:-1]]
        rows = [torch.arange(start, end, device=self.ids_BL.device) for start, end in zip(starts, ends, strict=True)]
        pairs = zip(self.parts, rows, strict=True)
        return [dataclasses.replace(self.rows(index), parts=(part,)) for part, index in pairs]

    def to(self, device: torch.device) -> StepBatch:
        """The batch on this device."""
        values: dict[str, Any] = {
            name: None if value is None else value.to(device) for name, value in self._tensors().items()
        }
        return dataclasses.replace(self, **values)

    def _tensors(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "parts"}

    def policy_old(self) -> Tensor:
        """The log-probabilities of the policy that generated. Raises `RuntimeError` before they are known."""
        if self.policy_old_BT is None:
            raise RuntimeError("the first pass over this batch has not been made")
        return self.policy_old_BT

    def ratio_old(self) -> Tensor:
        """The denominators of PPO's ratio, as log-probabilities: the policy that generated, ½ where a coin chose."""
        return self.policy_old().masked_fill(self.coin_BT, math.log(0.5))


def step_batch(
    rollouts: Sequence[Rollout],
    judge_B: Sequence[float],
    answer_B: Sequence[float],
    switch_weights_B: Sequence[float],
    options: LossOptions,
    *,
    pad_id: int,
    engine: bool,
) -> StepBatch:
    """The batch of these rollouts, on the CPU. `switch_weights_B` multiplies A_judge at each switch; `engine`: the
    recorded log-probabilities are those of an engine apart."""
    masks = [part_masks(rollout, options) for rollout in rollouts]
    judge_rows = []
    for rollout, judge, weight in zip(rollouts, judge_B, switch_weights_B, strict=True):
        row = [judge] * len(rollout.completion_ids)
        if rollout.switch_index is not None:
            row[rollout.switch_index] *= weight
        judge_rows.append(row)
    half = options.forced_log_prob == "half"
    coins = [
        [half and r.forced is not None and t == r.switch_index for t in range(len(r.completion_ids))] for r in rollouts
    ]
    return StepBatch(
        ids_BL=_padded([[*r.prompt_ids, *r.completion_ids] for r in rollouts], torch.long, pad_id),
        prompts_B=torch.tensor([len(r.prompt_ids) for r in rollouts]),
        lengths_B=torch.tensor([len(r.prompt_ids) + len(r.completion_ids) for r in rollouts]),
        judge_BT=_padded(judge_rows),
        answer_B=torch.tensor(answer_B, dtype=torch.float32),
        judge_mask_BT=_padded([judge_T for judge_T, _ in masks]),
        answer_mask_BT=_padded([answer_T for _, answer_T in masks]),
        sampled_BT=_padded([r.sampled or [1] * len(r.completion_ids) for r in rollouts]),
        coin_BT=_padded(coins, torch.bool),
        engine_BT=_padded([r.logprobs for r in rollouts]) if engine else None,
        rehearsed_BT=_padded([rehearsed_tokens(r) for r in rollouts]) if options.rehearsal else None,
    )


def micro_batches(
    batch: StepBatch, count: int, envelope: Envelope, price: float | None, most: int | None = None
) -> list[StepBatch]:
    """The rows in `count` micro-batches. With a `price`, that of a forward pass in tokens, of like size in tokens and
    cut into parts of like length, of at most `most` padded tokens each where one is given; without a price in the order
    given, each micro-batch one part. `envelope` gives the lengths that all ranks cut by, longest first."""
    rows = len(batch.lengths_B)
    if price is None:
        order_B, sizes = torch.arange(rows), [rows // count] * count
    else:
        order_B = batch.lengths_B.argsort(descending=True, stable=True)
        lengths = envelope(batch.lengths_B)
        sizes = even_parts(lengths, count)
    made, start = [], 0
    for size, index in zip(sizes, order_B.split(sizes), strict=True):
        parts = [size] if price is None else like_lengths(lengths[start : start + size], price, most)
        made.append(_parted(batch.rows(index), parts))
        start += size
    return made


def _parted(batch: StepBatch, sizes: Sequence[int]) -> StepBatch:
    """The batch with parts of these many rows."""
    pairs = zip(batch.lengths_B.split(list(sizes)), batch.prompts_B.split(list(sizes)), strict=True)
    parts = tuple(Part(len(lengths), int(lengths.max()), int(prompts.min())) for lengths, prompts in pairs)
    return dataclasses.replace(batch, parts=parts)


def _padded(rows: Sequence[Any], dtype: torch.dtype = torch.float32, fill: float = 0) -> Tensor:
    """Rows of unequal length as one tensor, filled up at the right."""
    padded = torch.full((len(rows), max(map(len, rows))), fill, dtype=dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = torch.as_tensor(row, dtype=dtype)
    return padded

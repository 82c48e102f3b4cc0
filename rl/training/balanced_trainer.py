"""TRL's GRPOTrainer with a cost that follows the real tokens of a step; the estimate stays as it is.

TRL pads every row to the longest prompt and the longest completion of the whole generation, and projects prompts and
padding through the language-model head where no Triton kernel is at hand. Here

  1. `_prepare_inputs`  regroups the rows that super() buffered into as many micro-batches of like size in tokens
  2. `_get_per_token_logps_and_entropies`  passes a micro-batch through super() in parts of like length, each padded to
     its own longest row, and puts the results back where the caller expects them

The loss of a micro-batch is one expression over all of its rows as before, so clipping, counts and TRL's metrics of a
micro-batch are unchanged; rows carry their advantages, masks and old log-probabilities with them. Requires a loss that
is a sum over tokens divided by a count over the whole step (`dapo`), which is what `rl.training.run.grpo_config` sets.

Rows are moved to the left edge: behind a causal mask padding at the right is never seen, so that attention needs no
mask and positions begin at 0. Left out: prompts are not shared in the update, and batches with images or a router loss
go to TRL as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from trl import GRPOTrainer

from rl.training.batching import envelope, even_parts, like_lengths

# What one more forward and backward pass costs, in tokens of its own, measured on a CPU. On a
# GPU it is the number of tokens below which launching kernels takes longer than they run.
FORWARD_PRICE = {"cpu": 48}
FORWARD_PRICE_ELSEWHERE = 2048


class BalancedGRPOTrainer(GRPOTrainer):
    """See the module docstring; `balance` False is TRL's own grouping and padding."""

    balance: bool = True

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if not self.balance or self._buffered_inputs is before or len(self._buffered_inputs) == 1:
            return inputs
        self._buffered_inputs = self._regrouped(self._buffered_inputs)
        return self._buffered_inputs[self._step % len(self._buffered_inputs)]

    def _regrouped(self, batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of all micro-batches in as many new ones, longest rows first."""
        whole = {
            key: torch.cat([batch[key] for batch in batches]) if _has_rows(value) else value
            for key, value in batches[0].items()
        }
        lengths_B = whole["prompt_mask"].sum(1) + whole["completion_mask"].sum(1)
        sizes = even_parts(self._envelope(lengths_B), len(batches))
        parts = lengths_B.argsort(descending=True, stable=True).split(sizes)
        return [{key: value[rows] if _has_rows(value) else value for key, value in whole.items()} for rows in parts]

    def _envelope(self, lengths_B: torch.Tensor) -> Any:
        """The lengths that all ranks cut by."""
        everyone = self.accelerator.gather(lengths_B) if self.accelerator.num_processes > 1 else lengths_B
        return envelope(everyone.view(-1, len(lengths_B)).tolist())

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if not self.balance or compute_aux_loss or any(value is not None for value in images.values()):
            return super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size,
                compute_entropy,
                compute_aux_loss,
                **images,
            )
        lengths_B = attention_mask.sum(1)
        price = FORWARD_PRICE.get(input_ids.device.type, FORWARD_PRICE_ELSEWHERE)
        order_B = lengths_B.argsort(descending=True, stable=True)
        found: list[tuple[torch.Tensor, ...]] = []
        for rows in order_B.split(like_lengths(self._envelope(lengths_B), price)):
            part = _Part(input_ids[rows], attention_mask[rows], logits_to_keep)
            with _completions_only(self._backbone(model), part.scored) as shortened:
                values = super()._get_per_token_logps_and_entropies(
                    shortened(model), part.ids, torch.ones_like(part.ids), part.scored, batch_size, compute_entropy
                )
            found.append(tuple(part.in_place(value) for value in values if value is not None))
        back_B = order_B.argsort()
        results = [torch.cat(values)[back_B] for values in zip(*found, strict=True)]
        return results[0], results[1] if compute_entropy else None, None

    def _backbone(self, model: Any) -> torch.nn.Module:
        """The part of a causal model below its language-model head."""
        unwrapped = self.accelerator.unwrap_model(model)
        return (unwrapped.get_base_model() if hasattr(unwrapped, "get_base_model") else unwrapped).base_model


def _has_rows(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0


class _Part:
    """Rows moved to the left edge and cut to the longest of them. `scored` counts the columns from the first
    completion token of any row on, for which log-probabilities are needed."""

    def __init__(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, completion: int) -> None:
        prompt = mask_BT.shape[1] - completion
        prompts_B = mask_BT[:, :prompt].sum(1, keepdim=True)
        width, first = int(mask_BT.sum(1).max()), int(prompts_B.min())
        columns = torch.arange(width, device=ids_BT.device)
        self.ids = ids_BT.gather(1, (prompt - prompts_B + columns).clamp(max=ids_BT.shape[1] - 1))
        self.scored = width - first
        self.mask = mask_BT[:, prompt:].bool()
        steps = torch.arange(completion, device=ids_BT.device)
        self.columns = (prompts_B - first + steps).clamp(max=self.scored - 1)

    def in_place(self, values: torch.Tensor) -> torch.Tensor:
        """Values of the scored columns as (rows, completion tokens), 0 where there is no token, as TRL has them."""
        return values.gather(1, self.columns).masked_fill(~self.mask, 0.0)


@contextmanager
def _completions_only(backbone: torch.nn.Module, scored: int) -> Iterator[Callable[[Any], Any]]:
    """While this holds, `backbone` hands the head the last `scored` + 1 positions only. Yields what wraps a model so
    that its labels are cut likewise."""

    def cut(module: Any, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, -(scored + 1) :]
        return output

    def shortened(model: Any) -> Callable[..., Any]:
        return lambda labels, **inputs: model(labels=labels[:, -(scored + 1) :], **inputs)

    handle = backbone.register_forward_hook(cut)
    try:
        yield shortened
    finally:
        handle.remove()

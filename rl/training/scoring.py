"""The log-probabilities of a micro-batch: the one place where a model scores tokens, policy and reference alike.

TRL's fused head gives log-probabilities and entropies without the logits of a whole micro-batch. A micro-batch passes
in parts of like length, each padded to its own longest row, and the head sees no column before the first completion
token of a part. The loss of a micro-batch is one expression over all its rows as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from rl.training.batch import StepBatch
from rollout.errors import UserError

# What one more forward and backward pass costs, in tokens of its own, measured on a CPU. On a
# GPU it is the number of tokens below which launching kernels takes longer than they run.
FORWARD_PRICE = {"cpu": 48}
FORWARD_PRICE_ELSEWHERE = 2048
IGNORED = -100


def forward_price(device: torch.device) -> float:
    """Tokens that one more forward and backward pass costs as much as."""
    return FORWARD_PRICE.get(device.type, FORWARD_PRICE_ELSEWHERE)


def check_router(model: Any) -> None:
    """Raises `UserError` for a mixture of experts whose router loss the head cannot compute."""
    config = model.config.get_text_config()
    missing = [name for name in ("num_experts", "num_experts_per_tok") if not hasattr(config, name)]
    if missing:
        raise UserError(
            f"the model {type(model).__name__} has a router loss (router_aux_loss_coef), but its config has no "
            f"{missing[0]} to compute it with; allowed: another model, or router_aux_loss_coef: 0 in its config.json"
        )


def token_scores(
    model: Any,
    backbone: torch.nn.Module,
    batch: StepBatch,
    autocast: Callable[[], AbstractContextManager[Any]],
    *,
    router: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(log-probabilities, entropies, router loss) of the completion tokens; the first two of shape (B, T), 0 where
    there is no token, entropies None where the model's head gives none. `backbone` is the part of `model` below its
    head. `router`: the load-balancing loss of a mixture of experts too, for which rows must not be parted."""
    steps = torch.arange(batch.judge_BT.shape[1], device=batch.ids_BL.device)
    tokens_BT = steps < (batch.lengths_B - batch.prompts_B).unsqueeze(1)
    parts = (len(batch.ids_BL),) if router else batch.parts
    found: list[list[Tensor | None]] = []
    start = 0
    for size in parts:
        rows = slice(start, start + size)
        start += size
        scores = _scored(model, backbone, batch, rows, autocast, router=router)
        columns_BT = (batch.prompts_B[rows].unsqueeze(1) - scores.first + steps).clamp(max=scores.width - 1)
        found.append(
            [
                None if values is None else values.gather(1, columns_BT).masked_fill(~tokens_BT[rows], 0.0)
                for values in (scores.log_probs, scores.entropy)
            ]
        )
    logps_BT, entropy_BT = (torch.cat(v) if v[0] is not None else None for v in zip(*found, strict=True))
    assert logps_BT is not None
    return logps_BT, entropy_BT, scores.aux_loss


class _Scores:
    """What the head gave for the columns from `first` on, the earliest completion token of the part."""

    def __init__(self, output: Any, first: int, width: int) -> None:
        self.log_probs, self.entropy, self.aux_loss = output.log_probs, output.entropy, output.aux_loss
        self.first, self.width = first, width


def _scored(
    model: Any, backbone: torch.nn.Module, batch: StepBatch, rows: slice, autocast: Any, *, router: bool
) -> _Scores:
    lengths_B, prompts_B = batch.lengths_B[rows], batch.prompts_B[rows]
    longest, first = int(lengths_B.max()), int(prompts_B.min())
    ids_BL, columns = batch.ids_BL[rows, :longest], torch.arange(longest, device=batch.ids_BL.device)
    is_token_BL = columns < lengths_B.unsqueeze(1)
    labels_BL = ids_BL.masked_fill(~is_token_BL | (columns < prompts_B.unsqueeze(1)), IGNORED)
    options = {"output_router_logits": True} if router else {}
    mask_BL = is_token_BL.long() if router else torch.ones_like(ids_BL)
    with _last_columns(backbone, longest - first + 1), autocast():
        output = model(
            input_ids=ids_BL,
            attention_mask=mask_BL,
            labels=labels_BL[:, first - 1 :],
            fused_lm_head=True,
            **options,
        )
    return _Scores(output, first, longest - first)


@contextmanager
def _last_columns(backbone: torch.nn.Module, count: int) -> Iterator[None]:
    """While this holds, `backbone` hands the head its last `count` positions only."""

    def cut(module: Any, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, -count:]
        return output

    handle = backbone.register_forward_hook(cut)
    try:
        yield
    finally:
        handle.remove()

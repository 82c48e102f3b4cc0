"""The log-probabilities of a micro-batch: the one place where a model scores tokens, policy and reference alike.

TRL's fused head gives log-probabilities and entropies without the logits of a whole micro-batch. A micro-batch passes
in parts of like length, each padded to its own longest row, and the head sees no column before the first completion
token of a part. The loss of a micro-batch is one expression over all its rows as before.

The head works in tiles of tokens by words of the vocabulary and holds some eight of them at once. On a CPU they are cut
to what its caches hold: at Qwen3's vocabulary, 1,600 tokens of width 128 then take 5.0 s instead of 12.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
import trl.trainer.utils
from torch import Tensor
from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE

from rl.training.batch import Part, StepBatch
from rl.training.decision import asked_labels, decision_logps
from rollout.errors import UserError

# What one more forward and backward pass costs, in tokens of its own, measured on a CPU. On a
# GPU it is the number of tokens below which launching kernels takes longer than they run.
FORWARD_PRICE = {"cpu": 48}
FORWARD_PRICE_ELSEWHERE = 2048
# A router's loss is one over all rows of a micro-batch, which therefore are not parted.
FORWARD_PRICE_WITH_ROUTER = 1e12
# Numbers in a tile of the head, and the fewest words in one (twice as many are one tile, which is as quick); elsewhere
# TRL's own width, made for a GPU's kernels.
HEAD_TILE = {"cpu": 2**21}
NARROWEST_TILE = 1024
IGNORED = -100


def forward_price(device: torch.device, *, router: bool) -> float:
    """Tokens that one more forward and backward pass costs as much as."""
    return FORWARD_PRICE_WITH_ROUTER if router else FORWARD_PRICE.get(device.type, FORWARD_PRICE_ELSEWHERE)


def check_router(model: Any, micro_tokens: int = 0) -> None:
    """Raises `UserError` for a mixture of experts whose router loss the head cannot compute, or would compute over
    fewer rows than a micro-batch."""
    if micro_tokens:
        raise UserError(
            f"trainer.micro_tokens is {micro_tokens} with a model whose router loss (router_aux_loss_coef) is one over "
            "all rows of a micro-batch; allowed: 0, and trainer.micro_batch instead"
        )
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
    lone_token: int | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(log-probabilities, entropies, router loss) of the completion tokens; the first two of shape (B, T), 0 where
    there is no token, entropies None where the model's head gives none. `backbone` is the part of `model` below its
    head. `router`: the load-balancing loss of a mixture of experts too, that of the last part. `lone_token`: the first
    completion token is a decision between this token and any other (rl/training/decision.py)."""
    steps = torch.arange(batch.judge_BT.shape[1], device=batch.ids_BL.device)
    tokens_BT = steps < (batch.lengths_B - batch.prompts_B).unsqueeze(1)
    found: list[tuple[Tensor | None, ...]] = []
    start, output = 0, None
    for part in batch.parts:
        rows = slice(start, start + part.rows)
        output = _passed(model, backbone, batch, rows, part, autocast, router=router, lone_token=lone_token)
        columns_BT = (batch.prompts_B[rows].unsqueeze(1) - part.first + steps).clamp(max=part.longest - part.first - 1)
        in_place = partial(_in_place, columns_BT, tokens_BT[rows])
        found.append((in_place(output.log_probs), None if output.entropy is None else in_place(output.entropy)))
        start += part.rows
    logps_BT = torch.cat([logps for logps, _ in found if logps is not None])
    if lone_token is not None:
        first_B = batch.ids_BL.gather(1, batch.prompts_B.unsqueeze(1)).squeeze(1)
        logps_BT = decision_logps(logps_BT, first_B, lone_token)
    entropies = [entropy for _, entropy in found if entropy is not None]
    return logps_BT, torch.cat(entropies) if entropies else None, output.aux_loss if output is not None else None


def _in_place(columns_BT: Tensor, tokens_BT: Tensor, values: Tensor) -> Tensor:
    """Values of a part's columns as (rows, completion tokens), 0 where there is no token."""
    return values.gather(1, columns_BT).masked_fill(~tokens_BT, 0.0)


def _passed(
    model: Any,
    backbone: torch.nn.Module,
    batch: StepBatch,
    rows: slice,
    part: Part,
    autocast: Any,
    *,
    router: bool,
    lone_token: int | None,
) -> Any:
    """What the head gives for a part, from its first completion token on."""
    ids_BL, columns = batch.ids_BL[rows, : part.longest], torch.arange(part.longest, device=batch.ids_BL.device)
    is_token_BL = columns < batch.lengths_B[rows].unsqueeze(1)
    labels_BL = ids_BL.masked_fill(~is_token_BL | (columns < batch.prompts_B[rows].unsqueeze(1)), IGNORED)
    if lone_token is not None:
        labels_BL = asked_labels(labels_BL, batch.prompts_B[rows], lone_token)
    tile = HEAD_TILE.get(ids_BL.device.type)
    config: Any = backbone.config
    scored, words = part.rows * (part.longest - part.first), config.get_text_config().vocab_size
    with _last_columns(backbone, part.longest - part.first + 1), _tiles(scored, tile, words), autocast():
        return model(
            input_ids=ids_BL,
            attention_mask=is_token_BL.long() if router else torch.ones_like(ids_BL),
            labels=labels_BL[:, part.first - 1 :],
            fused_lm_head=True,
            **({"output_router_logits": True} if router else {}),
        )


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


@contextmanager
def _tiles(tokens: int, numbers: int | None, words: int) -> Iterator[None]:
    """While this holds, a tile of TRL's head over so many tokens and a vocabulary of `words` has at most about
    `numbers` numbers (None: TRL's own size). The backward pass cuts as the forward pass did."""
    usual = trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE
    width = usual
    if numbers is not None and words > 2 * NARROWEST_TILE:
        width = min(usual, max(NARROWEST_TILE, numbers // max(min(tokens, TOKEN_CHUNK_SIZE), 1)))
    trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE = width
    try:
        yield
    finally:
        trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE = usual

"""An engine over a transformers causal model: one batch, shared prompt prefill, rows leave when they end.

Each distinct prompt is prefilled once and its key-value cache copied to its rows. Forced rows write their tokens
through the same forward passes, so their log-probabilities are the policy's own. A row that has ended is taken out of
the batch and of the cache, so the cost of a step follows the rows that still run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.generation import TopKLogitsWarper, TopPLogitsWarper

from rollout.engine import Completion, Request, Sampling
from rollout.protocol import DecisionProtocol, Forcing, switch_share
from rollout.types import MODES


class _Row:
    """The decoding state of one request."""

    def __init__(self, forcing: Forcing | None) -> None:
        self.forcing = forcing
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.sampled: list[int] = []
        self.switch_logprobs: list[list[float]] = []
        self.queue: list[int] = list(forcing.write) if forcing and forcing.after is None else []
        self.pending = forcing is not None and forcing.after is not None

    def forced_token(self) -> int | None:
        """The next token to write, or None if the policy chooses it."""
        if self.pending and self.forcing and len(self.ids) >= self.forcing.patience:
            self.pending = False
            self.queue = [self.forcing.after or 0, *self.forcing.write]
        return self.queue.pop(0) if self.queue else None

    def push(self, token: int, logprob: float, switches: list[float], forced: bool) -> None:
        """Append one token."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.switch_logprobs.append(switches)
        self.sampled.append(0 if forced else 1)
        if self.pending and self.forcing and token == self.forcing.after:
            self.pending, self.queue = False, list(self.forcing.write)

    def forbidden(self, eos_ids: set[int], switch_ids: set[int]) -> set[int]:
        """While a forced row waits for its trigger it may neither end nor choose for itself."""
        return eos_ids | switch_ids if self.pending else set()


class HFEngine:
    """Decodes with a transformers model; see the module docstring."""

    def __init__(self, model: PreTrainedModel, protocol: DecisionProtocol, pad_id: int) -> None:
        self.model, self.protocol, self.pad_id = model, protocol, pad_id
        self.eos_ids = {protocol.eos_id}
        self.switch_ids = [protocol.switch_ids[mode] for mode in MODES]

    @torch.no_grad()
    def generate(self, requests: Sequence[Request], sampling: Sampling, seed: int) -> list[Completion]:
        """Completions in the order of `requests`."""
        if not requests:
            return []
        was_training = self.model.training
        self.model.eval()
        try:
            rows = self._decode(requests, sampling, seed)
        finally:
            self.model.train(was_training)
        return [self._completion(row) for row in rows]

    def _decode(self, requests: Sequence[Request], sampling: Sampling, seed: int) -> list[_Row]:
        device = self.model.device
        generator = torch.Generator(device=device).manual_seed(seed)
        waits = {mode: self.protocol.forcing(mode) for mode in MODES}
        rows = [_Row(waits[r.forced] if r.forced else None) for r in requests]
        logits_BV, cache, mask_BT = self._prefill(requests)
        alive = list(range(len(rows)))
        for position in range(sampling.max_new_tokens):
            tokens = self._choose([rows[i] for i in alive], logits_BV, sampling, generator)
            keep = [k for k, token in enumerate(tokens) if token not in self.eos_ids]
            if not keep or position + 1 == sampling.max_new_tokens:
                break
            if len(keep) < len(alive):
                index = torch.tensor(keep, device=device)
                cache.batch_select_indices(index)
                mask_BT, alive, tokens = mask_BT[index], [alive[k] for k in keep], [tokens[k] for k in keep]
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(alive), 1)], dim=1)
            logits_BV = self.model(
                input_ids=torch.tensor(tokens, device=device).unsqueeze(1),
                attention_mask=mask_BT,
                position_ids=mask_BT.sum(1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
        return rows

    def _prefill(self, requests: Sequence[Request]) -> tuple[torch.Tensor, DynamicCache, torch.Tensor]:
        """Last logits, cache and attention mask of every row; each distinct prompt is computed once."""
        device = self.model.device
        order = {prompt: i for i, prompt in enumerate(dict.fromkeys(r.prompt_ids for r in requests))}
        longest = max(map(len, order))
        ids_PT = torch.full((len(order), longest), self.pad_id, device=device)
        mask_PT = torch.zeros_like(ids_PT)
        for prompt, i in order.items():
            ids_PT[i, longest - len(prompt) :] = torch.tensor(prompt, device=device)
            mask_PT[i, longest - len(prompt) :] = 1
        cache = DynamicCache(config=self.model.config)
        output = self.model(
            input_ids=ids_PT,
            attention_mask=mask_PT,
            position_ids=(mask_PT.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        index = torch.tensor([order[r.prompt_ids] for r in requests], device=device)
        cache.batch_select_indices(index)
        return output.logits[index, -1], cache, mask_PT[index]

    def _choose(
        self, rows: list[_Row], logits_BV: torch.Tensor, sampling: Sampling, generator: torch.Generator
    ) -> list[int]:
        """Draw (or force) the next token of each row and record it."""
        logp_BV = torch.log_softmax(logits_BV.float() / (sampling.temperature or 1.0), dim=-1)
        scores_BV = self._restrict(rows, logp_BV)
        if sampling.temperature == 0:
            drawn_B = scores_BV.argmax(-1)
        else:
            for warper in _warpers(sampling):
                scores_BV = warper(None, scores_BV)
            drawn_B = torch.multinomial(scores_BV.softmax(-1), 1, generator=generator).squeeze(1)
        tokens = drawn_B.tolist()
        forced = [row.forced_token() for row in rows]
        tokens = [token if written is None else written for token, written in zip(tokens, forced, strict=True)]
        taken_B = logp_BV.gather(1, torch.tensor(tokens, device=logp_BV.device).unsqueeze(1)).squeeze(1).tolist()
        switches_B2 = logp_BV[:, self.switch_ids].tolist()
        for row, token, logprob, pair, written in zip(rows, tokens, taken_B, switches_B2, forced, strict=True):
            row.push(token, logprob, pair, written is not None)
        return tokens

    def _restrict(self, rows: list[_Row], logp_BV: torch.Tensor) -> torch.Tensor:
        banned = [row.forbidden(self.eos_ids, set(self.switch_ids)) for row in rows]
        if not any(banned):
            return logp_BV
        scores_BV = logp_BV.clone()
        for i, tokens in enumerate(banned):
            if tokens:
                scores_BV[i, list(tokens)] = -torch.inf
        return scores_BV

    def _completion(self, row: _Row) -> Completion:
        found = self.protocol.find_switch(row.ids)
        probs = switch_share(torch.tensor(row.switch_logprobs[found[0]]).exp().tolist()) if found else {}
        return Completion(tuple(row.ids), tuple(row.logprobs), tuple(row.sampled), probs)


def _warpers(sampling: Sampling) -> list[Any]:
    warpers: list[Any] = []
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    return warpers

"""An engine over a transformers causal model: one batch, shared prompt prefill, rows leave when they end.

Each distinct prompt is prefilled once and its key-value cache copied to its rows. Forced rows write their tokens
through the same forward passes, so their log-probabilities are the policy's own. A row that has ended is taken out of
the batch and of the cache (rollout/engines/kv_cache.py), so the cost of a step follows the rows that still run. The
device is asked once a token, for all rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.generation import TopKLogitsWarper, TopPLogitsWarper

from rollout.engines.base import Completion, Finished, Request, Sampling
from rollout.engines.kv_cache import GrowingCache, close_gaps
from rollout.engines.packed_linear import packed_linears
from rollout.protocol import DecisionProtocol, Forcing
from rollout.reader import ThoughtBudget
from rollout.types import MODES

Chosen = Callable[[int, int], None]


class _Row:
    """The decoding state of request `number`; `limit` is the number of tokens at which it is cut."""

    def __init__(self, number: int, forcing: Forcing | None, limit: int, budget: ThoughtBudget | None) -> None:
        self.number, self.forcing, self.limit, self.decided = number, forcing, limit, False
        self.budget = budget
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.sampled: list[int] = []
        self.switch_logprobs: list[list[float]] = []
        self.queue: list[int] = list(forcing.write) if forcing and forcing.after is None else []
        self.pending = forcing is not None and forcing.after is not None
        self.draws_other = forcing is not None and bool(forcing.banned)

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
        if self.budget:
            self.queue += self.budget.push(token)


class HFEngine:
    """Decodes with a transformers model; see the module docstring."""

    def __init__(self, model: PreTrainedModel, protocol: DecisionProtocol, pad_id: int) -> None:
        self.model, self.protocol, self.pad_id = model, protocol, pad_id
        self.eos_ids = set(protocol.end_ids)
        self.switch_ids = list(protocol.watch_ids)
        # A mixture of experts would compute the balance of its router at every token, and cannot with a cache.
        routed = hasattr(model.config.get_text_config(), "output_router_logits")
        self.options = {"output_router_logits": False} if routed else {}

    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        seed: int,
        finished: Finished | None = None,
        chosen: Chosen | None = None,
    ) -> list[Completion]:
        """Completions in the order of `requests`. `chosen` is given each token with the number of its row at once."""
        if not requests:
            return []
        completions: dict[int, Completion] = {}
        was_training = self.model.training
        self.model.eval()
        try:
            with packed_linears(self.model):
                for row in self._decode(requests, sampling, seed, chosen):
                    completions[row.number] = self._completion(row)
                    if finished:
                        finished(row.number, completions[row.number])
        finally:
            self.model.train(was_training)
        return [completions[number] for number in range(len(requests))]

    def _decode(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, chosen: Chosen | None
    ) -> Iterator[_Row]:
        """The rows as they end."""
        device = self.model.device
        generator = torch.Generator(device=device).manual_seed(seed)
        waits = {mode: self.protocol.forcing(mode) for mode in MODES}
        alive = [self._row(k, waits[r.forced] if r.forced else None, sampling) for k, r in enumerate(requests)]
        logits_BV, cache, mask_BT = self._prefill(requests)
        position_B1 = mask_BT.sum(1, keepdim=True)
        # Room for every token that may come, so that the mask of a step is a view.
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(alive), sampling.max_new_tokens)], dim=1)
        width = mask_BT.shape[1] - sampling.max_new_tokens
        while True:
            tokens_B = self._choose(alive, logits_BV, sampling, generator)
            if chosen:
                for row in alive:
                    chosen(row.number, row.ids[-1])
            ends = [self._ends(row, sampling) for row in alive]
            yield from (row for row, end in zip(alive, ends, strict=True) if end)
            kept = [k for k, end in enumerate(ends) if not end]
            if not kept:
                return
            if len(kept) < len(alive):
                order = close_gaps(kept)
                cache.keep_rows(order, device)
                alive, index = [alive[k] for k in order], torch.tensor(order, device=device)
                mask_BT, position_B1, tokens_B = mask_BT[index], position_B1[index], tokens_B[index]
            width += 1
            logits_BV = self.model(
                input_ids=tokens_B.unsqueeze(1),
                attention_mask=mask_BT[:, :width],
                position_ids=position_B1,
                past_key_values=cache,
                use_cache=True,
                **self.options,
            ).logits[:, -1]
            position_B1 = position_B1 + 1

    def _row(self, number: int, forcing: Forcing | None, sampling: Sampling) -> _Row:
        limit = sampling.thinking_budget
        budget = None if limit is None else self.protocol.thought_budget(limit)
        return _Row(number, forcing, sampling.max_new_tokens, budget)

    def _ends(self, row: _Row, sampling: Sampling) -> bool:
        """Whether the last token ended the row, or its limit did. A row that has decided gets the limit of its mode."""
        token = row.ids[-1]
        if sampling.max_new_tokens_by_mode and not row.decided and (self.protocol.other or token in self.switch_ids):
            found = self.protocol.find_switch(row.ids)
            if found:
                row.decided, row.limit = True, sampling.limit(found[1], found[0])
        return token in self.eos_ids or len(row.ids) >= row.limit

    def _prefill(self, requests: Sequence[Request]) -> tuple[torch.Tensor, GrowingCache, torch.Tensor]:
        """Last logits, cache and attention mask of every row; each distinct prompt is computed once."""
        device = self.model.device
        order = {prompt: i for i, prompt in enumerate(dict.fromkeys(r.prompt_ids for r in requests))}
        longest = max(map(len, order))
        ids_PT = torch.full((len(order), longest), self.pad_id, device=device)
        mask_PT = torch.zeros_like(ids_PT)
        for prompt, i in order.items():
            ids_PT[i, longest - len(prompt) :] = torch.tensor(prompt, device=device)
            mask_PT[i, longest - len(prompt) :] = 1
        cache = GrowingCache(self.model.config)
        output = self.model(
            input_ids=ids_PT,
            attention_mask=mask_PT,
            position_ids=(mask_PT.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **self.options,
        )
        index: Any = torch.tensor([order[r.prompt_ids] for r in requests], device=device)
        cache.reorder_cache(index)
        return output.logits[index, -1], cache, mask_PT[index]

    def _choose(
        self, rows: list[_Row], logits_BV: torch.Tensor, sampling: Sampling, generator: torch.Generator
    ) -> torch.Tensor:
        """Draw (or force) the next token of each row and record it; returns the tokens (B,)."""
        logits_BV = logits_BV.float()
        if sampling.temperature not in (0, 1):
            logits_BV = logits_BV / sampling.temperature
        logp_BV = logits_BV.log_softmax(-1)
        forced = [row.forced_token() for row in rows]
        tokens_B = self._draw(self._restrict(rows, logp_BV), sampling, generator)
        if any(token is not None for token in forced):
            forced_B = torch.tensor([-1 if token is None else token for token in forced], device=tokens_B.device)
            tokens_B = torch.where(forced_B < 0, tokens_B, forced_B)
        switches_BS = torch.tensor([self.switch_ids], device=tokens_B.device).expand(len(rows), -1)
        found_BN = logp_BV.gather(1, torch.cat([tokens_B.unsqueeze(1), switches_BS], dim=1))
        # float64 holds every token id exactly.
        found = torch.cat([tokens_B.unsqueeze(1).double(), found_BN.double()], dim=1).tolist()
        for row, (token, logprob, *pair), written in zip(rows, found, forced, strict=True):
            row.push(int(token), logprob, pair, written is not None)
        return tokens_B

    def _draw(self, scores_BV: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
        """One token a row (B,) of unnormalised log-probabilities. One random number a row and a search in the
        cumulated probabilities: `torch.multinomial` would draw one for every token of the vocabulary."""
        if sampling.temperature == 0:
            return scores_BV.argmax(-1)
        for warper in _warpers(sampling):
            scores_BV = warper(None, scores_BV)
        cumulated_BV = scores_BV.exp().cumsum(-1, dtype=torch.float64)
        total_B1 = cumulated_BV[:, -1:].contiguous()
        draw_B1 = total_B1 * torch.rand_like(total_B1, generator=generator)
        # The first place that reaches the total is the last token that may be drawn, should the product round up to it.
        last_B1 = torch.searchsorted(cumulated_BV, total_B1)
        return torch.minimum(torch.searchsorted(cumulated_BV, draw_B1, right=True), last_B1).squeeze(1)

    def _restrict(self, rows: list[_Row], logp_BV: torch.Tensor) -> torch.Tensor:
        """While a forced row waits for its trigger it may neither end nor choose for itself; a row that is forced into
        "any other token" draws its first one from the others."""
        waiting = [i for i, row in enumerate(rows) if row.pending or (row.draws_other and not row.ids)]
        if not waiting:
            return logp_BV
        scores_BV, device = logp_BV.clone(), logp_BV.device
        rows_R1 = torch.tensor(waiting, device=device).unsqueeze(1)
        scores_BV[rows_R1, torch.tensor([*self.eos_ids, *self.switch_ids], device=device)] = -torch.inf
        return scores_BV

    def _completion(self, row: _Row) -> Completion:
        found = self.protocol.find_switch(row.ids)
        probs = self.protocol.switch_probs(row.switch_logprobs[found[0]]) if found else {}
        return Completion(tuple(row.ids), tuple(row.logprobs), tuple(row.sampled), probs)


def _warpers(sampling: Sampling) -> list[Any]:
    warpers: list[Any] = []
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    return warpers

"""What generates: the one-method `Engine` protocol, its request and its answer.

Every engine decodes a whole plan at once: rows with their own prompts, each free or forced into a mode. Answers come
back in the order of the requests and carry the log-probability of every token under the sampling policy, forced ones
included, and the probabilities of the two switches at the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rollout.types import Mode


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 are off, as in transformers. A row in a
    mode of `max_new_tokens_by_mode` is cut after that many tokens of its answer step, the tokens after the switch. A
    thought of `thinking_budget` tokens is closed (rollout/reader.py); None: never."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    max_new_tokens_by_mode: Mapping[str, int] = field(default_factory=dict)
    thinking_budget: int | None = None

    def limit(self, mode: Mode, switch_index: int) -> int:
        """The most completion tokens of a row that decided for this mode at this index."""
        answer = self.max_new_tokens_by_mode.get(mode, self.max_new_tokens)
        return min(self.max_new_tokens, switch_index + 1 + answer)


@dataclass(frozen=True)
class Request:
    """One row: the rendered prompt and the mode it is forced into (None: the policy chooses)."""

    prompt_ids: tuple[int, ...]
    forced: Mode | None = None


@dataclass(frozen=True)
class Completion:
    """One decoded row; `sampled` is 1 for tokens that the policy drew and 0 for forced ones."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    sampled: tuple[int, ...]
    switch_probs: Mapping[str, float]


Finished = Callable[[int, Completion], None]


class Engine(Protocol):
    """Decodes requests. The same `seed` and weights give the same completions. Each row's number and completion are
    given to `finished` as soon as the row has ended, in the thread of the caller, while others still decode."""

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, finished: Finished | None = None
    ) -> list[Completion]: ...

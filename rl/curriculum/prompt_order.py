"""Which problems each generation gets: one block of distinct problems a round, a round being one generation.

A block is drawn from streams; a stream is endless shuffled passes over a pool of problems. Without stages there is one
stream over all problems; a stage draws each of its problems from a stream chosen by its weights. With resampling, each
pass leaves out the problems that `rl.curriculum.resampling.Resampler` has retired.

The data loader runs ahead of training: the block of round k + 1 is asked for before round k has been observed. So with
resampling the block of a round is drawn when round k − 2 is observed, whatever the loader does in between, and every
rank that observes the same gathered groups draws the same blocks. Without it the order depends on the seed alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl.curriculum.resampling import Resampler
from rollout.errors import UserError
from rollout.types import RolloutGroup

AHEAD = 2
KEPT = 64
"""Blocks that can still be asked for where all of them follow from the seed; the loader is far less ahead."""


@dataclass(frozen=True)
class Mix:
    """What the rounds from `start` on draw from: pools of problem ids by name, and their weights."""

    start: int
    pools: Mapping[str, Sequence[str]]
    weights: Mapping[str, float]


class Stream:
    """Endless shuffled passes over a pool."""

    def __init__(self, pool: Sequence[str], seed: str, at_least: int, resampler: Resampler) -> None:
        self.pool, self.at_least, self.resampler = pool, at_least, resampler
        self._rng = random.Random(seed)
        self._rest: list[str] = []

    def next(self) -> str:
        """The next problem; a new pass begins when one is through."""
        if not self._rest:
            members = self.resampler.members(self.pool, self.at_least, self._rng)
            self._rest = self._rng.sample(members, len(members))[::-1]
        return self._rest.pop()

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {"random": self._rng.getstate(), "rest": self._rest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another stream stopped."""
        version, numbers, gauss = state["random"]
        self._rng.setstate((version, tuple(numbers), gauss))
        self._rest = list(state["rest"])


class PromptOrder:
    """`block(round)` for every round of a run; see the module docstring."""

    def __init__(self, mixes: Sequence[Mix], *, prompts: int, seed: int, resampler: Resampler) -> None:
        self.mixes, self.prompts, self.resampler = mixes, prompts, resampler
        for mix in mixes:
            for name, pool in mix.pools.items():
                if prompts > len(pool):
                    held = f"{len(pool)} training problems" + (f" of {name}" if name else "")
                    raise UserError(f"trainer.prompts_per_step is {prompts}; allowed: up to the {held}")
        pools = {name: pool for mix in mixes for name, pool in mix.pools.items()}
        self._streams = {
            name: Stream(pool, f"prompt-order-{seed}" + (f"-{name}" if name else ""), prompts, resampler)
            for name, pool in pools.items()
        }
        self._choice = random.Random(f"prompt-mix-{seed}")
        self._first, self._blocks = 0, [] if not resampler.on else [self._draw(k) for k in range(AHEAD)]

    def block(self, number: int) -> Sequence[str]:
        """The problems of a round. Rounds before a checkpoint that was loaded are skipped by the trainer, whatever
        they hold. Raises `RuntimeError` when the loader runs further ahead than observations allow."""
        if not self.resampler.on:
            while number >= self._first + len(self._blocks):
                self._blocks.append(self._draw(self._first + len(self._blocks)))
            passed = max(len(self._blocks) - KEPT, 0)
            del self._blocks[:passed]
            self._first += passed
        index = max(number - self._first, 0)
        if index >= len(self._blocks):
            raise RuntimeError(f"round {number} was asked for before round {number - AHEAD} was observed")
        return self._blocks[index]

    def observe(self, groups: Sequence[RolloutGroup]) -> None:
        """Record what one round showed, on all ranks, and draw the block that may depend on it."""
        if self.resampler.on:
            self.resampler.observe(groups)
            self._blocks.append(self._draw(self._first + len(self._blocks)))

    def _draw(self, number: int) -> list[str]:
        mix = next(m for m in reversed(self.mixes) if m.start <= number)
        names, weights = list(mix.pools), [mix.weights.get(name, 1.0) for name in mix.pools]
        block: dict[str, None] = {}
        while len(block) < self.prompts:
            name = names[0] if len(names) == 1 else self._choice.choices(names, weights)[0]
            size = len(block)
            while len(block) == size:
                block[self._streams[name].next()] = None
        return list(block)

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back; empty where the seed says it all."""
        if not self.resampler.on:
            return {}
        return {
            "first": self._first + len(self._blocks) - AHEAD,
            "blocks": self._blocks[-AHEAD:],
            "choice": self._choice.getstate(),
            "streams": {name: stream.state_dict() for name, stream in self._streams.items()},
            "resampler": self.resampler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another order stopped. Raises `UserError` when the checkpoint has no resampling state."""
        if not self.resampler.on:
            return
        if not state:
            raise UserError(
                f"history.resample is {self.resampler.settings.resample!r}, but the checkpoint was written without "
                "resampling; allowed: the setting it was written with, or resume=never"
            )
        self._first, self._blocks = state["first"], [list(block) for block in state["blocks"]]
        version, numbers, gauss = state["choice"]
        self._choice.setstate((version, tuple(numbers), gauss))
        for name, stream in self._streams.items():
            stream.load_state_dict(state["streams"][name])
        self.resampler.load_state_dict(state["resampler"])

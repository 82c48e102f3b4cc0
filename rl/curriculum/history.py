"""What earlier visits showed: decayed pass counts of each mode on each problem, with its state in the checkpoint.

    counts ← decay · counts + (successes, trials) of this visit

Every rank observes the same gathered groups in the same order, so the histories agree without communication.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rewards.builtin.judge import PassCounts
from rollout.errors import UserError
from rollout.types import MODES, Problem, RolloutGroup


class PassHistory:
    """Pass counts by problem id and mode."""

    def __init__(self, decay: float = 0.7) -> None:
        if not 0 <= decay <= 1:
            raise UserError(f"history.decay is {decay}; allowed: 0 (forget) to 1 (keep all)")
        self.decay = decay
        self._counts: dict[str, dict[str, PassCounts]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def counts(self, problem: Problem) -> Mapping[str, PassCounts]:
        """The pass counts of a problem; empty before its first visit."""
        return self._counts.get(problem.id, {})

    def observe(self, groups: Iterable[RolloutGroup]) -> None:
        """Add what scored groups showed; a group of broken rollouts alone showed nothing."""
        for group in (g.usable() for g in groups):
            if not group.rollouts:
                continue
            before = self.counts(group.problem)
            after: dict[str, PassCounts] = {}
            for mode in MODES:
                rollouts = group.by_mode(mode)
                old = before.get(mode, PassCounts())
                after[mode] = PassCounts(
                    self.decay * old.successes + sum(r.scores["correct"] for r in rollouts),
                    self.decay * old.trials + len(rollouts),
                )
            self._counts[group.problem.id] = after

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {key: {m: [c.successes, c.trials] for m, c in modes.items()} for key, modes in self._counts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all counts."""
        self._counts = {key: {m: PassCounts(*pair) for m, pair in modes.items()} for key, modes in state.items()}

"""What earlier visits showed: decayed pass counts of each mode on each problem, with its state in the checkpoint.

    counts ← decay · counts + (successes, trials) of this visit

Every rank observes the same gathered groups in the same order, so the histories agree without communication.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from rewards.builtin.judge import PassCounts
from rollout.errors import UserError
from rollout.types import MODES, Problem, RolloutGroup

NUMBERS = 2 * len(MODES)  # successes and trials of each mode


class PassHistory:
    """Pass counts by problem id and mode. The problems of `rows`, the training set's rows by id, have their place from
    the beginning, so that a run's memory does not grow while it gets to know them."""

    def __init__(self, decay: float = 0.7, rows: Mapping[str, int] | None = None) -> None:
        if not 0 <= decay <= 1:
            raise UserError(f"history.decay is {decay}; allowed: 0 (forget) to 1 (keep all)")
        self.decay, self._rows = decay, rows or {}
        self._clear()

    def _clear(self) -> None:
        self._others: dict[str, int] = {}  # places of problems without a row
        self._numbers = array("d", [math.nan]) * (NUMBERS * len(self._rows))  # NaN: never visited
        self._visited = 0

    def __len__(self) -> int:
        return self._visited

    def counts(self, problem: Problem) -> Mapping[str, PassCounts]:
        """The pass counts of a problem; empty before its first visit."""
        place = self._rows.get(problem.id, self._others.get(problem.id))
        return {} if place is None else self._at(place)

    def _at(self, place: int) -> dict[str, PassCounts]:
        numbers = self._numbers[NUMBERS * place : NUMBERS * (place + 1)]
        if math.isnan(numbers[0]):
            return {}
        return {mode: PassCounts(*numbers[2 * k : 2 * k + 2]) for k, mode in enumerate(MODES)}

    def _put(self, name: str, numbers: Iterable[float]) -> None:
        place = self._rows.get(name, self._others.get(name))
        if place is None:
            place = self._others[name] = len(self._numbers) // NUMBERS
            self._numbers.extend([math.nan] * NUMBERS)
        self._visited += math.isnan(self._numbers[NUMBERS * place])
        self._numbers[NUMBERS * place : NUMBERS * (place + 1)] = array("d", numbers)

    def observe(self, groups: Iterable[RolloutGroup]) -> None:
        """Add what scored groups showed; a group of broken rollouts alone showed nothing."""
        for group in (g.usable() for g in groups):
            if not group.rollouts:
                continue
            before, after = self.counts(group.problem), []
            for mode in MODES:
                rollouts, old = group.by_mode(mode), before.get(mode, PassCounts())
                after.append(self.decay * old.successes + sum(r.scores["correct"] for r in rollouts))
                after.append(self.decay * old.trials + len(rollouts))
            self._put(group.problem.id, after)

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        places = chain(self._rows.items(), self._others.items())
        known = ((name, self._at(place)) for name, place in places)
        return {name: {m: [c.successes, c.trials] for m, c in modes.items()} for name, modes in known if modes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all counts."""
        self._clear()
        for name, modes in state.items():
            self._put(name, [number for mode in MODES for number in modes.get(mode, (0.0, 0.0))])

"""How well two judges agree: Cohen's κ with quadratic weights (Cohen, 1968). Pure.

    κ = 1 − Σ w_ij O_ij / Σ w_ij E_ij,   w_ij = (i − j)² / 81

O counts the pairs of scores 0 to 9, E is what the judges' own frequencies would give by chance. Pairs with a −1 are
left out and counted. κ is None below 50 pairs, and where both judges always say one and the same score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = 10
FEWEST = 50


@dataclass(frozen=True)
class Agreement:
    """κ over `pairs` pairs; `left_out` had a −1."""

    kappa: float | None
    pairs: int
    left_out: int


def agreement(first: Sequence[int], second: Sequence[int], fewest: int = FEWEST) -> Agreement:
    """The agreement of two judges on the same chains, in the same order."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if 0 <= a < LEVELS and 0 <= b < LEVELS]
    left_out = len(first) - len(pairs)
    if len(pairs) < fewest:
        return Agreement(None, len(pairs), left_out)
    observed = np.zeros((LEVELS, LEVELS))
    for a, b in pairs:
        observed[a, b] += 1
    expected = np.outer(observed.sum(1), observed.sum(0)) / len(pairs)
    levels = np.arange(LEVELS)
    weights = (levels[:, None] - levels[None, :]) ** 2 / (LEVELS - 1) ** 2
    chance = float((weights * expected).sum())
    kappa = 1 - float((weights * observed).sum()) / chance if chance > 0 else None
    return Agreement(kappa, len(pairs), left_out)

"""95 % intervals: over problems by drawing them anew, over runs by Student's t. Pure.

bootstrap   percentiles of the measure over problems drawn with replacement (Efron 1979)
mean        mean ± t · s / √n with n − 1 degrees of freedom; a single run has no interval
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

DRAWS = 1000
Item = TypeVar("Item")


def bootstrap(items: Sequence[Item], measure: Callable[[Sequence[Item]], float]) -> tuple[float, float, float]:
    """(value, lower end, upper end) of a measure of these problems. The same problems give the same interval."""
    rng = random.Random("intervals")
    drawn = sorted(measure(rng.choices(items, k=len(items))) for _ in range(DRAWS))
    return measure(items), drawn[int(0.025 * DRAWS)], drawn[int(0.975 * DRAWS) - 1]


def drawn_means(columns_NC: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of C columns over N problems, of shape (1 + draws, C): row 0 of the problems as they are, then one row a
    draw with replacement."""
    n = len(columns_NC)
    counts_DN = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    return np.vstack([columns_NC.mean(axis=0), counts_DN @ columns_NC / n])


def ends(values_D: np.ndarray) -> list[float]:
    """[value, lower, upper] of a measure over the rows of `drawn_means`."""
    value, drawn = float(values_D[0]), np.sort(values_D[1:])
    return [value, float(drawn[int(0.025 * DRAWS)]), float(drawn[int(0.975 * DRAWS) - 1])]


@dataclass(frozen=True)
class Interval:
    """Mean and half width over `n` values; the half width is None for one value."""

    mean: float
    half: float | None
    n: int


def mean_interval(values: Sequence[float]) -> Interval:
    """The 95 % interval of the mean."""
    n, mean = len(values), sum(values) / len(values)
    if n == 1:
        return Interval(mean, None, 1)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return Interval(mean, student_t(n - 1) * spread / math.sqrt(n), n)


def student_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t: where 1 − I(d/(d + t²); d/2, ½)/2 is 0.975 (Abramowitz and Stegun 26.7.1)."""
    from mpmath import betainc, findroot

    def excess(t: Any) -> Any:
        return betainc(degrees / 2, 0.5, 0, degrees / (degrees + t * t), regularized=True) - 0.05

    return float(findroot(excess, (1.5, 15.0), solver="anderson"))

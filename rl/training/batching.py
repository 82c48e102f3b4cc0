"""Which rows go through the model together, so that a step pays for its real tokens.

A batch costs rows × its longest row. Thoughts and direct answers differ in length by one to three orders of magnitude,
so rows are sorted, longest first, and cut where the length falls. Two cuts, both of sorted lengths L_1 ≥ L_2 ≥ …:

    like_lengths   parts of one forward pass each: least  Σ_parts (rows · longest row + price of a forward pass)
    even_parts     a given number of micro-batches: least  max_parts rows · longest row,  which is their memory

The number of rows in each part must be the same on all ranks, or they would wait for each other for ever: cut the
`envelope`, the longest k-th row over all ranks. How rows are grouped changes no gradient but for rounding, since the
loss is a sum over tokens divided by a count over the whole step. Left out: attention's quadratic part of the cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def envelope(lengths_RB: ArrayLike) -> NDArray[np.int64]:
    """The k-th longest row of whichever rank has the longest one there, for every k; shape (B,).

    >>> envelope([[5, 2, 9], [1, 8, 7]]).tolist()
    [9, 7, 2]
    """
    return np.sort(np.asarray(lengths_RB, dtype=np.int64), axis=1)[:, ::-1].max(axis=0)


def like_lengths(lengths_B: ArrayLike, price: float, most: int | None = None) -> list[int]:
    """Rows of each part of `lengths_B` (longest first); one more part costs as much as `price` tokens. A part has at
    most `most` padded tokens (None: any number), but for a single row that is longer.

    >>> like_lengths([100, 90, 10, 10], price=5), like_lengths([100, 90, 10, 10], price=1000)
    ([1, 1, 2], [4])
    >>> like_lengths([100, 90, 10, 10], price=1000, most=200), like_lengths([100, 90, 10, 10], price=1000, most=90)
    ([2, 2], [1, 1, 2])
    """
    lengths = np.asarray(lengths_B, dtype=np.float64)
    count = len(lengths)
    least, start = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        padded = np.arange(end, 0, -1) * lengths[:end]
        if most is not None:
            padded[:-1][padded[:-1] > most] = np.inf
        cost = least[:end] + padded + price
        start[end] = int(cost.argmin())
        least[end] = cost[start[end]]
    sizes, end = [], count
    while end:
        sizes.append(int(end - start[end]))
        end = int(start[end])
    return sizes[::-1]


def even_parts(lengths_B: ArrayLike, parts: int) -> list[int]:
    """Rows of each of `parts` parts of `lengths_B` (longest first, at least `parts` rows), none of them empty.

    >>> even_parts([100, 90, 10, 10, 10, 10, 10, 10, 10, 10], 3)
    [1, 1, 8]
    """
    lengths = np.asarray(lengths_B, dtype=np.int64)
    low, high = int(lengths[0]), int(lengths[0]) * (len(lengths) - parts + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _filled(lengths, parts, middle)[-1] >= 0 else (middle + 1, high)
    return _filled(lengths, parts, low)


def _filled(lengths: NDArray[np.int64], parts: int, capacity: int) -> list[int]:
    """Rows of each part when each takes as many as fit into `capacity`; the last is −1 when the rest does not fit."""
    sizes: list[int] = []
    start = 0
    for left in range(parts, 0, -1):
        spare = len(lengths) - start - (left - 1)
        fits = max(1, min(spare, capacity // max(int(lengths[start]), 1)))
        if left == 1 and fits < spare:
            return [*sizes, -1]
        sizes.append(fits)
        start += fits
    return sizes

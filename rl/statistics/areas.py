"""Every operating point of one evaluation, and the areas under them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rl.statistics.choice import Point, aiq, apgr, oracle_curve
from rl.statistics.dial import curve, with_intervals
from rl.statistics.intervals import drawn_means, ends
from rl.statistics.routers import CORRECT, TOKENS, Row, mean


def operating_points(rows: Sequence[Row]) -> dict[str, Any]:
    """The dial's curve with intervals, the oracle's, and AIQ and APGR beside the same areas for random mixing and the
    oracle; undialled auto stands in `modes`."""
    if not rows:
        return {}
    points = curve(rows)
    think, no_think = _constant(rows, "think"), _constant(rows, "no_think")
    cheap, dear = sorted([think, no_think])
    best = oracle_curve(rows)
    gaps = np.array([[row["think"][CORRECT] - row["no_think"][CORRECT]] for row in rows], dtype=float)
    lowest_gap = ends(drawn_means(gaps)[:, 0])[1]
    return {
        "curve": with_intervals(rows, points),
        "oracle": best,
        "aiq": {
            "dial": aiq([(at["tokens"], at["accuracy"]) for at in points], cheap, dear),
            "random": aiq([], cheap, dear),
            "oracle": aiq(best, cheap, dear),
        },
        "apgr": apgr(points, think[1], no_think[1], lowest_gap),
    }


def _constant(rows: Sequence[Row], mode: str) -> Point:
    return (mean(rows, mode, TOKENS), mean(rows, mode, CORRECT))

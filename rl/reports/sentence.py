"""A run in one sentence: on what it thinks, what that costs, and what it loses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rl.reports.tables import number
from rl.statistics.intervals import drawn_means, ends

NOTHING = "No evaluation of the trained model: what it learned is not known."


def sentence(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The first line of a report. Accuracy is compared with always thinking, on the same problems."""
    auto, think = (number(after, "modes", mode, "mean_tokens") for mode in ("auto", "think"))
    if auto is None or not think:
        return NOTHING
    rates = [number(after, part, "auto", "think_rate") for part in ("hard", "easy")]
    if None not in rates:
        choice = f"Thinks on {rates[0]:.0%} of the hard and {rates[1]:.0%} of the easy problems"
    else:
        rate = number(after, "modes", "auto", "think_rate")
        choice = f"Thinks on {rate:.0%} of the problems" if rate is not None else "Chooses its mode"
    cost = f"{auto / think:.0%} of always-think's tokens"
    return f"{choice}; {cost} {_accuracy(after)}.{_unchanged(before, after)}"


def _accuracy(after: Mapping[str, Any]) -> str:
    rows = after.get("problems")
    try:
        gaps = np.array([[row["auto"][0] - row["think"][0]] for row in rows or ()], dtype=float)
    except (KeyError, TypeError, ValueError, IndexError):
        gaps = np.empty((0, 1))
    if not len(gaps):
        two = [number(after, "modes", mode, "accuracy") for mode in ("auto", "think")]
        if two[0] is None or two[1] is None:
            return "at an accuracy that was not measured"
        return f"at {100 * (two[0] - two[1]):+.1f} points of accuracy"
    value, low, high = (100 * end for end in ends(drawn_means(gaps)[:, 0]))
    same = (
        "the same accuracy"
        if low <= 0 <= high
        else f"{abs(value):.1f} points {'less' if value < 0 else 'more'} accuracy"
    )
    return f"at {same} ({value:+.1f} points [{low:+.1f}, {high:+.1f}], {len(gaps)} problems)"


def _unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Where the choice was there before RL, that is said too."""
    rates = [[number(result, part, "auto", "think_rate") for part in ("hard", "easy")] for result in (before, after)]
    if any(rate is None for pair in rates for rate in pair):
        return ""
    (hard, easy), now = rates
    moved = max(abs(hard - now[0]), abs(easy - now[1]))  # type: ignore[operator]
    shown = f"{hard:.0%} and {easy:.0%}"
    return f" Before RL it was {shown}{': RL changed little' if moved < 0.05 else ''}."

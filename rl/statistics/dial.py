"""The dial: one threshold on P(think) turns one evaluation into every operating point of a model. Pure.

A problem thinks iff p = p_think / (p_think + p_no_think) at the decision is at least τ. A row has `p_think` (that p)
and the two forced answers `think` and `no_think`, each [accuracy, tokens]; so accuracy and tokens of every τ follow
from the forced answers alone. τ lies midway between neighbouring p, so that rounding decides no problem;
0 always thinks, 1.1 never does.

For M modes with costs c_m the same is argmax_m log p_m − λ·c_m; with two modes λ = log(τ/(1−τ)) / (c_T − c_N).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rl.statistics.intervals import drawn_means, ends
from rl.statistics.routers import CORRECT, TOKENS, Row, mean
from rollout.errors import UserError

ALWAYS, NEVER = 0.0, 1.1
TARGET = re.compile(r"^\s*(accuracy|tokens)\s*(>=|<=)\s*(think\s*)?([+-]?\s*[0-9.]+)?\s*$")


@dataclass(frozen=True)
class Target:
    """What an operating point must hold: `accuracy >= think - 0.005`, `accuracy >= 0.9` or `tokens <= 400`."""

    measure: str
    relative: bool
    amount: float

    def met(self, point: Mapping[str, float], think: Sequence[float]) -> bool:
        """Whether a point holds it; `think` is [accuracy, tokens] of always thinking."""
        if self.measure == "tokens":
            return point["tokens"] <= self.amount + (think[TOKENS] if self.relative else 0) + 1e-9
        return point["accuracy"] >= self.amount + (think[CORRECT] if self.relative else 0) - 1e-9


def thresholds(rows: Sequence[Row]) -> list[float]:
    """The thresholds that differ on these problems, from always to never.

    >>> thresholds([{"p_think": 0.2}, {"p_think": 0.6}, {"p_think": 0.2}])
    [0.0, 0.4, 1.1]
    """
    found = sorted({row["p_think"] for row in rows})
    return [ALWAYS, *((a + b) / 2 for a, b in pairwise(found)), NEVER]


def point(rows: Sequence[Row], tau: float) -> dict[str, float]:
    """Accuracy, tokens and think rate at one threshold."""
    modes = ["think" if row["p_think"] >= tau else "no_think" for row in rows]
    pairs = list(zip(rows, modes, strict=True))
    return {
        "tau": tau,
        "accuracy": sum(row[mode][CORRECT] for row, mode in pairs) / len(rows),
        "tokens": sum(row[mode][TOKENS] for row, mode in pairs) / len(rows),
        "think_rate": sum(mode == "think" for mode in modes) / len(rows),
    }


def curve(rows: Sequence[Row], most: int = 101) -> list[dict[str, float]]:
    """The points of all thresholds, from always to never; an even choice of `most` where there are more."""
    taus = thresholds(rows)
    if len(taus) > most:
        taus = [taus[round(i * (len(taus) - 1) / (most - 1))] for i in range(most)]
    return [point(rows, tau) for tau in taus]


def with_intervals(rows: Sequence[Row], points: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """The points with accuracy and tokens as [value, lower, upper], 95 % over the problems."""
    chosen = [["think" if row["p_think"] >= at["tau"] else "no_think" for row in rows] for at in points]
    values_NC = np.array(
        [[row[modes[i]][column] for modes in chosen for column in (CORRECT, TOKENS)] for i, row in enumerate(rows)],
        dtype=float,
    )
    means = drawn_means(values_NC)
    return [
        {
            "tau": at["tau"],
            "think_rate": at["think_rate"],
            "accuracy": ends(means[:, 2 * k]),
            "tokens": ends(means[:, 2 * k + 1]),
        }
        for k, at in enumerate(points)
    ]


def check_threshold(value: Any, place: str = "--dial") -> float:
    """A threshold from text or a file. Raises `UserError`."""
    try:
        tau = float(value)
    except (TypeError, ValueError):
        tau = -1.0
    if not ALWAYS <= tau <= NEVER:
        raise UserError(f"{place} is {value!r}; allowed: {ALWAYS} (always think) to {NEVER} (never)")
    return tau


def parse_target(text: str) -> Target:
    """A target from its text. Raises `UserError`.

    >>> parse_target("accuracy >= think - 0.005")
    Target(measure='accuracy', relative=True, amount=-0.005)
    """
    found = TARGET.match(text)
    measure, sign, relative, amount = found.groups() if found else ("", "", "", "")
    if not found or sign != {"accuracy": ">=", "tokens": "<="}[measure] or not (relative or amount):
        raise UserError(
            f"--target is {text!r}; allowed: 'accuracy >= think - 0.005', 'accuracy >= 0.9' or 'tokens <= 400'"
        )
    try:
        target = Target(measure, bool(relative), float((amount or "0").replace(" ", "")))
    except ValueError:
        raise UserError(f"--target is {text!r}; {amount!r} is no number") from None
    if measure == "accuracy" and not (-1 < target.amount < 1 if relative else 0 <= target.amount <= 1):
        raise UserError(f"--target is {text!r}; allowed: an accuracy of 0 to 1, or a distance to think of less than 1")
    if measure == "tokens" and not relative and target.amount <= 0:
        raise UserError(f"--target is {text!r}; allowed: tokens above 0")
    return target


def pick(rows: Sequence[Row], target: Target) -> dict[str, float]:
    """The point that meets the target best on these problems: the fewest tokens for an accuracy, the highest accuracy
    for a number of tokens. Raises `UserError` where no threshold meets it.

    The cheapest of many points that just hold an accuracy is the luckiest, and fails on other problems every second
    time. So an accuracy has to be held by a standard error, as the one-standard-error rule has it (Breiman et al.,
    1984, section 3.4.3), unless no point does.
    """
    think = (mean(rows, "think", CORRECT), mean(rows, "think", TOKENS))
    met = [at for at in (point(rows, tau) for tau in thresholds(rows)) if target.met(at, think)]
    if target.measure == "accuracy":
        safe = [at for at in met if target.met({**at, "accuracy": at["accuracy"] - _error(rows, at, target)}, think)]
        met = safe or met
    if not met:
        best = max(point(rows, tau)[target.measure] for tau in thresholds(rows))
        least = min(point(rows, tau)[target.measure] for tau in thresholds(rows))
        raise UserError(
            f"no threshold meets the target: {target.measure} goes from {least:.4g} to {best:.4g} on these problems"
        )
    if target.measure == "accuracy":
        return min(met, key=lambda at: (at["tokens"], -at["accuracy"]))
    return max(met, key=lambda at: (at["accuracy"], -at["tokens"]))


def _error(rows: Sequence[Row], at: Mapping[str, float], target: Target) -> float:
    """The standard error of a point's accuracy; where the target is relative, of its distance from always thinking."""
    modes = ["think" if row["p_think"] >= at["tau"] else "no_think" for row in rows]
    gains = [
        row[mode][CORRECT] - (row["think"][CORRECT] if target.relative else 0)
        for row, mode in zip(rows, modes, strict=True)
    ]
    return float(np.std(gains)) / math.sqrt(len(gains))


def halves(rows: Sequence[Row], seed: int = 0) -> tuple[list[Row], list[Row]]:
    """The problems dealt into two halves, the same ones for the same problems and seed."""
    order = list(rows)
    random.Random(f"halves-{seed}").shuffle(order)
    return order[: len(order) // 2], order[len(order) // 2 :]


def logit_bias(tau: float) -> float:
    """What to add to the logit of the no_think switch, so that greedy decoding over the two switches obeys τ:
    log(τ / (1 − τ)). think wins iff log p_T ≥ log p_N + bias, that is p_T / (p_T + p_N) ≥ τ.

    >>> round(logit_bias(0.5), 6)
    0.0
    """
    if tau <= 0 or tau >= 1:
        return math.copysign(100.0, tau - 0.5)
    return math.log(tau / (1 - tau))


def priced_mode(probabilities: Mapping[str, float], costs: Mapping[str, float], price: float) -> str:
    """The mode m with the largest log p_m − λ·c_m, of any number of modes; `price` is λ, in nats a unit of cost (0: the
    likeliest mode, ∞: the cheapest). The dearer one of two that are equal; a mode of probability 0 never.

    >>> priced_mode({"think": 0.6, "no_think": 0.4}, {"think": 300, "no_think": 20}, 0.01)
    'no_think'
    """
    possible = [mode for mode, p in probabilities.items() if p > 0]
    if not possible:
        raise ValueError("no mode has a probability above 0")
    if math.isinf(price):
        return min(possible, key=lambda mode: costs[mode] * math.copysign(1, price))
    return max(possible, key=lambda mode: (math.log(probabilities[mode]) - price * costs[mode], costs[mode]))


def price_of(tau: float, think: float, no_think: float) -> float:
    """The price λ at which `priced_mode` over the two modes is the dial at τ: log(τ/(1−τ)) / (c_T − c_N), from
    log p_T − λ·c_T ≥ log p_N − λ·c_N. τ lies strictly between 0 and 1, and the costs c differ.

    >>> round(price_of(0.5, 300, 20), 6)
    0.0
    """
    return math.log(tau / (1 - tau)) / (think - no_think)

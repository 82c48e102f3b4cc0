"""What a comparison on a fixed set of worlds can say: differences, intervals, Holm, what five seeds can see. Pure.

Worlds are fixed, not a sample: nothing is said about other worlds. The runs of a world differ by seed, and two
algorithms share the cold start of a seed, so a difference is paired by world and seed. With d_ws the difference of
world w (of W) and seed s (of n_w), d_w its mean over the seeds and s_w their sample standard deviation:

    difference       d = Σ_w d_w / W
    standard error   √(Σ_w s_w² / n_w) / W
    interval, p      bootstrap of seeds within worlds: n_w − 1 of a world's n_w seeds drawn with replacement, so that
                     the variance of a drawn mean is s_w² / n_w (Rao and Wu 1988); percentiles; p is twice the smaller
                     share of draws on one side of 0, counting one draw more (Davison and Hinkley 1997, 4.2.3)
    Holm             of m p-values in rising order the k-th is multiplied by m − k + 1, none below the one before it
                     (Holm 1979)
    detectable       (z_{1−α/2m} + z_{power}) · standard error: the true difference that the first step of Holm finds
                     with this power
    a world with one seed shows no spread: then there is a difference and nothing that is said about it; with fewer than
    12 degrees of freedom, Σ_w (n_w − 1), a named comparison has no interval and no p: the bootstrap's is too narrow
    then (of normal differences it holds the truth 87 times in 100 with one world of five seeds, 92 to 93 with 12, 94
    with six worlds of five)
    win, tie, loss   a world whose 95 % t interval of d_w lies above, around or below 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev
from typing import Any, Literal

import numpy as np

from rl.statistics.intervals import mean_interval

DRAWS, LEAST_FREEDOM = 10_000, 12
P_FLOOR = 2 / (DRAWS + 1)
ALPHA, POWER = 0.05, 0.8
Differences = Mapping[str, Sequence[float]]
Cells = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """A mean of world differences with its 95 % interval, p and standard error; None where a world has one seed."""

    mean: float
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    error: float | None = None


def paired_differences(cells: Cells, ours: str, peer: str, measure: str = "utility") -> dict[str, list[float]]:
    """By world, what `ours` has more than `peer` in the runs of the same seed; runs that failed pair with nothing."""
    known = {(c["world"], c["seed"], c["algorithm"]): c[measure] for c in cells if "error" not in c}
    found: dict[str, list[float]] = {}
    for (world, seed, name), value in sorted(known.items()):
        if name == ours and (world, seed, peer) in known:
            found.setdefault(world, []).append(value - known[world, seed, peer])
    return found


def compared(differences: Differences, seed: int = 0) -> Difference:
    """The mean of the world differences and its bootstrap; the same differences give the same interval."""
    mean = sum(sum(values) / len(values) for values in differences.values()) / len(differences)
    if min(map(len, differences.values())) < 2:
        return Difference(mean)
    error = standard_error(spreads(differences), counts(differences))
    rng = np.random.default_rng(seed)
    drawn = np.zeros(DRAWS)
    for values in differences.values():
        picks = rng.integers(0, len(values), size=(DRAWS, len(values) - 1))
        drawn += np.asarray(values, dtype=float)[picks].mean(axis=1) / len(differences)
    side = min(int((drawn <= 1e-12).sum()), int((drawn >= -1e-12).sum()))
    lower, upper = np.quantile(drawn, [0.025, 0.975])
    p = min(1.0, 2 * (side + 1) / (DRAWS + 1))
    return Difference(mean, float(lower), float(upper), p, error)


def spreads(differences: Differences) -> dict[str, float]:
    """s_w by world; worlds with one seed say nothing of it."""
    return {world: stdev(values) for world, values in differences.items() if len(values) > 1}


def counts(differences: Differences) -> dict[str, int]:
    """n_w by world."""
    return {world: len(values) for world, values in differences.items()}


def standard_error(spread: Mapping[str, float], seeds: Mapping[str, int]) -> float:
    """Of the mean of the differences of the worlds in `spread`.

    >>> round(standard_error({"a": 0.02, "b": 0.02}, {"a": 4, "b": 4}), 6)
    0.007071
    """
    return math.sqrt(sum(s**2 / seeds[world] for world, s in spread.items())) / len(spread)


def holm(p_values: Mapping[str, float], comparisons: int = 0) -> dict[str, float]:
    """Adjusted p-values, in the order given; `comparisons` where more were named than have a p.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted: dict[str, float] = {}
    so_far = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        so_far = max(so_far, min(1.0, (max(comparisons, len(p_values)) - rank) * p_values[name]))
        adjusted[name] = so_far
    return {name: adjusted[name] for name in p_values}


def detectable(error: float, comparisons: int) -> float:
    """The true difference that is found with 80 % power at a familywise 5 %, given the standard error."""
    normal = NormalDist()
    return (normal.inv_cdf(1 - ALPHA / (2 * comparisons)) + normal.inv_cdf(POWER)) * error


def seeds_needed(spread: Mapping[str, float], target: float, comparisons: int) -> int:
    """The fewest seeds a world with which a difference of `target` is detectable."""
    one = detectable(standard_error(spread, dict.fromkeys(spread, 1)), comparisons)
    return max(2, math.ceil((one / target) ** 2 - 1e-9))


def outcome(values: Sequence[float]) -> Literal["win", "tie", "loss"]:
    """Of one world."""
    interval = mean_interval(values)
    if interval.half is None or abs(interval.mean) <= interval.half:
        return "tie"
    return "win" if interval.mean > 0 else "loss"


def named_comparisons(cells: Cells, ours: str, peers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By peer: the difference in U with its interval, p, Holm's p, wins, ties and losses by world, and the difference
    that these seeds can detect. Peers without a shared run are left out."""
    found: dict[str, dict[str, Any]] = {}
    for peer in peers:
        differences = paired_differences(cells, ours, peer)
        if not differences:
            continue
        result = compared(differences)
        said = result.p is not None and sum(n - 1 for n in counts(differences).values()) >= LEAST_FREEDOM
        outcomes = [outcome(values) for values in differences.values()]
        found[peer] = {
            "difference": result.mean,
            "interval": [result.lower, result.upper] if said else None,
            "p": result.p if said else None,
            "detectable": None if result.error is None else detectable(result.error, len(peers)),
            "worlds": {world: sum(values) / len(values) for world, values in differences.items()},
            "seeds": counts(differences),
            **{name: outcomes.count(name) for name in ("win", "tie", "loss")},
        }
    adjusted = holm({peer: row["p"] for peer, row in found.items() if row["p"] is not None}, len(peers))
    for peer, row in found.items():
        row["holm"] = adjusted.get(peer)
    return found

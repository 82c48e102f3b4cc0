"""Which chains a student learns from. Pure.

thoughtx   EasyDistill's filter of the ThoughtX recipe: correctness 1, verbosity 3 to 5, difficulty 4; unknown is 0
mixer      EasyDistill 2.0: correct chains in bins of difficulty, of each bin those nearest to its verbosity target;
           the last edge itself is a bin of its own, as there
student    by the student's own pass rates p_T, p_N (label rows of scripts/label_necessity.py):
           p_N > 0 and p_T − p_N ≤ margin   no thinking at all
           p_T ≥ 0.75                       the shortest correct chain
           else                             the correct chain whose verbosity is nearest to its difficulty
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from rl.distillation.chains import UNKNOWN, Chain
from rollout.errors import UserError

BINS = (0.0, 3.0, 6.0, 10.0)
TARGETS = {"low": 2.0, "medium": 5.0, "high": 8.0}
LITTLE = 0.75
MARGIN = 0.05


def thoughtx(chains: Sequence[Chain]) -> list[Chain]:
    """The chains that EasyDistill's filter keeps, in their order."""
    return [
        chain
        for chain in chains
        if chain.correctness == 1 and 3 <= max(chain.verbosity, 0) <= 5 and max(chain.difficulty, 0) == 4
    ]


def mixer(
    chains: Sequence[Chain],
    samples_per_bin: int = 0,
    *,
    bins: Sequence[float] = BINS,
    target: str | float = "matched",
    min_correctness: int = 1,
) -> list[Chain]:
    """Of each bin of difficulty the correct chains nearest to its verbosity target (`samples_per_bin` 0: all, in that
    order); ties stay in their order, an unknown verbosity is infinitely far. Raises `UserError` for bins or a target
    that are none."""
    return [chain for chain, _, _ in mixed(chains, samples_per_bin, bins, target, min_correctness)]


def mixed(
    chains: Sequence[Chain],
    samples_per_bin: int,
    bins: Sequence[float],
    target: str | float,
    min_correctness: int = 1,
) -> list[tuple[Chain, int, float]]:
    """The same, each chain with its bin and the bin's target."""
    if len(bins) < 2 or list(bins) != sorted(set(bins)):
        raise UserError(f"cd_bins is {list(bins)}; allowed: two or more rising numbers")
    if isinstance(target, str) and target != "matched" and target not in TARGETS:
        raise UserError(f"rv_target is {target!r}; allowed: matched, {', '.join(TARGETS)}, or a number")
    binned: dict[int, list[Chain]] = {}
    for chain in chains:
        inside = chain.difficulty != UNKNOWN and bins[0] <= chain.difficulty <= bins[-1]
        if inside and chain.correctness != UNKNOWN and chain.correctness >= min_correctness:
            binned.setdefault(bisect_right(bins, chain.difficulty) - 1, []).append(chain)
    chosen = []
    for place in sorted(binned):
        wanted = verbosity_target(place, len(bins) - 1, target)
        ranked = sorted((_distance(chain.verbosity, wanted), i) for i, chain in enumerate(binned[place]))
        chosen += [(binned[place][i], place, wanted) for _, i in ranked[: samples_per_bin or None]]
    return chosen


def verbosity_target(place: int, bins: int, target: str | float = "matched") -> float:
    """The target of a bin; matched: from 2 in the first to 10 in the last, 5 where there is one bin alone.

    >>> [verbosity_target(i, 3) for i in range(3)], verbosity_target(0, 1)
    ([2.0, 6.0, 10.0], 5.0)
    """
    if not isinstance(target, str):
        return float(target)
    if target in TARGETS:
        return TARGETS[target]
    return round(2 + place * 8 / (bins - 1), 2) if bins > 1 else 5.0


def student(
    chains: Sequence[Chain], labels: Mapping[str, Mapping[str, Any]], *, margin: float = MARGIN
) -> dict[str, Chain | None]:
    """By problem id the chain to learn from, None where the student shall not think. Problems without a label, and
    those that should think but have no correct chain, are left out."""
    by_problem: dict[str, list[Chain]] = {}
    for chain in chains:
        if chain.correctness == 1 and chain.thought:
            by_problem.setdefault(chain.problem, []).append(chain)
    chosen: dict[str, Chain | None] = {}
    for problem, label in labels.items():
        think, direct = (float(label[mode]["pass_rate"]) for mode in ("think", "no_think"))
        right = by_problem.get(problem, [])
        if direct > 0 and think - direct <= margin + 1e-9:
            chosen[problem] = None
        elif right and think >= LITTLE:
            chosen[problem] = min(right, key=lambda chain: len(chain.thought))
        elif right:
            chosen[problem] = min(right, key=lambda c: (_distance(c.verbosity, c.difficulty), len(c.thought)))
    return chosen


def _distance(verbosity: float, target: float) -> float:
    return float("inf") if UNKNOWN in (verbosity, target) else abs(verbosity - target)

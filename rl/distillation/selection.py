"""Which chains a student learns from. Pure.

thoughtx   EasyDistill's filter of the ThoughtX recipe: correctness 1, verbosity 3 to 5, difficulty 4; unknown is 0
mixer      EasyDistill 2.0: correct chains in bins of difficulty, of each bin those nearest to its verbosity target
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
    chains: Sequence[Chain], samples_per_bin: int, *, bins: Sequence[float] = BINS, target: str = "matched"
) -> list[Chain]:
    """Of each bin of difficulty the correct chains nearest to its verbosity target; ties stay in their order, an
    unknown verbosity is infinitely far. Raises `UserError` for bins or a target that are none."""
    if len(bins) < 2 or list(bins) != sorted(set(bins)):
        raise UserError(f"cd_bins is {list(bins)}; allowed: two or more rising numbers")
    if target != "matched" and target not in TARGETS:
        raise UserError(f"rv_target is {target!r}; allowed: matched, {', '.join(TARGETS)}")
    binned: dict[int, list[Chain]] = {}
    for chain in chains:
        place = bisect_right(bins, chain.difficulty) - 1
        if chain.correctness >= 1 and 0 <= place < len(bins) - 1:
            binned.setdefault(place, []).append(chain)
    chosen = []
    for place in sorted(binned):
        wanted = verbosity_target(place, len(bins) - 1) if target == "matched" else TARGETS[target]
        ranked = sorted((_distance(chain.verbosity, wanted), i) for i, chain in enumerate(binned[place]))
        chosen += [binned[place][i] for _, i in ranked[:samples_per_bin]]
    return chosen


def verbosity_target(place: int, bins: int) -> float:
    """The target of a bin: from 2 in the first to 10 in the last.

    >>> [verbosity_target(i, 3) for i in range(3)]
    [2.0, 6.0, 10.0]
    """
    return round(2 + place * 8 / (bins - 1), 2) if bins > 1 else 2.0


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

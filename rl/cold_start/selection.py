"""Which labelled problems to keep: those of middling complexity first, some easy and some hard ones too.

    P(keep) = max( floor, exp( −(C − mu)² / (2 sigma²) ) )          C = 1 − mean correctness

a normal density around `mu`, slightly under one half, scaled to peak at 1 (Pangu Embedded, arXiv 2505.22375, eq. 2);
the floor is ours: without problems that are always or never solved, the policy would see no case for either mode.
The draw of a problem depends on the seed and its id alone, so order and company do not matter.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.config.cold_start import SelectConfig
from rollout.errors import UserError

BINS = 20


def keep_probability(complexity: float, settings: SelectConfig) -> float:
    """P(keep) of a problem with this complexity."""
    distance = (complexity - settings.mu) / settings.sigma
    return max(settings.floor, math.exp(-distance * distance / 2))


def is_kept(problem_id: str, complexity: float, settings: SelectConfig, seed: int) -> bool:
    """The draw of one problem."""
    return random.Random(f"select-{seed}-{problem_id}").random() < keep_probability(complexity, settings)


def select(rows: Sequence[Mapping[str, Any]], settings: SelectConfig, seed: int) -> list[Mapping[str, Any]]:
    """The labelled rows that are kept, in their order: each by its own draw, or `settings.problems` of them, drawn
    without replacement with the same probabilities as weights (Efraimidis and Spirakis 2006: the largest u^(1/w)).
    Raises `UserError` for a row without a label and for a number that there is not."""
    if not settings.problems:
        return [row for row in rows if is_kept(row["id"], complexity_of(row), settings, seed)]
    if settings.problems > len(rows):
        raise UserError(f"select.problems is {settings.problems}; allowed: up to the {len(rows)} labelled problems")
    keys = {row["id"]: _key(row, settings, seed) for row in rows}
    chosen = set(sorted(keys, key=lambda one: -keys[one])[: settings.problems])
    return [row for row in rows if row["id"] in chosen]


def _key(row: Mapping[str, Any], settings: SelectConfig, seed: int) -> float:
    """log(u) / w of a row, which orders rows as u^(1/w) does; minus infinity where the weight is 0."""
    weight = keep_probability(complexity_of(row), settings)
    number = random.Random(f"select-{seed}-{row['id']}").random()
    return math.log(max(number, 1e-300)) / weight if weight else -math.inf


def complexity_of(row: Mapping[str, Any]) -> float:
    """C of a labelled row."""
    label = row.get("label")
    value = label.get("complexity") if isinstance(label, Mapping) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise UserError(f"row {row.get('id')!r} has no label.complexity; allowed: rows of scripts/label_necessity.py")
    return float(value)


def plot_selection(
    path: Path, rows: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, Any]], settings: SelectConfig
) -> None:
    """A PNG: how many problems of each complexity there are and are kept, and the probability of keeping one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    counts = figure.add_subplot(xlabel="complexity C = 1 − mean correctness", ylabel="problems")
    edges = [i / BINS for i in range(BINS + 1)]
    counts.hist([complexity_of(r) for r in rows], bins=edges, color="#d9dce3", label=f"labelled ({len(rows)})")
    counts.hist([complexity_of(r) for r in kept], bins=edges, color="#0b6bb3", label=f"kept ({len(kept)})")
    probability = counts.twinx()
    probability.set(ylim=(0, 1.05), ylabel="probability of being kept")
    grid = [i / 200 for i in range(201)]
    probability.plot(grid, [keep_probability(c, settings) for c in grid], color="#c2500a")
    counts.legend(loc="upper right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)

"""What an evaluation before and after RL says about judging, with 95 % intervals over the problems.

Problems are drawn anew with replacement (percentile bootstrap), the same ones before and after, so that what both
evaluations have in common cancels. Intervals say nothing about seeds: those are runs of their own.

    accuracy lost   better forced think (before, after) − auto after          allowed: at most 0.01
    tokens          auto after / shorter forced think (before, after)         allowed: at most 0.60
    captured        share of the oracle router's saving, as in rl/reports/tables.py   allowed: at least 0.90
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rl.reports.tables import MODE_LABELS

DRAWS = 1000
LOST, TOKENS, CAPTURED = 0.01, 0.60, 0.90
ROUNDING = 1e-9
Problem = Mapping[str, Any]
Pair = tuple[Problem, Problem]


def interval(pairs: Sequence[Pair], measure: Callable[[Sequence[Pair]], float]) -> tuple[float, float, float]:
    """(value, lower end, upper end) of a measure of these problems."""
    rng = random.Random("intervals")
    drawn = sorted(measure(rng.choices(pairs, k=len(pairs))) for _ in range(DRAWS))
    return measure(pairs), drawn[int(0.025 * DRAWS)], drawn[int(0.975 * DRAWS) - 1]


def paired(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Pair]:
    """The problems that both evaluations have; none where an evaluation does not list its problems."""
    first = {row["id"]: row for row in before.get("problems", ())}
    return [(first[row["id"]], row) for row in after.get("problems", ()) if row["id"] in first]


def lost(pairs: Sequence[Pair]) -> float:
    """Accuracy of the better forced think minus that of auto after RL."""
    return max(_mean(pairs, side, "think", 0) for side in (0, 1)) - _mean(pairs, 1, "auto", 0)


def token_share(pairs: Sequence[Pair]) -> float:
    """Tokens of auto after RL as a share of the shorter forced think's."""
    return _mean(pairs, 1, "auto", 1) / min(_mean(pairs, side, "think", 1) for side in (0, 1))


def captured(pairs: Sequence[Pair]) -> float:
    """Share of the oracle router's saving; 0 where it saves nothing."""
    thinking = min(_mean(pairs, side, "think", 1) for side in (0, 1))
    oracle = _routed(pairs, 1, "oracle", 1)
    return (thinking - _mean(pairs, 1, "auto", 1)) / (thinking - oracle) if thinking > oracle else 0.0


def outcome_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The three measures, then accuracy and tokens of each mode and of two routers before and after, with intervals."""
    pairs = paired(before, after)
    if not pairs:
        return ["no intervals: the evaluations do not list the same problems"]
    lines = [f"{len(pairs)} problems, 95 % intervals over the problems"]
    for name, measure, allowed, sign in (
        ("accuracy that auto loses to forced think", lost, LOST, 1),
        ("tokens of auto / forced think", token_share, TOKENS, 1),
        ("share of the oracle's saving", captured, CAPTURED, -1),
    ):
        value, low, high = interval(pairs, measure)
        verdict = "pass" if sign * value <= sign * allowed + ROUNDING else "FAIL"
        bound = "at most" if sign > 0 else "at least"
        lines.append(f"{verdict}  {name}: {value:.3f} [{low:.3f}, {high:.3f}]; allowed: {bound} {allowed}")
    lines += [_line(pairs, partial(_mean, mode=mode), label) for mode, label in MODE_LABELS.items()]
    return lines + [_line(pairs, partial(_routed, router=name), f"router: {name}") for name in ("oracle", "random")]


def _line(pairs: Sequence[Pair], measure: Callable[..., float], label: str) -> str:
    cells = []
    for column, spec in ((0, ".3f"), (1, ".1f")):
        for side in (0, 1):
            value, low, high = interval(pairs, partial(measure, side=side, column=column))
            cells.append(f"{value:{spec}} [{low:{spec}}, {high:{spec}}]")
    return f"{label}: accuracy {cells[0]} → {cells[1]}, tokens {cells[2]} → {cells[3]}"


def _mean(pairs: Sequence[Pair], side: int, mode: str, column: int) -> float:
    return float(sum(pair[side][mode][column] for pair in pairs)) / len(pairs)


def _routed(pairs: Sequence[Pair], side: int, router: str, column: int) -> float:
    """The routers of rl/evaluation/evaluate.py on these problems."""
    if router == "random":
        rate = sum(pair[side]["thinks"] for pair in pairs) / len(pairs)
        return rate * _mean(pairs, side, "think", column) + (1 - rate) * _mean(pairs, side, "no_think", column)
    rows = [pair[side] for pair in pairs]
    return float(sum(row["no_think" if row["no_think"][0] >= 1 else "think"][column] for row in rows)) / len(pairs)

"""What an evaluation before and after RL says about judging, with 95 % intervals over the problems.

Problems are drawn anew with replacement (percentile bootstrap), the same ones before and after, so that what both
evaluations have in common cancels. Intervals say nothing about seeds: those are runs of their own.

    accuracy lost   better forced think (before, after) − auto after          allowed: at most 0.01
    tokens          auto after / shorter forced think (before, after)         allowed: at most 0.60
    captured        share of the oracle router's saving, as in rl/reports/tables.py   allowed: at least 0.90
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rl.statistics.intervals import bootstrap
from rl.statistics.names import MODE_LABELS
from rl.statistics.routers import CORRECT, TOKENS, mean, oracle_routes, random_mean

LOST, SHARE, CAPTURED = 0.01, 0.60, 0.90
ROUNDING = 1e-9
Problem = Mapping[str, Any]
Pair = tuple[Problem, Problem]


def paired(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Pair]:
    """The problems that both evaluations have; none where an evaluation does not list its problems."""
    first = {row["id"]: row for row in before.get("problems", ())}
    return [(first[row["id"]], row) for row in after.get("problems", ()) if row["id"] in first]


def lost(pairs: Sequence[Pair]) -> float:
    """Accuracy of the better forced think minus that of auto after RL."""
    return max(_mean(pairs, side, "think", CORRECT) for side in (0, 1)) - _mean(pairs, 1, "auto", CORRECT)


def token_share(pairs: Sequence[Pair]) -> float:
    """Tokens of auto after RL as a share of the shorter forced think's."""
    return _mean(pairs, 1, "auto", TOKENS) / min(_mean(pairs, side, "think", TOKENS) for side in (0, 1))


def captured(pairs: Sequence[Pair]) -> float:
    """Share of the oracle router's saving; 0 where it saves nothing."""
    thinking = min(_mean(pairs, side, "think", TOKENS) for side in (0, 1))
    oracle = _routed(pairs, 1, "oracle", TOKENS)
    return (thinking - _mean(pairs, 1, "auto", TOKENS)) / (thinking - oracle) if thinking > oracle else 0.0


def outcome_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The three measures, then accuracy and tokens of each mode and of two routers before and after, with intervals."""
    pairs = paired(before, after)
    if not pairs:
        return ["no intervals: the evaluations do not list the same problems"]
    lines = [f"{len(pairs)} problems, 95 % intervals over the problems"]
    for name, measure, allowed, sign in (
        ("accuracy that auto loses to forced think", lost, LOST, 1),
        ("tokens of auto / forced think", token_share, SHARE, 1),
        ("share of the oracle's saving", captured, CAPTURED, -1),
    ):
        value, low, high = bootstrap(pairs, measure)
        verdict = "pass" if sign * value <= sign * allowed + ROUNDING else "FAIL"
        bound = "at most" if sign > 0 else "at least"
        lines.append(f"{verdict}  {name}: {value:.3f} [{low:.3f}, {high:.3f}]; allowed: {bound} {allowed}")
    lines += [_line(pairs, partial(_mean, mode=mode), label) for mode, label in MODE_LABELS.items()]
    return lines + [_line(pairs, partial(_routed, router=name), f"router: {name}") for name in ("oracle", "random")]


def _line(pairs: Sequence[Pair], measure: Callable[..., float], label: str) -> str:
    cells = []
    for column, spec in ((0, ".3f"), (1, ".1f")):
        for side in (0, 1):
            value, low, high = bootstrap(pairs, partial(measure, side=side, column=column))
            cells.append(f"{value:{spec}} [{low:{spec}}, {high:{spec}}]")
    return f"{label}: accuracy {cells[0]} → {cells[1]}, tokens {cells[2]} → {cells[3]}"


def _mean(pairs: Sequence[Pair], side: int, mode: str, column: int) -> float:
    return mean([pair[side] for pair in pairs], mode, column)


def _routed(pairs: Sequence[Pair], side: int, router: str, column: int) -> float:
    rows = [pair[side] for pair in pairs]
    if router == "random":
        return random_mean(rows, column)
    return float(sum(row[mode][column] for row, mode in zip(rows, oracle_routes(rows), strict=True))) / len(rows)

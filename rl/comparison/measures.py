"""The statistics of a comparison of algorithms. Pure.

Evaluations (dicts of `rl.evaluation.outcomes.summarize`) and curves go in, numbers come out.

    U        = accuracy − 0.2 · tokens / T          T: forced-think tokens of the cold start, the same for all
    regret   = U(oracle router) − U(auto)           both on the trained model: what its routing costs, not its answers
    reach    = tokens generated until U(probe) ≥ 0.95 · U(oracle router of the cold start), first time; None: never
    collapse = one mode is chosen on under 2 % of the problems while at least 10 % are at levels that need it, or auto
               is more than 10 points less accurate than the cold start's auto. A level needs thinking where the cold
               start's forced thoughts are more than 5 points, and more than two standard errors of the difference,
               more accurate than its direct answers; without levels the oracle router decides, which also takes the
               lucky guesses of a level that needs thinking

Intervals are over the runs, one a seed (`rl/statistics/intervals.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rl.statistics.choice import utility
from rl.statistics.intervals import mean_interval

REACHED = 0.95
DEAD, NEEDED, LOST, WORTH = 0.02, 0.10, 0.10, 0.05
Result = Mapping[str, Any]


def oracle_utility(result: Result, always_think: float) -> float:
    """U of the router that answers directly exactly where that is right."""
    oracle = result["routers"]["oracle"]
    return utility(oracle["accuracy"], oracle["mean_tokens"], always_think)


def auto_utility(result: Result, always_think: float) -> float:
    """U of the policy's own choice."""
    auto = result["modes"]["auto"]
    return utility(auto["accuracy"], auto["mean_tokens"], always_think)


def tokens_to_reach(curve: Sequence[tuple[float, float]], target: float) -> float | None:
    """The tokens of the first (tokens, U) that is at least the target."""
    return next((tokens for tokens, value in curve if value >= target), None)


def collapsed(before: Result, after: Result) -> bool:
    """The definition of the module docstring."""
    needed, rate = thinking_needed(before), after["modes"]["auto"]["think_rate"]
    dead = (rate < DEAD and needed >= NEEDED) or (rate > 1 - DEAD and 1 - needed >= NEEDED)
    return dead or after["modes"]["auto"]["accuracy"] < before["modes"]["auto"]["accuracy"] - LOST


def thinking_needed(before: Result) -> float:
    """The share of the problems that need thinking, as the module docstring says."""
    levels = before.get("by_difficulty", {}).values()
    if not levels:
        return float(before["routers"]["oracle"]["think_rate"])
    needy = [level for level in levels if _thinking_helps(level)]
    return sum(level["n"] for level in needy) / sum(level["n"] for level in levels)


def _thinking_helps(level: Result) -> bool:
    think, direct = (level[mode]["accuracy"] for mode in ("think", "no_think"))
    error = math.sqrt((think * (1 - think) + direct * (1 - direct)) / level["n"])
    return think - direct > max(WORTH, 2 * error)


def curve(records: Sequence[Mapping[str, float]], always_think: float) -> list[tuple[float, float]]:
    """(tokens generated, U) of every step with a probe."""
    return [
        (record["tokens/spent"], utility(record["probe/accuracy"], record["probe/tokens"], always_think))
        for record in records
        if "probe/accuracy" in record
    ]


def measures(before: Result, after: Result, probe: Result, records: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What one run came to. `before` and `after` are the evaluations of the cold start and of the trained model,
    `probe` the cold start's on the probe's problems, `records` the lines of metrics.jsonl."""
    always, always_probe = (result["modes"]["think"]["mean_tokens"] for result in (before, probe))
    points = curve(records, always_probe)
    auto = after["modes"]["auto"]
    return {
        "accuracy": auto["accuracy"],
        "tokens": auto["mean_tokens"],
        "think_easy": after["easy"].get("auto", {}).get("think_rate"),
        "think_hard": after["hard"].get("auto", {}).get("think_rate"),
        "utility": auto_utility(after, always),
        "oracle_utility": oracle_utility(before, always),
        "regret": oracle_utility(after, always) - auto_utility(after, always),
        "reach": tokens_to_reach(points, REACHED * oracle_utility(probe, always_probe)),
        "collapsed": collapsed(before, after),
        "always_think": always,
        "spent": records[-1]["tokens/spent"],
        "steps": records[-1]["step"],
        "curve": points,
    }


NUMBERS = ("accuracy", "tokens", "think_easy", "think_hard", "utility", "regret")


def summary(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of the table: the runs of one algorithm on one world, a seed each. In `reach` a run that never got there
    counts with all the tokens it spent, so with `reached` below `n` the mean is a lower bound."""
    row: dict[str, Any] = {"n": len(cells), "collapsed": sum(bool(cell["collapsed"]) for cell in cells)}
    for name in NUMBERS:
        values = [cell[name] for cell in cells if cell[name] is not None]
        row[name] = mean_interval(values) if values else None
    row["reach"] = mean_interval([cell["spent"] if cell["reach"] is None else cell["reach"] for cell in cells])
    row["reached"] = sum(cell["reach"] is not None for cell in cells)
    return row


def overall(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """By algorithm, over the worlds of `rows[world][algorithm]`: mean U, the largest distance to a world's best U, mean
    tokens to 95 % of the oracle's U and in how many runs that was reached, and how many runs collapsed."""
    names = dict.fromkeys(name for world in rows.values() for name in world)
    found = {}
    for name in names:
        mine = {world: row[name] for world, row in rows.items() if name in row}
        best = {world: max(r["utility"].mean for r in rows[world].values()) for world in mine}
        found[name] = {
            "worlds": len(mine),
            "utility": sum(row["utility"].mean for row in mine.values()) / len(mine),
            "behind": max(best[world] - row["utility"].mean for world, row in mine.items()),
            "reach": sum(row["reach"].mean for row in mine.values()) / len(mine),
            "reached": sum(row["reached"] for row in mine.values()),
            "collapsed": sum(row["collapsed"] for row in mine.values()),
            "runs": sum(row["n"] for row in mine.values()),
        }
    return found

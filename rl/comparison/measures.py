"""The statistics of a comparison of algorithms. Pure.

Evaluations (dicts of `rl.evaluation.outcomes.summarize`) and curves go in, numbers come out.

    U        = accuracy − 0.2 · tokens / T          T: forced-think tokens of the cold start, the same for all
    regret   = U(oracle router) − U(auto)           both on the trained model: what its routing costs, not its answers
    reach    = tokens generated until U(probe) ≥ 0.95 · U(oracle router of the cold start), first time; None: never
    arrival  = the optimizer step and the seconds of training at that moment
    drift    = the best U of the probe − its last U: what a run lost after it had it
    change   = accuracy of a forced mode after − before, over all problems: what became of the answers
    collapse = one mode is chosen on under 2 % of the problems while at least 10 % are at levels that need it, or auto
               is more than 10 points less accurate than the cold start's auto. A level needs thinking where the cold
               start's forced thoughts are more than 5 points, and more than two standard errors of the difference,
               more accurate than its direct answers; without levels the oracle router decides, which also takes the
               lucky guesses of a level that needs thinking

Beside a run stand the ways to choose that take no judgment: always and never thinking, on the cold start, and thinking
at random at the run's own rate, on the trained model. Intervals are over the runs, one a seed
(`rl/statistics/intervals.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
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


def mode_utility(result: Result, mode: str, always_think: float) -> float:
    """U of a mode, or of a free choice (`auto`)."""
    row = result["modes"][mode]
    return utility(row["accuracy"], row["mean_tokens"], always_think)


def tokens_to_reach(curve: Sequence[tuple[float, float]], target: float) -> float | None:
    """The tokens of the first (tokens, U) that is at least the target."""
    return next((tokens for tokens, value in curve if value >= target), None)


def arrival(records: Sequence[Mapping[str, float]], tokens: float | None) -> dict[str, float | None]:
    """The optimizer step and the seconds of training up to the probe that came after these tokens; None: never. The
    steps on one generation have the same tokens, and the last of them has the probe."""
    found = (k for k, record in enumerate(records) if record["tokens/spent"] == tokens and "probe/accuracy" in record)
    place = next(found, None)
    if place is None:
        return {"reach_steps": None, "reach_seconds": None}
    seconds = sum(record.get("time/step", 0.0) for record in records[: place + 1])
    return {"reach_steps": records[place]["step"], "reach_seconds": round(seconds, 2)}


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
    reach = tokens_to_reach(points, REACHED * oracle_utility(probe, always_probe))
    return {
        "accuracy": auto["accuracy"],
        "tokens": auto["mean_tokens"],
        "think_easy": after["easy"].get("auto", {}).get("think_rate"),
        "think_hard": after["hard"].get("auto", {}).get("think_rate"),
        "utility": mode_utility(after, "auto", always),
        "oracle_utility": oracle_utility(before, always),
        "regret": oracle_utility(after, always) - mode_utility(after, "auto", always),
        "reach": reach,
        **arrival(records, reach),
        "drift": max(value for _, value in points) - points[-1][1] if points else None,
        "collapsed": collapsed(before, after),
        **beside(before, after, always),
        "always_think": always,
        "spent": records[-1]["tokens/spent"],
        "steps": records[-1]["step"],
        "train_seconds": round(sum(record.get("time/step", 0.0) for record in records), 1),
        "curve": points,
    }


def beside(before: Result, after: Result, always: float) -> dict[str, float | None]:
    """U of the choices without judgment, and how forced answers changed; None where an evaluation lacks them."""
    random = after["routers"].get("random")
    found: dict[str, float | None] = {
        "start_utility": mode_utility(before, "auto", always),
        "random_utility": utility(random["accuracy"], random["mean_tokens"], always) if random else None,
    }
    for mode in ("think", "no_think"):
        known = mode in before["modes"]
        found[f"always_{mode}_utility"] = mode_utility(before, mode, always) if known else None
        both = known and mode in after["modes"]
        found[f"change_{mode}"] = after["modes"][mode]["accuracy"] - before["modes"][mode]["accuracy"] if both else None
    return found


NUMBERS: tuple[str, ...] = (
    "accuracy",
    "tokens",
    "think_easy",
    "think_hard",
    "utility",
    "regret",
    "random_utility",
    "drift",
)
NUMBERS += ("change_think", "change_no_think", "steps", "train_seconds")
ARRIVAL = {"reach": "spent", "reach_steps": "steps", "reach_seconds": "train_seconds"}


def summary(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of the table: the runs of one algorithm on one world, a seed each. `reach`, `reach_steps` and
    `reach_seconds` are medians in which a run that never got there counts with its whole budget; `bounds` names those
    that may be higher."""
    row: dict[str, Any] = {"n": len(cells), "collapsed": sum(bool(cell["collapsed"]) for cell in cells)}
    for name in NUMBERS:
        values = [cell[name] for cell in cells if cell.get(name) is not None]
        row[name] = mean_interval(values) if values else None
    for name, whole in ARRIVAL.items():
        row[name] = arrival_median(cells, name, whole)
    row["reached"] = sum(cell["reach"] is not None for cell in cells)
    row["bounds"] = bounds(cells)
    return row


def arrival_median(cells: Sequence[Mapping[str, Any]], name: str = "reach", whole: str = "spent") -> float | None:
    """The median over the runs, each that never arrived with what it spent in all; None where no run says it."""
    values = [value for value, _ in _arrivals(cells, name, whole)]
    return float(median(values)) if values else None


def _arrivals(cells: Sequence[Mapping[str, Any]], name: str, whole: str) -> list[tuple[float, bool]]:
    """(what each run took, or spent in all, and whether it never arrived), in rising order."""
    known = [cell for cell in cells if name in cell and cell.get(whole) is not None]
    return sorted((cell[whole] if cell[name] is None else cell[name], cell[name] is None) for cell in known)


def bounds(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The measures of arrival whose median is a lower bound alone: a run that never arrived counts with no more than
    those in the middle, and what it would have taken may lie above them.

    >>> long, late, early = ({"reach": r, "spent": s} for r, s in ((None, 40), (200, 400), (5, 40)))
    >>> bounds([early, late, long]), bounds([early, early, long])
    (['reach'], [])
    """
    found = []
    for name, whole in ARRIVAL.items():
        values = _arrivals(cells, name, whole)
        if any(never and value <= values[len(values) // 2][0] for value, never in values):
            found.append(name)
    return found


def overall(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By algorithm, over the worlds of its runs: mean U, the largest distance to a world's best U, the medians over all
    its runs of what it took to 95 % of the oracle's U, in how many runs that was reached, and how many collapsed."""
    worlds = list(dict.fromkeys(cell["world"] for cell in cells))
    names = list(dict.fromkeys(cell["algorithm"] for cell in cells))
    mean: dict[tuple[str, str], float] = {}
    for world in worlds:
        for name in names:
            values = [c["utility"] for c in cells if (c["world"], c["algorithm"]) == (world, name)]
            if values:
                mean[world, name] = sum(values) / len(values)
    best = {world: max(value for (w, _), value in mean.items() if w == world) for world in worlds}
    found = {}
    for name in names:
        runs = [cell for cell in cells if cell["algorithm"] == name]
        mine = {world: mean[world, name] for world in worlds if (world, name) in mean}
        found[name] = {
            "worlds": len(mine),
            "utility": sum(mine.values()) / len(mine),
            "behind": max(best[world] - value for world, value in mine.items()),
            **{measure: arrival_median(runs, measure, whole) for measure, whole in ARRIVAL.items()},
            "steps": arrival_median(runs, "steps", "steps"),
            "reached": sum(cell["reach"] is not None for cell in runs),
            "bounds": bounds(runs),
            "collapsed": sum(bool(cell["collapsed"]) for cell in runs),
            "runs": len(runs),
        }
    return found

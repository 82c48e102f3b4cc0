"""Does a world need judging? What a router by true level pass rates has above the best constant mode, on each start.

The router knows how often each level is solved in each mode and what that costs, and nothing else of a problem: it
takes the mode of higher U for the whole level. Its pass rates come from one half of the test problems and decide the
other, both ways, so that chance decides nothing for itself. A world needs judging where it has at least 0.05 in U more
than always thinking and than never thinking, on the cold start that RL begins with.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rl.comparison.measures import mode_utility
from rl.comparison.runs import Plan, cold_start_results
from rl.files.atomic import write_atomically
from rl.statistics.choice import utility
from rl.statistics.routers import routed

WORTH = 0.05
Row = Mapping[str, Any]


def level_routes(rows: Sequence[Row]) -> list[str]:
    """The mode of each problem by the U of its level in the other half; a level unknown there thinks."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row["difficulty"]].append(place)
    always = sum(row["think"][1] for row in rows) / len(rows)
    routes = ["think"] * len(rows)
    for level in places.values():
        for half in (0, 1):
            known = [rows[place] for place in level[1 - half :: 2]]
            if known and _worth(known, "no_think", always) >= _worth(known, "think", always):
                for place in level[half::2]:
                    routes[place] = "no_think"
    return routes


def judging_worth(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """U of the level router, of both constant modes and of the oracle, and `worth`, what the router has above the
    better constant mode. `evaluation` is that of a cold start."""
    always = evaluation["modes"]["think"]["mean_tokens"]
    rows = evaluation["problems"]
    by_level = routed(rows, level_routes(rows))
    found = {
        "router": utility(by_level["accuracy"], by_level["mean_tokens"], always),
        "think_rate": by_level["think_rate"],
        "think": mode_utility(evaluation, "think", always),
        "no_think": mode_utility(evaluation, "no_think", always),
        "start": mode_utility(evaluation, "auto", always),
    }
    return {**found, "worth": found["router"] - max(found["think"], found["no_think"])}


def check_worlds(
    plan: Plan, worlds: Sequence[str], seeds: Sequence[int], show: Callable[[str], Any]
) -> list[dict[str, Any]]:
    """The rows of `world_rows`, written to worlds.json in the plan's folder."""
    rows = world_rows(plan, worlds, seeds, show)
    write_atomically(plan.folder / "worlds.json", json.dumps({"worlds": rows}, indent=1) + "\n")
    return rows


def world_rows(
    plan: Plan, worlds: Sequence[str], seeds: Sequence[int], show: Callable[[str], Any]
) -> list[dict[str, Any]]:
    """One row a world and start, shown as it is there. Cold starts that are missing are made; those of the comparison's
    runs are these."""
    rows = []
    for seed in seeds:
        for world in worlds:
            before, _ = cold_start_results(plan, world, seed)
            row: dict[str, Any] = {"world": world or "data", "seed": seed, **judging_worth(before)}
            row["levels"] = {
                name: {"n": level["n"], **{mode: level[mode]["accuracy"] for mode in ("think", "no_think")}}
                for name, level in before["by_difficulty"].items()
            }
            rows.append(row)
            show(line(row))
    return rows


def line(row: Mapping[str, Any]) -> str:
    """One start."""
    constant = f"thinking {row['think']:.3f}, direct {row['no_think']:.3f}"
    verdict = "needs judging" if row["worth"] >= WORTH else "a constant mode will do"
    return f"{row['world']} seed {row['seed']}: router {row['router']:.3f}, {constant}: {row['worth']:+.3f}, {verdict}"


def _worth(rows: Sequence[Row], mode: str, always: float) -> float:
    accuracy, tokens = (sum(row[mode][k] for row in rows) / len(rows) for k in (0, 1))
    return float(utility(accuracy, tokens, always))

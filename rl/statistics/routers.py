"""Routers: what choosing the mode of each problem by a rule would give, from the forced modes alone. Pure.

A row is one problem of `eval.json`: `think`, `no_think` and `auto` are each [accuracy, tokens], means over the
problem's samples; `thinks` is how often auto thought, `length` the prompt's tokens.

    oracle   answers directly where that is as accurate and not always wrong, and thinks elsewhere
    random   thinks at auto's own rate (its expectation)
    length   sees only the prompt's length: pass rates on one half of the problems decide the other half, both ways
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MARGIN = 0.05
EPSILON = 1e-9
CORRECT, TOKENS = 0, 1
Row = Mapping[str, Any]


def routers(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The routers of the module docstring, and what share of the oracle's saving auto and they capture."""
    if not rows:
        return {}
    table = {
        "oracle": routed(rows, oracle_routes(rows)),
        "random": {"accuracy": random_mean(rows, CORRECT), "mean_tokens": random_mean(rows, TOKENS)},
        "length": routed(rows, length_routes(rows)),
        "auto": {"mean_tokens": mean(rows, "auto", TOKENS)},
    }
    always = mean(rows, "think", TOKENS)
    saving = always - table["oracle"]["mean_tokens"]
    for row in table.values():
        row["saving_captured"] = (always - row["mean_tokens"]) / saving if saving > 0 else 0.0
    auto = table.pop("auto")
    table["oracle"]["saving_captured_by_auto"] = auto["saving_captured"]
    return table


def oracle_routes(rows: Sequence[Row]) -> list[str]:
    """no_think where it is at least as accurate as think and not always wrong, else think."""
    return ["no_think" if row["no_think"][CORRECT] >= max(row["think"][CORRECT], EPSILON) else "think" for row in rows]


def length_routes(rows: Sequence[Row]) -> list[str]:
    """The mode that prompt length alone would choose, cross-fitted on the two halves."""
    routes = ["think"] * len(rows)
    for parity in (0, 1):
        fitted = [row for i, row in enumerate(rows) if i % 2 != parity]
        overall = _gain(fitted)
        for i in range(parity, len(rows), 2):
            alike = [row for row in fitted if row["length"] == rows[i]["length"]]
            gain = _gain(alike) if alike else overall
            routes[i] = "think" if gain > MARGIN else "no_think"
    return routes


def routed(rows: Sequence[Row], routes: Sequence[str]) -> dict[str, float]:
    """Accuracy, mean tokens and think rate where problem i is answered in mode `routes[i]`."""
    pairs = list(zip(rows, routes, strict=True))
    return {
        "accuracy": _mean([row[mode][CORRECT] for row, mode in pairs]),
        "mean_tokens": _mean([row[mode][TOKENS] for row, mode in pairs]),
        "think_rate": _mean([mode == "think" for mode in routes]),
    }


def random_mean(rows: Sequence[Row], column: int) -> float:
    """What the random router is expected to give: accuracy (`CORRECT`) or tokens (`TOKENS`)."""
    rate = _mean([row["thinks"] for row in rows])
    return rate * mean(rows, "think", column) + (1 - rate) * mean(rows, "no_think", column)


def mean(rows: Sequence[Row], mode: str, column: int) -> float:
    """Mean accuracy or tokens of one mode; 0 over no problems."""
    return _mean([row[mode][column] for row in rows])


def _gain(rows: Sequence[Row]) -> float:
    return _mean([row["think"][CORRECT] - row["no_think"][CORRECT] for row in rows])


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0

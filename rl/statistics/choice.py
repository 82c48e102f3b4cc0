"""What a model's choice of mode is worth, from one table of problems. Pure.

A row is one problem: `think`, `no_think` and `auto` are each [accuracy, tokens], means over the problem's k samples;
`thinks` is the share of auto's samples that thought; `length` the prompt's tokens. Sums run over the n problems.

    oracle        no_think where it is at least as accurate as think and not always wrong, else think
    U             accuracy − 0.2 · tokens / T, T = mean tokens of forced think
    regret        U(oracle) − U(auto)
    no worse      share of problems where auto is as accurate as the better forced mode
    gain          accuracy(auto) − accuracy(random), random thinking at auto's own rate
    saving        (T − tokens(auto)) / (T − tokens(oracle)), the share of the oracle's saving
    AIQ           ∫₀¹ A(x) dx, A the upper concave hull of accuracy over cost and x the cost scaled from the cheaper (0)
                  to the dearer (1) constant mode (RouterBench, arXiv 2403.12031)
    APGR          ∫₀¹ (A(s) − A_N) / (A_T − A_N) ds over the share s of problems that think (RouteLLM, arXiv
                  2406.18665); only where the interval of A_T − A_N lies above 0.02, since it divides by it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rl.statistics.intervals import drawn_means, ends
from rl.statistics.routers import CORRECT, EPSILON, TOKENS, Row, length_routes, oracle_routes

PRICE = 0.2
GAP = 0.02
WAYS = ("think", "no_think", "auto", "oracle", "random", "length")
Point = tuple[float, float]


def utility(accuracy: Any, tokens: Any, always_think: Any) -> Any:
    """U of the module docstring, of numbers or arrays.

    >>> round(utility(0.9, 10.0, 20.0), 6)
    0.8
    """
    return accuracy - PRICE * tokens / always_think


def choice_table(rows: Sequence[Row]) -> dict[str, Any]:
    """Accuracy and tokens of every way to choose, and every measure of the module docstring but the areas, each as
    [value, lower, upper] with 95 % bootstrap intervals over the problems. All numbers are of the same draws, so that
    differences are paired; where the oracle saves nothing its share is 0."""
    if not rows:
        return {}
    names, columns_NC = _columns(rows)
    means = dict(zip(names, drawn_means(columns_NC).T, strict=True))
    for column in ("accuracy", "tokens"):
        means[f"random/{column}"] = _mixed(means, column)
    table = {way: {column: ends(means[f"{way}/{column}"]) for column in ("accuracy", "tokens")} for way in WAYS}
    always = np.maximum(means["think/tokens"], 1e-9)
    possible = means["think/tokens"] - means["oracle/tokens"]
    saved = (means["think/tokens"] - means["auto/tokens"]) / np.where(possible > 0, possible, np.inf)
    measures = {
        "regret": _utility(means, "oracle", always) - _utility(means, "auto", always),
        "no_worse": means["no_worse"],
        "gain": means["auto/accuracy"] - means["random/accuracy"],
        "saving": saved,
        "gap": means["think/accuracy"] - means["no_think/accuracy"],
    }
    return {"ways": table, **{name: ends(values) for name, values in measures.items()}}


def concave_hull(points: Sequence[Point]) -> list[Point]:
    """The upper concave hull of (x, y) points, from left to right (Andrew's monotone chain).

    >>> concave_hull([(0.0, 0.0), (0.5, 0.2), (0.4, 0.6), (1.0, 1.0)])
    [(0.0, 0.0), (0.4, 0.6), (1.0, 1.0)]
    """
    hull: list[Point] = []
    for point in sorted(points):
        if hull and hull[-1][0] == point[0]:
            hull.pop()
        while len(hull) > 1 and _turns_left(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def aiq(points: Sequence[Point], cheap: Point, dear: Point) -> float | None:
    """AIQ of (tokens, accuracy) points between the constant modes; None where both cost the same. Points outside their
    costs do not count; a curve never falls below what a cheaper point has."""
    width = dear[0] - cheap[0]
    if width <= 0:
        return None
    inside = [(x, y) for x, y in [cheap, *points, dear] if cheap[0] <= x <= dear[0]]
    best, rising = 0.0, []
    for x, y in sorted(inside):
        best = max(best, y)
        rising.append((x, best))
    return _area(concave_hull(rising)) / width


def oracle_curve(rows: Sequence[Row]) -> list[Point]:
    """(tokens, accuracy) of the best choice at every budget: problems think in the order of what a token of thinking
    gains, those first where thinking is cheaper and no worse."""
    n = len(rows)
    tokens, accuracy = sum(r["no_think"][TOKENS] for r in rows), sum(r["no_think"][CORRECT] for r in rows)
    steps = []
    for row in rows:
        gained, cost = row["think"][CORRECT] - row["no_think"][CORRECT], row["think"][TOKENS] - row["no_think"][TOKENS]
        if gained >= 0 and (gained > 0 or cost < 0):
            steps.append((-gained / cost if cost > 0 else float("-inf"), cost, gained))
    curve = [(tokens / n, accuracy / n)]
    for _, cost, gained in sorted(steps):
        tokens, accuracy = tokens + cost, accuracy + gained
        curve.append((tokens / n, accuracy / n))
    return curve


def apgr(curve: Sequence[Mapping[str, float]], think: float, no_think: float, lowest_gap: float) -> float | None:
    """APGR of a curve of rows with `think_rate` and `accuracy`; None unless the lower end of the interval of
    `think − no_think` is above 0.02."""
    if lowest_gap <= GAP:
        return None
    return _area(sorted((row["think_rate"], (row["accuracy"] - no_think) / (think - no_think)) for row in curve))


def _columns(rows: Sequence[Row]) -> tuple[list[str], np.ndarray]:
    """What all measures are means of, by name and as an array of shape (problems, columns)."""
    routes = {"oracle": oracle_routes(rows), "length": length_routes(rows)}
    found: dict[str, list[float]] = {}
    for way in ("think", "no_think", "auto", *routes):
        modes = routes.get(way, [way] * len(rows))
        for name, column in (("accuracy", CORRECT), ("tokens", TOKENS)):
            found[f"{way}/{name}"] = [row[mode][column] for row, mode in zip(rows, modes, strict=True)]
    found["thinks"] = [row["thinks"] for row in rows]
    found["no_worse"] = [
        row["auto"][CORRECT] >= max(row["think"][CORRECT], row["no_think"][CORRECT]) - EPSILON for row in rows
    ]
    return list(found), np.array(list(found.values()), dtype=float).T


def _mixed(means: Mapping[str, Any], column: str) -> Any:
    rate = means["thinks"]
    return rate * means[f"think/{column}"] + (1 - rate) * means[f"no_think/{column}"]


def _utility(means: Mapping[str, Any], way: str, always_think: Any) -> Any:
    return utility(means[f"{way}/accuracy"], means[f"{way}/tokens"], always_think)


def _turns_left(a: Point, b: Point, c: Point) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def _area(points: Sequence[Point]) -> float:
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))

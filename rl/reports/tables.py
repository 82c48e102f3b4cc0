"""Evaluations as text: the tables that scripts print and documents quote.

`rows`, `level_rows` and `saving_captured` hold what a comparison of two evaluations says, apart from how it is shown.
They take any part of an evaluation: a number that is not there is None, shown as a dash.

    captured = (T - auto_tokens) / (T - oracle_tokens),  T = min(forced-think tokens before, after)

with auto and oracle after RL. T is the shorter of the two, so that a policy whose thinking grew longer gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl.statistics.names import MODE_LABELS, ROUTERS, level_order
from rollout.printable import printable

DASH = "–"
Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class Row:
    """One mode or router, each number before and after."""

    label: str
    accuracy: Pair
    tokens: Pair
    think_rate: Pair


@dataclass(frozen=True)
class LevelRow:
    """One difficulty: accuracies by mode, think rate of the greedy choice, probability of thinking at the decision."""

    level: str
    n: int | None
    accuracy: dict[str, Pair]
    think_rate: Pair
    think_probability: Pair


def mode_lines(result: Mapping[str, Any], untouched: Mapping[str, Any] | None = None) -> list[str]:
    """Accuracy, tokens and think rate of each mode and router, the untouched model first where it was measured; then
    the think rate by difficulty."""
    lines = [f"{'':<22}{'accuracy':>9}{'tokens':>9}{'think':>8}"]
    for row in untouched_rows(untouched or {}):
        cells = [(row.accuracy[0], ".3f", 9), (row.tokens[0], ".1f", 9), (row.think_rate[0], ".1%", 8)]
        lines.append(f"{row.label:<22}" + "".join(f"{show(value, spec):>{width}}" for value, spec, width in cells))
    for name, label in (("think", "forced think"), ("no_think", "forced direct"), ("auto", "auto")):
        row = result["modes"][name]
        rate = {"think": 1.0, "no_think": 0.0}.get(name, row.get("think_rate"))
        lines.append(_line(label, row["accuracy"], row["mean_tokens"], rate))
    for name, row in result["routers"].items():
        rate = row.get("think_rate", result["modes"]["auto"]["think_rate"])
        lines.append(_line(f"router: {name}", row["accuracy"], row["mean_tokens"], rate))
    if len(result["by_difficulty"]) > 1:
        lines.append(
            f"{'difficulty':<12}{'n':>5}{'think':>9}{'direct':>9}{'auto':>9}{'think rate':>12}{'p(think)':>10}"
        )
        for level, table in result["by_difficulty"].items():
            auto = table["auto"]
            lines.append(
                f"{printable(level, 24):<12}{table['n']:>5}{table['think']['accuracy']:>9.3f}"
                f"{table['no_think']['accuracy']:>9.3f}{auto['accuracy']:>9.3f}{auto['think_rate']:>12.1%}"
                f"{show(auto.get('think_probability'), '.3f'):>10}"
            )
    return lines


def untouched_rows(untouched: Mapping[str, Any]) -> list[Row]:
    """The untouched model as it answers by itself, in the place of the numbers before; none where it was not
    measured."""
    place = ("modes", "auto") if number(untouched, "modes", "auto", "accuracy") is not None else ("settings", "auto")
    accuracy, tokens, rate = (number(untouched, *place, key) for key in ("accuracy", "mean_tokens", "think_rate"))
    return [Row("untouched model", (accuracy, None), (tokens, None), (rate, None))] if accuracy is not None else []


def number(table: Any, *path: str) -> float | None:
    """The finite number at this path, or None where there is none.

    >>> number({"modes": {"auto": {"accuracy": 1}}}, "modes", "auto", "accuracy")
    1.0
    """
    for key in path:
        table = table.get(key) if isinstance(table, Mapping) else None
    if isinstance(table, bool) or not isinstance(table, int | float):
        return None
    # Neither nan, nor inf, nor a number of more digits than anybody counts to is a measurement.
    return float(table) if abs(table) < 1e18 else None


def rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """The modes, then the routers."""
    places = [("modes", name, label) for name, label in MODE_LABELS.items()]
    places += [("routers", name, f"router: {name}") for name in ROUTERS]
    return [
        Row(
            label,
            (number(before, part, name, "accuracy"), number(after, part, name, "accuracy")),
            (number(before, part, name, "mean_tokens"), number(after, part, name, "mean_tokens")),
            (_rate(before, part, name), _rate(after, part, name)),
        )
        for part, name, label in places
    ]


def _rate(result: Mapping[str, Any], part: str, name: str) -> float | None:
    if number(result, part, name, "accuracy") is None:
        return None
    if name in ("think", "no_think"):
        return float(name == "think")
    # The random router thinks at the model's own rate.
    return number(result, *(("modes", "auto") if name == "random" else (part, name)), "think_rate")


def level_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[LevelRow]:
    """One row a difficulty that either evaluation has."""
    tables = [t if isinstance(t, Mapping) else {} for t in (before.get("by_difficulty"), after.get("by_difficulty"))]
    found = []
    for level in sorted({str(name) for table in tables for name in table}, key=level_order):
        one, two = (table.get(level) for table in tables)
        n = number(two, "n") if number(two, "n") is not None else number(one, "n")
        found.append(
            LevelRow(
                level,
                None if n is None else int(n),
                {mode: (number(one, mode, "accuracy"), number(two, mode, "accuracy")) for mode in MODE_LABELS},
                (number(one, "auto", "think_rate"), number(two, "auto", "think_rate")),
                (number(one, "auto", "think_probability"), number(two, "auto", "think_probability")),
            )
        )
    return found


def shorter_think(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """T of the module docstring; None unless both were measured."""
    one, two = (number(result, "modes", "think", "mean_tokens") for result in (before, after))
    return None if one is None or two is None else min(one, two)


def saving_captured(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """The formula of the module docstring; None where a number is missing or the oracle saves nothing."""
    thinking = shorter_think(before, after)
    auto, oracle = (number(after, *path, "mean_tokens") for path in (("modes", "auto"), ("routers", "oracle")))
    if thinking is None or auto is None or oracle is None or thinking <= oracle:
        return None
    return (thinking - auto) / (thinking - oracle)


def captured_line(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The share of the oracle's saving that auto captures, as a sentence."""
    captured, thinking = saving_captured(before, after), shorter_think(before, after)
    if captured is None or thinking is None:
        return "share of the oracle's saving that auto captures: not measurable here"
    return (
        f"auto captures {captured:.1%} of the tokens that the oracle router saves "
        f"(against the shorter forced think of before and after, {thinking:.1f} tokens)"
    )


def before_after_lines(
    before: Mapping[str, Any], after: Mapping[str, Any], untouched: Mapping[str, Any] | None = None
) -> list[str]:
    """The table that a whole run ends with: the untouched model where there is one, modes and routers, think rate by
    difficulty, share of the saving."""
    lines = [
        f"{'':<16}{'accuracy':^18}{'tokens':^18}{'think rate':^18}".rstrip(),
        f"{'':<16}" + f"{'before':>9}{'after':>9}" * 3,
    ]
    for row in [*untouched_rows(untouched or {}), *rows(before, after)]:
        cells = [*_cells(row.accuracy, ".3f"), *_cells(row.tokens, ".1f"), *_cells(row.think_rate, ".1%")]
        lines.append(f"{row.label:<16}" + "".join(f"{cell:>9}" for cell in cells))
    levels = level_rows(before, after)
    if levels:
        lines += [
            f"{'by difficulty':<16}{'forced think':^18}{'forced direct':^18}{'think rate':^18}{'problems':>9}",
            f"{'':<16}" + f"{'before':>9}{'after':>9}" * 3,
        ]
    for level in levels:
        pairs = (level.accuracy["think"], ".3f"), (level.accuracy["no_think"], ".3f"), (level.think_rate, ".1%")
        cells = [cell for pair, spec in pairs for cell in _cells(pair, spec)]
        cells.append(DASH if level.n is None else str(level.n))
        lines.append(f"{printable(level.level, 15):<16}" + "".join(f"{cell:>9}" for cell in cells))
    return [*lines, captured_line(before, after)]


def _cells(pair: Pair, spec: str) -> list[str]:
    return [show(value, spec) for value in pair]


def show(value: float | None, spec: str) -> str:
    """A number in this format, or a dash."""
    return DASH if value is None else f"{value:{spec}}"


def _line(label: str, accuracy: float, tokens: float, rate: float) -> str:
    return f"{label:<22}{accuracy:>9.3f}{tokens:>9.1f}{rate:>8.1%}"

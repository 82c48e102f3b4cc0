"""Evaluations as text: the tables that scripts print and documents quote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mode_lines(result: Mapping[str, Any]) -> list[str]:
    """Accuracy, tokens and think rate of each mode and router, then the think rate by difficulty."""
    lines = [f"{'':<22}{'accuracy':>9}{'tokens':>9}{'think':>8}"]
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
                f"{level:<12}{table['n']:>5}{table['think']['accuracy']:>9.3f}{table['no_think']['accuracy']:>9.3f}"
                f"{auto['accuracy']:>9.3f}{auto['think_rate']:>12.1%}{auto['think_probability']:>10.3f}"
            )
    return lines


def _line(label: str, accuracy: float, tokens: float, rate: float) -> str:
    return f"{label:<22}{accuracy:>9.3f}{tokens:>9.1f}{rate:>8.1%}"

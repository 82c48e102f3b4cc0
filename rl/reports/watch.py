"""A run as a few lines in a terminal, from `metrics.jsonl` alone: it may run elsewhere, or have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rl.reports.run_folder import ReportError, read_lines, read_table
from rl.reports.tables import number, show
from rl.training.metrics import clock
from rollout.printable import printable

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40
SHOWN = (
    ("right when thinking", "accuracy/think", ".1%"),
    ("right when direct", "accuracy/no_think", ".1%"),
    ("thinks, free choices", "free_share/think", ".1%"),
    ("tokens a response", "tokens", ".1f"),
    ("answer reward", "reward/answer", ".3f"),
    ("judge reward", "reward/judge", ".3f"),
    ("groups that teach", "groups/informative", ".0%"),
    ("probe accuracy", "probe/accuracy", ".1%"),
    ("loss", "loss", ".4f"),
)


def view(folder: Path) -> Group:
    """What there is to see now. Raises `ReportError` for a folder without metrics."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise ReportError(f"no metrics.jsonl in {str(folder)!r} (looked in {Path.cwd()})")
    missing: list[str] = []
    records = [record for record in read_lines(path, missing) if number(record, "step") is not None]
    config = read_table(folder / "config.json", missing)
    return Group(Panel(Text(head(records, config)), title=Text(printable(folder.resolve().name, 60))), table(records))


def head(records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> str:
    """Where the run is and how long it will take."""
    if not records:
        return "no step yet"
    step, total = number(records[-1], "step") or 0, number(config, "trainer", "steps")
    seconds = [value for record in records[-20:] if (value := number(record, "time/step")) is not None]
    text = f"step {step:.0f}" + (f" of {total:.0f}" if total else "")
    if seconds:
        mean = sum(seconds) / len(seconds)
        text += f", {mean:.1f} s a step"
        text += f", {clock(mean * (total - step))} left" if total and total > step else ""
    spent = number(records[-1], "tokens/spent")
    return text + (f", {spent:,.0f} tokens generated" if spent else "")


def table(records: Sequence[Mapping[str, Any]]) -> Table:
    """One row a number: now, and over the run."""
    made = Table(box=None, pad_edge=False)
    made.add_column("")
    made.add_column("now", justify="right")
    made.add_column("over the run")
    levels = sorted({key for record in records for key in record if key.startswith("think_probability/")})
    rows = [*SHOWN, *((f"P(think), level {key.partition('/')[2]}", key, ".0%") for key in levels[:12])]
    for label, key, spec in rows:
        values = [value for record in records if (value := number(record, key)) is not None]
        if values:
            made.add_row(Text(printable(label, 40)), show(values[-1], spec), spark(values))
    return made


def spark(values: Sequence[float], width: int = WIDTH) -> str:
    """A line of bars, from the least to the largest value.

    >>> spark([0, 1, 2, 3], 4)
    '▁▃▆█'
    """
    size = min(width, len(values))
    parts = [values[i * len(values) // size : max((i + 1) * len(values) // size, 1)] for i in range(size)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    return "".join(
        BARS[round((mean - low) / (high - low) * (len(BARS) - 1))] if high > low else BARS[0] for mean in means
    )

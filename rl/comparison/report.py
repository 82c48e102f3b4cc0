"""A comparison for readers: Markdown tables, one JSON, and two plots a world. Cells of `rl.comparison.runs` in."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl.comparison.measures import overall, summary
from rl.files.atomic import write_atomically
from rl.statistics.intervals import Interval

Cells = Sequence[Mapping[str, Any]]
Rows = dict[str, dict[str, dict[str, Any]]]
COLUMNS = (
    ("U", "utility", 3),
    ("accuracy", "accuracy", 3),
    ("tokens", "tokens", 2),
    ("think easy", "think_easy", 2),
    ("think hard", "think_hard", 2),
    ("regret", "regret", 3),
)
DASH = "–"


def table_rows(cells: Cells) -> Rows:
    """`rows[world][algorithm]`: the summary over the seeds that ended with numbers."""
    rows: Rows = {}
    for cell in cells:
        if "error" not in cell:
            rows.setdefault(cell["world"] or "data", {}).setdefault(cell["algorithm"], {})
    for world, names in rows.items():
        for name in names:
            mine = [c for c in cells if (c["world"] or "data", c["algorithm"]) == (world, name) and "error" not in c]
            names[name] = summary(mine)
    return rows


def markdown(cells: Cells) -> str:
    """All tables, then the runs that failed."""
    rows = table_rows(cells)
    lines = _overall_table(rows)
    for world, names in rows.items():
        lines += ["", f"### {world}", "", *_world_table(names, cells, world)]
    failed = [c for c in cells if "error" in c]
    lines += [
        "",
        *(f"- failed: {c['world'] or 'data'} seed {c['seed']} {c['algorithm']}: {c['error']}" for c in failed),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _overall_table(rows: Rows) -> list[str]:
    lines = [
        "| algorithm | worlds | mean U | behind the best by at most | tokens to 95 % of the oracle | collapsed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    ordered = sorted(overall(rows).items(), key=lambda pair: -pair[1]["utility"])
    for name, row in ordered:
        more = "> " * (row["reached"] < row["runs"])
        lines.append(
            f"| {name} | {row['worlds']} | {row['utility']:.3f} | {row['behind']:.3f} "
            f"| {more}{row['reach']:.0f} ({row['reached']} of {row['runs']}) | {row['collapsed']} of {row['runs']} |"
        )
    return lines


def _world_table(names: Mapping[str, Mapping[str, Any]], cells: Cells, world: str) -> list[str]:
    head = ["algorithm", "seeds", *(label for label, _, _ in COLUMNS), "tokens to 95 % of the oracle", "collapsed"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for name, row in sorted(names.items(), key=lambda pair: -pair[1]["utility"].mean):
        shown = [show(row[key], digits) for _, key, digits in COLUMNS]
        reach = f"{'> ' * (row['reached'] < row['n'])}{show(row['reach'], 0)} ({row['reached']} of {row['n']})"
        lines.append("| " + " | ".join([name, str(row["n"]), *shown, reach, str(row["collapsed"])]) + " |")
    mine = [c for c in cells if (c["world"] or "data") == world and "error" not in c]
    starts = {c["seed"]: (c["oracle_utility"], c["always_think"]) for c in mine}
    oracle, always = (sum(pair[k] for pair in starts.values()) / len(starts) for k in (0, 1))
    return [*lines, "", f"Oracle router of the cold start: U {oracle:.3f}; forced thinking takes {always:.2f} tokens."]


def show(value: Interval | None, digits: int) -> str:
    """Mean ± half width.

    >>> show(Interval(0.5, 0.125, 3), 2)
    '0.50 ± 0.12'
    """
    if value is None:
        return DASH
    return f"{value.mean:.{digits}f}" + ("" if value.half is None else f" ± {value.half:.{digits}f}")


def trade_off(axes: Axes, cells: Cells) -> None:
    """Accuracy against tokens, one point an algorithm and seed."""
    for colour, name in _colours(cells):
        mine = [c for c in cells if c["algorithm"] == name]
        points = [(c["tokens"], 100 * c["accuracy"]) for c in mine]
        axes.plot(*zip(*points, strict=True), "o", color=colour, label=name, markersize=6, alpha=0.8)
    axes.set_xlabel("mean tokens a response")
    axes.set_ylabel("auto accuracy (%)")


def over_budget(axes: Axes, cells: Cells) -> None:
    """U of the probe over the tokens generated, a line a run."""
    for colour, name in _colours(cells):
        for index, cell in enumerate(c for c in cells if c["algorithm"] == name):
            if cell["curve"]:
                label = name if index == 0 else None
                axes.plot(*zip(*cell["curve"], strict=True), color=colour, label=label, linewidth=1.3, alpha=0.8)
    axes.set_xlabel("tokens generated")
    axes.set_ylabel("U of the probe")


def _colours(cells: Cells) -> list[tuple[Any, str]]:
    names = list(dict.fromkeys(c["algorithm"] for c in cells))
    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    return [(colours[index % len(colours)], name) for index, name in enumerate(names)]


def picture(cells: Cells, title: str) -> bytes:
    """Both plots of a world as one PNG."""
    with matplotlib.rc_context({"text.parse_math": False, "font.size": 10, "axes.grid": True, "grid.color": "#d9dce3"}):
        figure = Figure(figsize=(10.4, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        trade_off(left, cells)
        over_budget(right, cells)
        figure.suptitle(title)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=140)
        return buffer.getvalue()


def write_comparison(folder: Path, cells: Cells) -> list[Path]:
    """comparison.md, comparison.json and WORLD.png in the folder; returns their paths."""
    paths = [folder / "comparison.md", folder / "comparison.json"]
    write_atomically(paths[0], markdown(cells))
    write_atomically(paths[1], json.dumps({"cells": cells}, indent=1) + "\n")
    for world in table_rows(cells):
        mine = [c for c in cells if (c["world"] or "data") == world and "error" not in c]
        paths.append(folder / f"{world}.png")
        paths[-1].write_bytes(picture(mine, world))
    return paths

"""A comparison for readers: Markdown tables, one JSON, and two plots a world. Cells of `rl.comparison.runs` in.

Worlds that are checks (`rl.worlds.worlds.CHECKS`) have tables of their own and count in no mean.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl.comparison.inference import P_FLOOR, named_comparisons
from rl.comparison.measures import ARRIVAL, overall, summary
from rl.files.atomic import write_atomically
from rl.files.finished import move_to_old
from rl.files.json_file import read_object
from rl.statistics.intervals import Interval
from rl.worlds.worlds import CHECKS

Cells = Sequence[Mapping[str, Any]]
Rows = dict[str, dict[str, dict[str, Any]]]
OURS, PEERS = "step_srpo", ("adaptthink", "degrpo", "grpo")
"""The comparisons that Holm's correction is over; every other difference is description."""
COLUMNS = (
    ("U", "utility", 3),
    ("random at its rate", "random_utility", 3),
    ("accuracy", "accuracy", 3),
    ("tokens", "tokens", 2),
    ("think easy", "think_easy", 2),
    ("think hard", "think_hard", 2),
    ("regret", "regret", 3),
    ("drift", "drift", 3),
    ("forced think", "change_think", 3),
    ("forced direct", "change_no_think", 3),
)
CONSTANT = {
    "oracle router of the cold start": "oracle_utility",
    "cold start's own choice": "start_utility",
    "always thinking": "always_think_utility",
    "never thinking": "always_no_think_utility",
}
DASH = "–"


def judging(cells: Cells) -> list[dict[str, Any]]:
    """The cells with numbers whose world is no check, the ones that means are over; without a world it is `data`."""
    checks = {world.name for world in CHECKS}
    return [{**c, "world": c["world"] or "data"} for c in cells if "error" not in c and c["world"] not in checks]


def table_rows(cells: Cells) -> Rows:
    """`rows[world][algorithm]`: the summary over the seeds that ended with numbers."""
    rows: Rows = {}
    for cell in cells:
        if "error" not in cell:
            rows.setdefault(cell["world"] or "data", {}).setdefault(cell["algorithm"], {})
    for world, names in rows.items():
        for name in names:
            names[name] = summary([c for c in _of(cells, world) if c["algorithm"] == name])
    return rows


def markdown(cells: Cells) -> str:
    """All tables; the runs that failed stand right below the means that they are missing from."""
    lines = [*_overall_table(judging(cells)), *_comparisons(judging(cells)), *_failed(cells)]
    for world, names in table_rows(cells).items():
        lines += ["", f"### {world}", "", *_world_table(names, _of(cells, world))]
    return "\n".join(lines).rstrip() + "\n"


def _failed(cells: Cells) -> list[str]:
    failed = [cell for cell in cells if "error" in cell]
    head = ["", f"**{len(failed)} of {len(cells)} runs failed and are in no number of these tables:**", ""]
    lines = [f"- {c['world'] or 'data'} seed {c['seed']} {c['algorithm']}: {c['error']}" for c in failed]
    return [*head, *lines] if failed else []


def _of(cells: Cells, world: str) -> list[Mapping[str, Any]]:
    return [c for c in cells if (c["world"] or "data") == world and "error" not in c]


def _overall_table(cells: Cells) -> list[str]:
    head = ["algorithm", "worlds", "mean U", "behind the best by at most", "tokens to 95 % of the oracle (median)"]
    head += ["steps", "seconds", "all its steps", "collapsed"]
    lines = _head(head)
    for name, row in sorted(overall(cells).items(), key=lambda pair: -pair[1]["utility"]):
        means = [str(row["worlds"]), f"{row['utility']:.3f}", f"{row['behind']:.3f}"]
        numbers = [*means, *_arrival(row, row["runs"]), _number(row["steps"])]
        lines.append(_line([name, *numbers, f"{row['collapsed']} of {row['runs']}"]))
    for name, value in constant_rows(cells).items():
        lines.append(_line([f"*{name}*", str(len({c["world"] for c in cells})), f"{value:.3f}", *[DASH] * 6]))
    return lines


def constant_rows(cells: Cells) -> dict[str, float]:
    """Mean U over the worlds, and in each over its starts, of the choices that no algorithm made; those are left out
    that a start does not know."""
    found = {}
    for name, key in CONSTANT.items():
        means = []
        for world in dict.fromkeys(cell["world"] for cell in cells):
            starts = {cell["seed"]: cell.get(key) for cell in cells if cell["world"] == world}
            known = [value for value in starts.values() if value is not None]
            means += [sum(known) / len(known)] if len(known) == len(starts) else [None]
        known = [value for value in means if value is not None]
        if known and len(known) == len(means):
            found[name] = sum(known) / len(known)
    return found


def _comparisons(cells: Cells) -> list[str]:
    found = named_comparisons(cells, OURS, PEERS)
    if not found:
        return []
    lines = ["", f"{OURS} minus its peer in U, mean of the worlds' differences; seeds drawn anew within worlds.", ""]
    lines += _head(["peer", "difference", "95 % interval", "p", "Holm's p", "worlds won, tied, lost", "detectable"])
    for peer, row in found.items():
        interval = DASH if row["interval"] is None else "[{:+.4f}, {:+.4f}]".format(*row["interval"])
        p, adjusted, least = (DASH if row[k] is None else f"{row[k]:.4f}" for k in ("p", "holm", "detectable"))
        if row["p"] is not None and row["p"] <= P_FLOOR:  # no draw lies on the other side: all that it says is this
            p, adjusted = f"≤ {p}", f"≤ {adjusted}"
        won = f"{row['win']}, {row['tie']}, {row['loss']}"
        lines.append(_line([peer, f"{row['difference']:+.4f}", interval, p, adjusted, won, least]))
    return lines


def _world_table(names: Mapping[str, Mapping[str, Any]], cells: Cells) -> list[str]:
    head = ["algorithm", "seeds", *(label for label, _, _ in COLUMNS)]
    lines = _head([*head, "tokens to 95 % of the oracle (median)", "steps", "seconds", "collapsed"])
    for name, row in sorted(names.items(), key=lambda pair: -pair[1]["utility"].mean):
        shown = [show(row[key], digits) for _, key, digits in COLUMNS]
        lines.append(_line([name, str(row["n"]), *shown, *_arrival(row, row["n"]), str(row["collapsed"])]))
    one = [{**cell, "world": ""} for cell in cells]
    constant = "; ".join(f"{name} {value:.3f}" for name, value in constant_rows(one).items())
    starts = {c["seed"]: c["always_think"] for c in cells}
    always = sum(starts.values()) / len(starts)
    return [*lines, "", f"U without an algorithm: {constant}. Forced thinking takes {always:.2f} tokens."]


def _arrival(row: Mapping[str, Any], runs: int) -> list[str]:
    """Tokens, steps and seconds to arrival; a `>` where the median may be higher."""
    reach, steps, seconds = (
        DASH if row[key] is None else f"{'> ' if key in row['bounds'] else ''}{row[key]:.0f}" for key in ARRIVAL
    )
    return [f"{reach} ({row['reached']} of {runs})", steps, seconds]


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}"


def _head(names: Sequence[str]) -> list[str]:
    return [_line(names), "| --- " * len(names) + "|"]


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(parts) + " |"


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


def write_comparison(folder: Path, cells: Cells, show: Callable[[str], Any] = print) -> list[Path]:
    """comparison.md, comparison.json and WORLD.png in the folder; returns their paths. Tables with runs that these
    lack are moved to old/TIME."""
    paths = [folder / "comparison.md", folder / "comparison.json"]
    earlier = _runs_of(paths[1])
    if earlier - {_run(cell) for cell in cells}:
        pictures = sorted({folder / f"{world or 'data'}.png" for world, _, _ in earlier})
        there = [path for path in (*paths, *pictures) if path.is_file()]
        show(f"the tables of before have other runs; they are now in {move_to_old(folder, there)}")
    write_atomically(paths[0], markdown(cells))
    write_atomically(paths[1], json.dumps(contents(cells), indent=1) + "\n")
    for world in table_rows(cells):
        paths.append(folder / f"{world}.png")
        paths[-1].write_bytes(picture(_of(cells, world), world))
    return paths


def _runs_of(file: Path) -> set[tuple[str, int, str]]:
    """Of an earlier comparison.json, each run's world, seed and algorithm."""
    return (
        {_run(cell) for cell in read_object(file, ("cells",), "that file moved away")["cells"]}
        if file.is_file()
        else set()
    )


def _run(cell: Mapping[str, Any]) -> tuple[str, int, str]:
    return cell["world"], cell["seed"], cell["algorithm"]


def contents(cells: Cells) -> dict[str, Any]:
    """What comparison.json holds: every run with its curve, and what the tables say of them."""
    known = judging(cells)
    named = named_comparisons(known, OURS, PEERS)
    return {"overall": overall(known), "without": constant_rows(known), "comparisons": named, "cells": cells}

"""Several run folders on one page: what each came to, its operating points, and the settings that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rl.files.outputs import write_claimed
from rl.reports.choice import spread
from rl.reports.frontier import operating_curves
from rl.reports.plots import THEMES, Inputs, Plot, Theme, render
from rl.reports.report import HERE, bounded, figure
from rl.reports.run_folder import ReportError, Run, read_run
from rl.reports.tables import DASH, number, show, untouched_rows
from rollout.printable import printable

COMMAND = "report.py --compare"
NAME_LIMIT = 40
VALUE_LIMIT = 120
MARKS = "osv^DP*X"
HEAD = ("run", "auto accuracy", "auto tokens", "thinks: hard", "thinks: easy", "regret", "oracle's saving", "AIQ")


def write_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write the page. Raises `ReportError` for fewer than two runs or a folder without one."""
    if len(folders) < 2:
        raise ReportError("--compare wants two or more run folders")
    places = [folder.resolve() for folder in folders]
    twice = next((folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise ReportError(f"--compare names {twice} twice; allowed: each run once")
    runs = dict(zip(names_of(folders), map(read_run, folders), strict=True))
    missing = [f"{name}: no eval.json with numbers" for name, run in runs.items() if not run.inputs.after.get("modes")]
    plot = _plot(runs)
    pictures = {theme: render(plot, THEMES[theme], Inputs((), {}, {})) for theme in THEMES}
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, finalize=bounded)
    page = environment.get_template("compare.html.jinja").render(
        missing=missing,
        head=HEAD,
        body=[row for name, run in runs.items() for row in _rows(name, run)],
        plot=figure(plot, pictures),
        setting_head=("setting", *runs),
        settings=differing({name: run.config for name, run in runs.items()}),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )
    write_claimed(out, page, COMMAND)
    return out


def differing(configs: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """One row a setting that is not the same in all runs: its key, then each run's value."""
    flat = [dict(_leaves(config)) for config in configs.values()]
    keys = sorted(set().union(*flat))
    rows = [(key, [json.dumps(one.get(key)) for one in flat]) for key in keys if key != "run_dir"]
    return [[key, *(_around(text, texts) for text in texts)] for key, texts in rows if len(set(texts)) > 1]


def _around(text: str, texts: Sequence[str]) -> str:
    """A value, begun where long ones begin to differ."""
    same = next((k for k, one in enumerate(zip(*texts, strict=False)) if len(set(one)) > 1), min(map(len, texts)))
    begin = max(same - VALUE_LIMIT // 4, 0) if max(map(len, texts)) > VALUE_LIMIT else 0
    return printable(f"…{text[begin:]}" if begin else text, VALUE_LIMIT)


def _leaves(config: Any, place: str = "") -> list[tuple[str, Any]]:
    if not isinstance(config, Mapping) or not config:
        return [(place, config)]
    return [leaf for key, value in config.items() for leaf in _leaves(value, f"{place}.{key}" if place else str(key))]


def names_of(folders: Sequence[Path]) -> list[str]:
    """A name of its own for each run: the folder's, the end of the path where several have that, and a number where
    that does not tell them apart.

    >>> names_of([Path("a/seed0"), Path("b/seed0"), Path("b/seed0")])
    ['a/seed0', '1: b/seed0', '2: b/seed0']
    """
    own = [folder.resolve().name for folder in folders]
    full = [name if own.count(name) == 1 else str(folder) for name, folder in zip(own, folders, strict=True)]
    cut = [printable(name if len(name) <= NAME_LIMIT else f"…{name[1 - NAME_LIMIT :]}", NAME_LIMIT) for name in full]
    return [name if cut.count(name) == 1 else f"{cut[: k + 1].count(name)}: {name}" for k, name in enumerate(cut)]


def _rows(name: str, run: Run) -> list[list[str]]:
    """The untouched model where it was measured, then the run."""
    own = [
        [f"{name}: {row.label}", show(row.accuracy[0], ".3f"), show(row.tokens[0], ".1f"), *[DASH] * (len(HEAD) - 3)]
        for row in untouched_rows(run.inputs.untouched)
    ]
    return [*own, [name, *_cells(run.inputs.after)]]


def _cells(after: Mapping[str, Any]) -> list[str]:
    found = after.get("choice")
    choice = found if isinstance(found, Mapping) else {}
    cells = []
    for column, spec in (("accuracy", ".3f"), ("tokens", ".1f")):
        try:
            cells.append(spread(choice["ways"]["auto"][column], spec))
        except (KeyError, TypeError, ValueError):
            plain = number(after, "modes", "auto", {"tokens": "mean_tokens"}.get(column, column))
            cells.append(show(plain, spec))
    cells += [show(number(after, part, "auto", "think_rate"), ".0%") for part in ("hard", "easy")]
    for name in ("regret", "saving"):
        try:
            cells.append(spread(choice[name], ".3f"))
        except (KeyError, TypeError, ValueError):
            cells.append(DASH)
    return [*cells, show(number(after, "dial", "aiq", "dial"), ".3f")]


def _plot(runs: Mapping[str, Run]) -> Plot:
    def frontier(theme: Theme, _: Inputs) -> Figure | None:
        drawn = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = drawn.subplots()
        handles = []
        colours = list(theme.colours.values())
        for index, (name, run) in enumerate(runs.items()):
            colour, mark = colours[index % len(colours)], MARKS[index % len(MARKS)]
            dial, _oracle = operating_curves(run.inputs.after)
            tokens, accuracy = (number(run.inputs.after, "modes", "auto", key) for key in ("mean_tokens", "accuracy"))
            if dial.points:
                axes.plot(*zip(*dial.points, strict=True), color=colour, linewidth=1.5)
            if tokens is not None and accuracy is not None:
                axes.plot(tokens, 100 * accuracy, mark, color=colour, markersize=9)
                handles.append(Line2D([], [], color=colour, marker=mark, linestyle="-", label=name))
        if not handles:
            return None
        axes.set_ylabel("accuracy (%)")
        axes.set_xlabel("mean tokens a response")
        drawn.legend(handles=handles, loc="outside lower center", ncols=2)
        return drawn

    title = "Accuracy against tokens"
    return Plot(frontier, title, "Marks: auto. Lines: what the dial can reach.", "evaluations of the runs")

"""A run folder to `report.html` and `plots/*.png`: when the model thinks, and what that costs.

Reads config.json, metrics.jsonl, the evaluations and rollouts/step_*.jsonl. Any of them may be missing or
cut short: the report says which and shows the rest. The page stands alone (pictures, style and script inside, nothing
loaded) and follows the reader's light or dark setting.

Prompts, difficulty names and everything a model wrote are untrusted. The template escapes every value it is given,
after `bounded` has cut it and replaced its control characters; rollouts reach the page's own script as JSON text only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from rl.files.atomic import write_atomically
from rl.reports.browser import Sample, sample, shown_settings
from rl.reports.choice import MEASURES, WAYS, curve_lines, spread
from rl.reports.parts import GROUPS, group_rows, part_table
from rl.reports.plots import PLOTS, THEMES, Inputs, Plot, render
from rl.reports.run_folder import Run, read_run
from rl.reports.sentence import sentence
from rl.reports.tables import DASH, Pair, captured_line, level_rows, number, rows, show, untouched_rows
from rollout.printable import printable

HERE = Path(__file__).parent
TEXT_LIMIT, NAME_LIMIT = 1500, 60
SETTINGS = (
    *("run_dir", "seed", "model.path", "model.lora.rank", "protocol.name", "data.train", "data.test"),
    *("algorithm", "rewards", "trainer.steps", "trainer.prompts_per_step", "trainer.learning_rate"),
    *("rollout.group_size", "rollout.temperature", "rollout.max_new_tokens", "rollout.forced"),
    *("cold_start.steps", "cold_start.problems", "evaluation.problems", "control.permute_judge"),
)
PACKAGES = ("step-srpo", "torch", "transformers", "trl")
TILES = (
    ("auto accuracy", "modes", "accuracy", ".1%"),
    ("auto tokens", "modes", "mean_tokens", ".1f"),
    ("think rate, easy", "easy", "think_rate", ".1%"),
    ("think rate, hard", "hard", "think_rate", ".1%"),
)


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` and `plots/` into the run folder. Raises `ReportError` where there is no run."""
    folder = Path(run_dir)
    run = read_run(folder)
    rollouts = sample(folder, missing := list(run.missing))
    plots = []
    for plot in PLOTS:
        pictures = {theme: render(plot, THEMES[theme], run.inputs) for theme in THEMES}
        file = folder / "plots" / f"{plot.name}.png"
        file.unlink(missing_ok=True)
        if pictures["light"] is not None:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(pictures["light"])
        plots.append(figure(plot, pictures))
    write_atomically(folder / "report.html", page(folder.resolve().name, run, rollouts, plots, missing))
    return folder / "report.html"


def bounded(value: Any) -> Any:
    """What every value passes on its way into the page: text is cut and has no control characters.

    >>> bounded("a\\x1b[31m")
    'a\\ufffd[31m'
    """
    return value if isinstance(value, Markup) else printable(str(value), TEXT_LIMIT, keep="\n\t")


def page(name: str, run: Run, rollouts: Sample, plots: Sequence[Mapping[str, Any]], missing: Sequence[str]) -> str:
    """The whole report."""
    # A template of ours alone is ever loaded; every value in it is escaped.
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, finalize=bounded)
    script = (HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    inputs = run.inputs
    sizes = [show(number(result, "n"), ".0f") for result in (inputs.before, inputs.after)]
    return environment.get_template("page.html.jinja").render(
        name=printable(name, NAME_LIMIT),
        sentence=sentence(inputs.before, inputs.after),
        tiles=tiles(inputs),
        missing=list(dict.fromkeys(missing)),
        choice=choice(inputs.after),
        comparison=comparison(inputs),
        parts=part_table(inputs.after),
        groups={name: group_rows(inputs.after, name) for name in GROUPS},
        captured=captured_line(inputs.before, inputs.after),
        sizes=f"The same problems in every mode: {sizes[0]} before, {sizes[1]} after.",
        plots=plots,
        levels=difficulties(inputs),
        rollouts=rollouts,
        settings=[*shown_settings(run.config, SETTINGS), *versions()],
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )


def versions() -> list[tuple[str, str]]:
    """The packages that this report was made with."""
    found = []
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found


def tiles(inputs: Inputs) -> list[dict[str, str]]:
    """The outcome in four numbers."""
    made = []
    for label, part, key, spec in TILES:
        before, after = (show(number(result, part, "auto", key), spec) for result in (inputs.before, inputs.after))
        made.append({"label": label, "before": before, "after": after})
    return made


def choice(after: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table of ways and measures, where the evaluation has intervals."""
    found = after.get("choice")
    if not isinstance(found, Mapping) or not isinstance(found.get("ways"), Mapping):
        return None
    try:
        ways = [
            [label, spread(found["ways"][name]["accuracy"], ".3f"), spread(found["ways"][name]["tokens"], ".1f")]
            for name, label in WAYS.items()
        ]
        measures = [(label, spread(found[name], ".3f")) for name, label in MEASURES.items()]
    except (KeyError, TypeError, ValueError):
        return None
    return {"ways": ways, "measures": measures, "lines": curve_lines(after.get("dial"))}


def comparison(inputs: Inputs) -> list[list[Any]]:
    """The untouched model where it was measured, modes and routers, each number before and after."""
    own = [
        [row.label, show(row.accuracy[0], ".3f"), show(row.tokens[0], ".1f"), show(row.think_rate[0], ".1%")]
        for row in untouched_rows(inputs.untouched)
    ]
    return own + [
        [row.label, change(row.accuracy, ".3f"), change(row.tokens, ".1f"), change(row.think_rate, ".1%")]
        for row in rows(inputs.before, inputs.after)
    ]


def difficulties(inputs: Inputs) -> list[list[Any]]:
    """Accuracy by mode and think rate of each difficulty."""
    return [
        [printable(row.level, NAME_LIMIT), DASH if row.n is None else str(row.n)]
        + [change(pair, ".3f") for pair in row.accuracy.values()]
        + [change(row.think_rate, ".1%"), change(row.think_probability, ".3f")]
        for row in level_rows(inputs.before, inputs.after)
    ]


def change(pair: Pair, spec: str) -> tuple[str, str]:
    """Before and after in one cell."""
    return show(pair[0], spec), show(pair[1], spec)


def figure(plot: Plot, pictures: Mapping[str, bytes | None]) -> dict[str, Any]:
    """A plot in both themes; without pictures the page says what it lacks."""
    data = {t: Markup(base64.b64encode(png).decode()) for t, png in pictures.items() if png is not None}
    return {"title": plot.title, "caption": plot.caption, "needs": plot.needs, **data}

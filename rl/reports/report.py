"""A run folder to `report.html` and `plots/*.png`: when the model thinks, and what that costs.

Reads config.json, metrics.jsonl, eval_before.json, eval.json and rollouts/step_*.jsonl. Any of them may be missing or
cut short: the report says which and shows the rest. The page stands alone (pictures inside, no script, nothing loaded)
and follows the reader's light or dark setting.

Prompts, difficulty names and everything a model wrote are untrusted. They reach the page through `text` only: bounded,
without control characters, escaped; none of them stands in an attribute.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rl.files.atomic import write_atomically
from rl.reports.plots import PLOTS, THEMES, Inputs, Plot, render
from rl.reports.run_folder import Run, read_run
from rl.reports.tables import DASH, Pair, captured_line, level_rows, number, printable, rows, show
from rollout.types import Rollout

TEXT_LIMIT, NAME_LIMIT = 1500, 60
SETTINGS = (
    *("run_dir", "seed", "model.path", "model.lora.rank", "protocol.name", "data.train", "data.test"),
    *("algorithm", "rewards", "trainer.steps", "trainer.prompts_per_step", "trainer.learning_rate"),
    *("rollout.group_size", "rollout.temperature", "rollout.max_new_tokens", "rollout.forced"),
    *("cold_start.steps", "cold_start.problems", "evaluation.problems", "control.permute_judge"),
)
TILES = (
    ("auto accuracy", "modes", "accuracy", ".1%"),
    ("auto tokens", "modes", "mean_tokens", ".1f"),
    ("think rate, easy", "easy", "think_rate", ".1%"),
    ("think rate, hard", "hard", "think_rate", ".1%"),
)
STYLE = """
:root{--paper:#f5f6f8;--card:#fff;--ink:#1f2430;--soft:#5d6573;--line:#d9dce3;--accent:#0a8f6a;--warn:#9a5a00}
@media(prefers-color-scheme:dark){:root{--paper:#12151b;--card:#1b1f27;--ink:#e6e8ec;--soft:#a3aab8;--line:#3a404c;
--accent:#3ecf9f;--warn:#f2b45a}}*{box-sizing:border-box}small,figcaption,dt,th,.soft{color:var(--soft)}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:auto;padding:14px}h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.2rem}
section,figure,article,.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px}
.grid,.tiles{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}figure{margin:0}
.tiles{grid-template-columns:repeat(auto-fit,minmax(140px,1fr))}.tile b{display:block;font-size:1.5rem}
.tile b{color:var(--accent)}.missing{border-left:5px solid var(--warn);margin:12px 0}img{width:100%;display:block}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px;text-align:right;white-space:nowrap;font-weight:400}
th,tr:not(:last-child) td{border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;min-width:7.5em;max-width:14em;overflow-wrap:anywhere;white-space:normal}
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 14px;margin:0}dd{margin:0}dd,.badge{overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 8px;padding:8px;background:var(--paper);border-radius:6px}
article small{display:block}
.badge{display:inline-block;border:1px solid var(--line);border-radius:99px;padding:0 9px;margin:0 6px 8px 0}
"""


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` and `plots/` into the run folder. Raises `ReportError` where there is no run."""
    folder = Path(run_dir)
    run = read_run(folder)
    plots = []
    for plot in PLOTS:
        pictures = {theme: render(plot, THEMES[theme], run.inputs) for theme in THEMES}
        file = folder / "plots" / f"{plot.name}.png"
        file.unlink(missing_ok=True)
        if pictures["light"] is not None:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(pictures["light"])
        plots.append(figure(plot, pictures))
    write_atomically(folder / "report.html", page(folder.resolve().name, run, plots))
    return folder / "report.html"


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """Untrusted text as HTML text: bounded, without control characters, escaped.

    >>> text("<b>hello", 6)
    '&lt;b&gt;he…'
    """
    return html.escape(printable(str(value), limit, keep="\n\t"))


def page(name: str, run: Run, plots: Sequence[str]) -> str:
    """The whole report."""
    missing = "".join(f"<li>{text(line, 200)}</li>" for line in dict.fromkeys(run.missing))
    notice = f'<section class="missing"><b>Missing from this run</b><ul>{missing}</ul></section>' if missing else ""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="color-scheme" content="light dark">
<title>{text(name, NAME_LIMIT)}: when to think</title><style>{STYLE}</style></head><body><main>
<h1>{text(name, NAME_LIMIT)}: when to think, and what it costs</h1>
{tiles(run.inputs)}{notice}
<h2>Settings</h2><section>{settings(run.config)}</section>
<h2>Before and after</h2>{comparison(run.inputs)}
<h2>Over the run</h2><div class="grid">{"".join(plots)}</div>
<h2>By difficulty</h2>{difficulties(run.inputs)}
<h2>Sample rollouts</h2>{gallery(run.steps)}
</main></body></html>
"""


def tiles(inputs: Inputs) -> str:
    """The outcome in four numbers."""
    made = ""
    for label, part, key, spec in TILES:
        before, after = (show(number(result, part, "auto", key), spec) for result in (inputs.before, inputs.after))
        made += f'<div class="tile"><small>{label}</small><b>{after}</b><small>before: {before}</small></div>'
    return f'<div class="tiles">{made}</div>'


def comparison(inputs: Inputs) -> str:
    """Modes and routers, each number before and after."""
    body = [
        [row.label, change(row.accuracy, ".3f"), change(row.tokens, ".1f"), change(row.think_rate, ".1%")]
        for row in rows(inputs.before, inputs.after)
    ]
    sizes = [show(number(result, "n"), ".0f") for result in (inputs.before, inputs.after)]
    note = f"Greedy, the same problems in every mode: {sizes[0]} before, {sizes[1]} after."
    return (
        table(["", "accuracy", "tokens", "think rate"], body)
        + f'<p>{captured_line(inputs.before, inputs.after)}.</p><p class="soft">{note}</p>'
    )


def difficulties(inputs: Inputs) -> str:
    """Accuracy by mode and think rate of each difficulty."""
    found = level_rows(inputs.before, inputs.after)
    if not found:
        return "<p>No evaluation with difficulty levels.</p>"
    head = ["difficulty", "problems", "forced think", "forced direct", "auto", "think rate", "think probability"]
    body = [
        [text(row.level, NAME_LIMIT), DASH if row.n is None else str(row.n)]
        + [change(pair, ".3f") for pair in row.accuracy.values()]
        + [change(row.think_rate, ".1%"), change(row.think_probability, ".3f")]
        for row in found
    ]
    return table(head, body)


def change(pair: Pair, spec: str) -> str:
    """Before and after in one cell."""
    return f'<span class="soft">{show(pair[0], spec)} →</span> {show(pair[1], spec)}'


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    lines = ["".join(f"<td>{cell}</td>" for cell in cells) for cells in body]
    top = "".join(f"<th>{name}</th>" for name in head)
    return f'<section class="scroll"><table><tr>{top}</tr><tr>{"</tr><tr>".join(lines)}</tr></table></section>'


def figure(plot: Plot, pictures: Mapping[str, bytes | None]) -> str:
    """A plot in both themes, or a line that says what it lacks."""
    data = {t: base64.b64encode(png).decode() for t, png in pictures.items() if png is not None}
    if not data:
        return f"<figure><b>{plot.title}</b><p>Missing: {html.escape(plot.needs)}.</p></figure>"
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,{data["dark"]}">'
    light = f'<img alt="{plot.title}. {plot.caption}" src="data:image/png;base64,{data["light"]}">'
    caption = f"<figcaption>{plot.caption}</figcaption>"
    return f"<figure><b>{plot.title}</b><picture>{dark}{light}</picture>{caption}</figure>"


def gallery(steps: Sequence[tuple[str, Sequence[Rollout]]]) -> str:
    """Sample rollouts of the first and the last recorded step."""
    made = ""
    for name, rollouts in steps:
        cards = "".join(map(card, rollouts))
        made += f'<h3>{text(name.replace("_", " "), NAME_LIMIT)}</h3><div class="grid">{cards}</div>'
    return made or "<p>No recorded rollouts.</p>"


def card(rollout: Rollout) -> str:
    """One rollout: what was asked, decided, thought, answered, and how it was scored."""
    problem = rollout.problem
    label = {"think": "think", "no_think": "direct"}.get(str(rollout.mode), "no mode")
    badges = [label, "forced" if rollout.forced else "chosen", rollout.status, f"{len(rollout.completion_ids)} tokens"]
    badges += [f"level {problem.difficulty}"] * (problem.difficulty is not None)
    parts = [("problem", problem.prompt), ("judge", rollout.judge_text), ("thinking", rollout.think_text)]
    parts += [("answer", rollout.answer_text), ("gold answer", problem.answer or "")]
    body = "".join(f"<small>{part}</small><pre>{text(value)}</pre>" for part, value in parts if value)
    scores = rollout.scores if isinstance(rollout.scores, Mapping) else {}
    numbers = ", ".join(f"{key} {show(number(scores, key), '.3g')}" for key in islice(scores, 12))
    marks = "".join(f'<span class="badge">{text(badge, NAME_LIMIT)}</span>' for badge in badges)
    return f"<article>{marks}{body}<small>scores</small><pre>{text(numbers)}</pre></article>"


def settings(config: Mapping[str, Any]) -> str:
    """The settings that shape a run, as far as they were recorded."""
    made = ""
    for key in SETTINGS:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            shown = value if isinstance(value, str) else json.dumps(value)
            made += f"<dt>{key}</dt><dd>{text(shown, 300)}</dd>"
    return f"<dl>{made}</dl>" if made else "<p>No settings recorded.</p>"

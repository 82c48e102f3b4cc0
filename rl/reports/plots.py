"""The plots of a run: metrics and evaluations in, PNG bytes out, in a light and a dark theme.

Figures are made without pyplot, so neither a display nor matplotlib's global backend is touched. Names of difficulties
come from data: they are bounded, cleaned, and never read as mathematical markup. A plot whose numbers are missing is
None; its `needs` says which they were. Thin lines are single steps, thick ones a centred running mean.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from rl.reports.frontier import operating_curves
from rl.reports.tables import number
from rl.statistics.names import MODE_LABELS, ROUTERS, level_order
from rollout.printable import printable

DPI = 160
# In inches, close to a phone's width: the 10 pt letters stay readable when the picture shrinks to the screen.
WIDTH = 5.2
MAX_LEVELS = 8
PROBABILITY = "think_probability/"


@dataclass(frozen=True)
class Theme:
    """Colours; `levels` is the stretch of the colour map that can be told from the paper."""

    paper: str
    ink: str
    faint: str
    colours: Mapping[str, str]
    levels: tuple[float, float]


DRAWN = ("think", "no_think", "auto", "router")
LIGHT = ("#c2500a", "#0b6bb3", "#0a8f6a", "#6b7280")
DARK = ("#f2955a", "#62b6f0", "#3ecf9f", "#a3aab8")
THEMES = {
    "light": Theme("#ffffff", "#1f2430", "#d9dce3", dict(zip(DRAWN, LIGHT, strict=True)), (0.0, 0.82)),
    "dark": Theme("#1b1f27", "#e6e8ec", "#3a404c", dict(zip(DRAWN, DARK, strict=True)), (0.3, 1.0)),
}


@dataclass(frozen=True)
class Inputs:
    """What a run recorded; any of it may be empty."""

    records: Sequence[Mapping[str, Any]]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    untouched: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plot:
    """`needs` names the numbers without which there is no plot."""

    draw: Callable[[Theme, Inputs], Figure | None]
    title: str
    caption: str
    needs: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.draw.__name__


def render(plot: Plot, theme: Theme, inputs: Inputs) -> bytes | None:
    """The plot as a PNG, or None where its numbers are missing."""
    style: Any = {"text.parse_math": False, "font.size": 10, "legend.frameon": False, "grid.linewidth": 0.6}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.ink)
    style |= dict.fromkeys(("axes.edgecolor", "grid.color"), theme.faint)
    style |= dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.paper)
    style |= {"axes.grid": True, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        figure = plot.draw(theme, inputs)
        if figure is None:
            return None
        buffer = io.BytesIO()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=DPI, pil_kwargs={"optimize": True})
        return buffer.getvalue()


def series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of the records that have this key, in the order of the steps."""
    found = {}
    for record in records:
        step, value = number(record, "step"), number(record, key)
        if step is not None and value is not None:
            found[step] = value
    return sorted(found), [found[step] for step in sorted(found)]


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean over the `window` values around each one; fewer at the ends. Takes time in proportion to the values.

    >>> running_mean([0.0, 3.0, 6.0, 6.0], 3)
    [1.5, 3.0, 5.0, 6.0]
    """
    half, n = window // 2, len(values)
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=float))])
    begins, ends = (np.clip(np.arange(n) + shift, 0, n) for shift in (-half, half + 1))
    return [float(mean) for mean in (sums[ends] - sums[begins]) / (ends - begins)]


def trace(axes: Axes, inputs: Inputs, key: str, label: str, colour: Any, *, smooth: bool = True) -> bool:
    """One metric over the steps, smoothed over a twentieth of them; False where nothing was recorded."""
    steps, values = series(inputs.records, key)
    if not steps:
        return False
    window = len(values) // 20 * 2 + 1 if smooth else 1
    if window > 1:
        axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.35)
    marker = "o" if len(steps) == 1 else None
    axes.plot(steps, running_mean(values, window), color=colour, linewidth=2, label=label, marker=marker)
    return True


def think_rate(theme: Theme, inputs: Inputs) -> Figure | None:
    """Probability of thinking at the decision, one line a difficulty."""
    names = {
        key.removeprefix(PROBABILITY) for record in inputs.records for key in record if key.startswith(PROBABILITY)
    }
    levels = [level for level in sorted(names, key=level_order) if series(inputs.records, PROBABILITY + level)[0]]
    if not levels:
        return None
    if len(levels) > MAX_LEVELS:
        levels = [levels[round(i * (len(levels) - 1) / (MAX_LEVELS - 1))] for i in range(MAX_LEVELS)]
    figure, (axes,) = _figure(1, 3.4)
    low, high = theme.levels
    for i, level in enumerate(levels):
        colour = matplotlib.colormaps["viridis"](low + (high - low) * i / max(1, len(levels) - 1))
        trace(axes, inputs, PROBABILITY + level, f"level {printable(level, 14)}", colour)
    _percent(axes, "think probability")
    axes.set_xlabel("step")
    columns = 5 if max(map(len, levels)) <= 3 else 2
    figure.legend(loc="outside lower center", ncols=columns, handlelength=1.0, columnspacing=1.0)
    return figure


def modes(theme: Theme, inputs: Inputs) -> Figure | None:
    """Accuracy and tokens of each mode in the training rollouts, forced and free."""
    upper = [("accuracy/think", "think", "think"), ("accuracy/no_think", "direct", "no_think")]
    lower = [("tokens/think", "_", "think"), ("tokens/no_think", "_", "no_think")]
    return _over_steps(
        theme, inputs, Panel("accuracy", upper, percent=True), Panel("tokens a response", lower, zero=True)
    )


def probes(theme: Theme, inputs: Inputs) -> Figure | None:
    """Accuracy and tokens of the three modes on the test problems, before RL (step 0) and while it goes on."""
    figure, (upper, lower) = _figure(2, 4.8)
    drawn = []
    for mode, place, label in (("think", "/think", "think"), ("no_think", "/no_think", "direct"), ("auto", "", "auto")):
        drawn.append(trace(upper, inputs, f"probe/accuracy{place}", label, theme.colours[mode], smooth=False))
        drawn.append(trace(lower, inputs, f"probe/tokens{place}", "_", theme.colours[mode], smooth=False))
    if not any(drawn):
        return None
    _percent(upper, "accuracy")
    lower.set_ylim(bottom=0)
    lower.set_ylabel("tokens a response")
    lower.set_xlabel("step")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def trade_off(theme: Theme, inputs: Inputs) -> Figure | None:
    """Accuracy against tokens: hollow before, filled after, a line from one to the other."""
    figure, (axes,) = _figure(1, 4.0)
    handles = []
    marks = [("modes", n, MODE_LABELS[n], theme.colours[n], m) for n, m in (("think", "^"), ("no_think", "v"))]
    marks += [("routers", n, f"router: {n}", theme.colours["router"], m) for n, m in zip(ROUTERS, "*Ds", strict=True)]
    marks.append(("modes", "auto", "auto", theme.colours["auto"], "o"))
    for part, name, label, colour, marker in marks:
        points = []
        for result, fill in ((inputs.before, "none"), (inputs.after, colour)):
            x, y = number(result, part, name, "mean_tokens"), number(result, part, name, "accuracy")
            if x is not None and y is not None:
                points.append((x, 100 * y))
                size = 12 if marker == "*" else 9 if name == "auto" else 7
                axes.plot(*points[-1], marker, color=colour, markerfacecolor=fill, markersize=size, markeredgewidth=1.5)
        if not points:
            continue
        if len(points) == 2:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1, alpha=0.5, zorder=1)
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="none", label=label))
    if not handles:
        return None
    for curve, colour in zip(operating_curves(inputs.after), ("auto", "router"), strict=True):
        if len(curve.points) > 1:
            style: Any = {"color": theme.colours[colour], "linestyle": curve.style}
            axes.plot(*zip(*curve.points, strict=True), linewidth=1.5, zorder=0, **style)
            handles.append(Line2D([], [], label=curve.label, **style))
    axes.margins(0.08)
    axes.set_ylabel("accuracy (%)")
    axes.set_xlabel("mean tokens a response")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.0)
    return figure


def advantages(theme: Theme, inputs: Inputs) -> Figure | None:
    """Mean size of the two advantages: where both are zero a step teaches nothing."""
    traces = [("advantage/answer_abs", "answer", "auto"), ("advantage/judge_abs", "judge", "think")]
    return _over_steps(theme, inputs, Panel("mean |advantage|", traces, zero=True))


def rewards(theme: Theme, inputs: Inputs) -> Figure | None:
    """Mean reward of each step of a response, and how much of a group is forced into a mode."""
    upper = [("reward/answer", "answer reward", "auto"), ("reward/judge", "judge reward", "think")]
    lower = Panel("forced share", [("forced_share", "forced share", "no_think")], percent=True)
    return _over_steps(theme, inputs, Panel("mean reward", upper), lower)


@dataclass(frozen=True)
class Panel:
    """Metrics over the steps in one pair of axes: (key, label in the legend, colour of the theme) of each."""

    label: str
    traces: Sequence[tuple[str, str, str]]
    percent: bool = False
    zero: bool = False


def _over_steps(theme: Theme, inputs: Inputs, *panels: Panel) -> Figure | None:
    """The panels below each other; None where nothing of them was recorded."""
    figure, rows = _figure(len(panels), 1.2 + 1.8 * len(panels))
    drawn = 0
    for axes, panel in zip(rows, panels, strict=True):
        for key, label, colour in panel.traces:
            drawn += trace(axes, inputs, key, label, theme.colours[colour])
        axes.set_ylabel(panel.label)
        if panel.percent:
            _percent(axes, panel.label)
        elif panel.zero:
            axes.set_ylim(bottom=0)
    rows[-1].set_xlabel("step")
    if not drawn:
        return None
    figure.legend(loc="outside lower center", ncols=3, handlelength=1.2, columnspacing=1.2)
    return figure


def _figure(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])


def _percent(axes: Axes, label: str) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel(label)


PLOTS = (
    Plot(
        think_rate,
        "When it thinks",
        "Probability of thinking at the decision, before any forcing, by difficulty.",
        "think_probability/<level> in metrics.jsonl",
    ),
    Plot(
        modes,
        "Accuracy and tokens by mode",
        "Training rollouts, forced and free together; each mode answers its own share of the problems.",
        "accuracy/<mode> and tokens/<mode> in metrics.jsonl",
    ),
    Plot(
        probes,
        "The test problems over the run",
        "All three modes on a part of the test problems, greedy; step 0 is before RL.",
        "probe/accuracy and probe/tokens in metrics.jsonl (evaluation.every)",
    ),
    Plot(
        trade_off,
        "Accuracy against tokens",
        "The test problems: hollow before RL, filled after; lines: what the dial can reach. Up and left is better.",
        "modes or routers in eval_before.json and eval.json",
    ),
    Plot(
        rewards,
        "Rewards and forced share",
        "Mean reward of the answer step and of the judge step, and the share of rollouts with a forced mode.",
        "reward/answer, reward/judge and forced_share in metrics.jsonl",
    ),
    Plot(
        advantages,
        "Advantages",
        "Mean size of the judge's and the answer's advantage. Where both are zero a step teaches nothing.",
        "advantage/judge_abs and advantage/answer_abs in metrics.jsonl",
    ),
)

"""What there was and what was chosen, as a PNG and in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl.distillation.chains import Chain

GREY, BLUE = "#d9dce3", "#0b6bb3"
LENGTHS = 20


def plot_choice(path: Path, before: Sequence[Chain], chosen: Sequence[Chain]) -> None:
    """Histograms before and after: verbosity, difficulty, length of the thought in characters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    edges = [level - 0.5 for level in range(-1, 11)]
    longest = max((len(chain.thought) for chain in before), default=0) + 1
    lengths = [longest * i / LENGTHS for i in range(LENGTHS + 1)]
    panels = (
        ("reasoning verbosity (−1: unknown)", edges, lambda chain: chain.verbosity),
        ("cognitive difficulty (−1: unknown)", edges, lambda chain: chain.difficulty),
        ("characters of the thought", lengths, lambda chain: len(chain.thought)),
    )
    for place, (title, bins, value) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 3, place, xlabel=title, ylabel="chains" if place == 1 else "")
        axes.hist([value(chain) for chain in before], bins=bins, color=GREY, label=f"before ({len(before)})")
        axes.hist([value(chain) for chain in chosen], bins=bins, color=BLUE, label=f"chosen ({len(chosen)})")
        if place == 1:
            axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def choice_lines(before: Sequence[Chain], chosen: Sequence[Chain]) -> list[str]:
    """Counts and means before and after, for people."""
    lines = []
    for title, chains in (("before", before), ("chosen", chosen)):
        levels = {
            name: [value for chain in chains if (value := getattr(chain, name)) >= 0]
            for name in ("verbosity", "difficulty")
        }
        means = ", ".join(f"{name} {sum(found) / len(found):.2f}" for name, found in levels.items() if found)
        length = sum(len(chain.thought) for chain in chains) / max(1, len(chains))
        problems = len({chain.problem for chain in chains})
        told = f"{len(chains)} chains of {problems} problems, {length:.0f} characters of thought"
        lines.append(f"{title}: {told}{', mean ' + means if means else ''}")
    return lines

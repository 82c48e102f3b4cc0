"""How the cost of a training step grows with the group size, the length of thoughts and the number of prompts.

    python benchmarks/bench_scaling.py --json FILE --plot FILE.png [--quick]

Method: steps of our trainer and of TRL's in turns (see benchmarks/bench_step.py) on half and half mixes; one quantity
grows, the others stay. `ours` and `peer` are the exponents a of seconds = c · quantity^a, fitted by least squares on
their logarithms.
The seconds behind them are in the rows' `points`, (quantity, ours, peer).
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import DEVICE, Work, finish, mix, parse_arguments, show
from trainers import Race, configure, our_trainer, trl_trainer

# isort: split

Points = list[tuple[float, float, float]]


def series(options: Any) -> dict[str, list[tuple[int, Work]]]:
    """For each quantity, its values and the work at each."""
    long, counts, steps = (1024, (4, 8, 16, 32), (128, 256, 512, 1024)) if DEVICE == "cuda" else (
        (96, (2, 4, 8, 16), (48, 96, 192, 384)) if not options.quick else (48, (2, 4, 8), (24, 48, 96))
    )  # fmt: skip
    if options.smallest:
        long, counts, steps = 12, (2, 4), (8, 16)
    groups = max(2, counts[0])

    def work(prompts: int, group: int, length: int) -> Work:
        return mix("half", 0.5, prompts * group, 4, 4, length, group)

    return {
        "group size": [(g, work(groups, g, long)) for g in counts],
        "thought tokens": [(n, work(groups, counts[1], n)) for n in steps],
        "prompts": [(p, work(p, counts[1], long)) for p in counts],
    }


def points(folder: Path, size: str, values: Sequence[tuple[int, Work]], steps: int) -> Points:
    """(quantity, our seconds, TRL's seconds) for each value."""
    found = []
    for value, work in values:
        configs = [configure(folder, size, work, 0, steps + 3) for _ in range(2)]
        ours, peer = Race([our_trainer(configs[0]), trl_trainer(configs[1], work)]).run()
        found.append((float(value), statistics.median(ours), statistics.median(peer)))
    return found


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of log y over log x.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    x, y = [math.log(v) for v in xs], [math.log(v) for v in ys]
    mean_x, mean_y = statistics.mean(x), statistics.mean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def plot(curves: dict[str, Points], file: Path) -> None:
    """One panel a quantity, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(4 * len(curves), 3.4), constrained_layout=True)
    for axis, (name, found) in zip(axes, curves.items(), strict=True):
        xs = [x for x, _, _ in found]
        for label, column, style in (("Step-SRPO", 1, "o-"), ("TRL", 2, "s--")):
            ys = [point[column] for point in found]
            axis.loglog(xs, ys, style, label=f"{label}, exponent {exponent(xs, ys):.2f}")
        axis.set(xlabel=name, ylabel="seconds a step")
        axis.legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Measure, fit, draw."""
    options = parse_arguments(__doc__ or "", plot="write the plot to this PNG file")
    size = "0.1M" if options.smallest else ("110M" if DEVICE == "cuda" else "1M")
    rows, curves = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, values in series(options).items():
            curves[name] = found = points(Path(scratch), size, values, 1 if options.quick or options.smallest else 5)
            xs, ours, peer = ([point[k] for point in found] for k in range(3))
            a, b = exponent(xs, ours), exponent(xs, peer)
            rounded = [[x, round(y, 4), round(z, 4)] for x, y, z in found]
            case = f"exponent in {name}, {size}"
            ratio = round(a / b, 3) if b else None
            fitted = {"case": case, "ours": round(a, 3), "peer": round(b, 3), "ratio": ratio, "points": rounded}
            rows.append(fitted)
            show(rows[-1:])
    if options.plot:
        plot(curves, options.plot)
    finish(rows, options)


if __name__ == "__main__":
    main()

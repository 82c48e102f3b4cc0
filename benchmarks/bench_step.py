"""One training step of ours against `trl.GRPOTrainer`'s: same model, rollouts, rewards, arguments and optimizer.

    python benchmarks/bench_step.py --json FILE [--quick]

Method: both trainers run in one process and take turns, one step each; a step is all from one step's begin to the
next, scoring, optimizer and logging included. Rollouts of forced lengths are replayed (benchmarks/bench_rollout.py
measures generation). `floor` is the ratio with everything removable removed, real tokens over TRL's padded ones; `gone`
is the share of the removable cost that is gone, (1 − ratio) / (1 − floor). Peak memory is what a step needs above what
is held between steps (weights, gradients' buffers and optimizer states stay out of it).
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from common import DEVICE, Work, attempt, compared, finish, mixes, parse_arguments, show
from trainers import Race, configure, our_trainer, trl_trainer

# isort: split


def measure(folder: Path, size: str, work: Work, micro_batch: int, steps: int) -> list[dict[str, Any]]:
    """Time and peak memory of one step on one model."""
    configs = [configure(folder, size, work, micro_batch, steps + 3) for _ in range(2)]
    race = Race([our_trainer(configs[0]), trl_trainer(configs[1], work)])
    ours, peer = race.run()
    case, floor = f"{size}, {work.name}" + (f" by {micro_batch}" if micro_batch else ""), work.floor()
    time = compared(f"step s, {case}", ours, peer, floor=round(floor, 3))
    if floor < 1:
        time["gone"] = round((1 - time["ratio"]) / (1 - floor), 3)
    peak_ours, peak_peer = (turn.peak_mb for turn in race.turns)
    ratio = round(peak_ours / peak_peer, 3) if peak_peer else None
    return [time, {"case": f"peak MiB, {case}", "ours": peak_ours, "peer": peak_peer, "ratio": ratio}]


def cases(options: Any) -> list[tuple[str, list[Work], int, int]]:
    """(model, mixes, rows at once, timed steps) of this device and these options; short:long is 1:50 but where many
    rows are short."""
    if options.smallest:
        return [("0.1M", mixes(16, 2, 2, 38)[2:3], 0, 1)]
    if DEVICE == "cuda":
        # Both trainers of 1.5B, with their optimizers, fit 80 GB at eight rows of a thousand tokens.
        small = ("110M", mixes(32, 32, 40, 2000)[1:], 16, 3)
        large = [(size, mixes(32, 32, 20, 1000)[3:], 8, 3) for size in ("600M", "1.5B")]
        return [small] if options.quick else [small, *large]
    if options.quick:
        return [("1M", mixes(32, 4, 2, 100), 0, 3), ("110M", mixes(32, 1, 1, 24)[2:3], 0, 1)]
    return [
        ("1M", mixes(32, 8, 16, 800), 0, 7),
        ("1M", mixes(32, 8, 16, 800)[2:], 8, 5),
        ("1M", mixes(256, 8, 4, 92), 0, 5),
        ("110M", mixes(32, 2, 2, 100), 0, 3),
    ]


def main() -> None:
    """Measure all cases of this device."""
    options = parse_arguments(__doc__ or "")
    rows: list[dict[str, Any]] = []
    todo = [
        (f"{size}, {work.name}", size, work, micro_batch, steps)
        for size, works, micro_batch, steps in cases(options)
        for work in works
        if options.only in f"{size}, {work.name}"
    ]
    planned = [name for name, *_ in todo]
    with tempfile.TemporaryDirectory() as scratch:
        for name, *case in todo:
            found = attempt(f"step s, {name}", partial(measure, Path(scratch), *case))
            rows += found
            show(found)
            finish(rows, options, planned)


if __name__ == "__main__":
    main()

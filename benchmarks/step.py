"""One training step of ours against `trl.GRPOTrainer`'s: same model, rollouts, rewards, arguments and optimizer.

    python benchmarks/step.py --json FILE [--quick]

Method: both trainers run in one process and take turns, one step each; a step is all from one step's begin to the
next, scoring, optimizer and logging included. Rollouts of forced lengths are replayed (benchmarks/rollout.py measures
generation). `floor` is the ratio with everything removable removed, real tokens over TRL's padded ones; `gone` is the
share of the removable cost that is gone, (1 − ratio) / (1 − floor). Peak memory is what a step needs above what is held
between steps (weights, gradients' buffers and optimizer states stay out of it).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from common import DEVICE, Mix, compared, finish, mixes, parse_arguments, show
from trainers import Race, configure, our_trainer, trl_trainer


def measure(folder: Path, size: str, mix: Mix, micro_batch: int, steps: int) -> list[dict[str, Any]]:
    """Time and peak memory of one mix on one model."""
    configs = [configure(folder, size, mix, micro_batch, steps + 3) for _ in range(2)]
    race = Race([our_trainer(configs[0]), trl_trainer(configs[1], mix)])
    ours, peer = race.run()
    case = f"{size}, {mix.name}, {mix.rows} rows" + (f" by {micro_batch}" if micro_batch else "")
    floor = mix.floor()
    time = compared(f"step s, {case}", ours, peer, floor=round(floor, 3))
    if floor < 1:
        time["gone"] = round((1 - time["ratio"]) / (1 - floor), 3)
    peaks = [turn.peak_mb for turn in race.turns]
    return [time, {"case": f"peak MiB, {case}", "ours": peaks[0], "peer": peaks[1], "ratio": part(*peaks)}]


def part(ours: float, peer: float) -> float | None:
    """Ours over the peer's."""
    return round(ours / peer, 3) if peer else None


def cases(options: Any) -> list[tuple[str, list[Mix], int, int]]:
    """(model, mixes, rows at once, steps) of this device and these options."""
    if options.smallest:
        return [("0.1M", mixes(16, 2, 2, 38)[2:3], 0, 1)]
    if DEVICE == "cuda":
        sizes = ("110M",) if options.quick else ("110M", "600M", "1.5B")
        return [(size, mixes(32, 32, 48, 3968), 0, 5) for size in sizes]
    small = [("1M", mixes(32, 8, 8, 792 if not options.quick else 392), 0, 3 if options.quick else 9)]
    if options.quick:
        return [*small, ("110M", mixes(32, 1, 1, 49)[2:3], 0, 1)]
    small += [("1M", mixes(32, 8, 8, 792)[2:], 8, 9), ("1M", mixes(256, 8, 8, 92), 0, 5)]
    return [*small, ("110M", mixes(32, 2, 1, 148), 0, 3)]


def main() -> None:
    """Measure all cases of this device."""
    options = parse_arguments(__doc__ or "")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for size, chosen, micro_batch, steps in cases(options):
            for mix in chosen:
                rows += measure(Path(scratch), size, mix, micro_batch, steps)
                show(rows[-2:])
    finish(rows, options)


if __name__ == "__main__":
    main()

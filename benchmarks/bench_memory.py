"""Memory of one training step at the vocabulary of Qwen3 (151,936), ours against `trl.GRPOTrainer`'s.

    python benchmarks/bench_memory.py --json FILE [--quick]

Method: as benchmarks/bench_step.py, the second step of each trainer is watched. `peak MiB` is what the step needs above
what is held between steps: activations, gradients and the head's working memory; weights and optimizer states, the same
on both sides, are left out. The body is small, so that the vocabulary counts as it does in a model of 0.6B.

`shares` of a row, in MiB: `weights`, `gradients` and `optimizer` are the sizes of these tensors; `activations` are the
bytes that the forward passes of one micro-batch keep for the backward pass; `head` is the peak less activations, the
working memory of head, loss and backward pass. Gradients appear while activations go, so that the peak is less than the
sum of all.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import DEVICE, Work, attempt, finish, mixes, parse_arguments, show
from trainers import Race, configure, our_trainer, trl_trainer

# isort: split

from rl.planning.saved import saved_bytes

SIZE = "152k"  # of common.SIZES: the vocabulary of Qwen3 over a small body
MIB = 2**20


class _Shares:
    """Watches a trainer: sizes of weights, gradients and optimizer states, and the most that one forward pass saves."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.saved, self.gradients = trainer, 0, 0
        self._loss, self._optimizer_step = trainer.compute_loss, None
        trainer.compute_loss = self._watched

    def _watched(self, model: Any, *arguments: Any, **named: Any) -> Any:
        with saved_bytes(model) as found:
            loss = self._loss(model, *arguments, **named)
        self.saved = max(self.saved, found.bytes)
        return loss

    def mib(self, peak: float) -> dict[str, float]:
        """The shares in MiB; `peak` is the step's peak above what is held."""
        parameters = list(self.trainer.model.parameters())
        states = self.trainer.optimizer.state.values()
        sizes = {
            "weights": sum(p.nbytes for p in parameters),
            "gradients": sum(p.nbytes for p in parameters if p.requires_grad),
            "optimizer": sum(v.nbytes for state in states for v in state.values() if torch.is_tensor(v)),
            "activations": self.saved,
        }
        found = {name: round(size / MIB, 1) for name, size in sizes.items()}
        return {**found, "head": round(peak - found["activations"], 1)}


def measure(folder: Path, size: str, work: Work, micro_batch: int) -> list[dict[str, Any]]:
    """The peaks of one step, and what they are made of."""
    configs = [configure(folder, size, work, micro_batch, 3) for _ in range(2)]
    trainers = [our_trainer(configs[0]), trl_trainer(configs[1], work)]
    shares = [_Shares(trainer) for trainer in trainers]
    race = Race(trainers)
    race.run()
    ours, peer = (turn.peak_mb for turn in race.turns)
    case = f"peak MiB, {size}, {work.name}" + (f" by {micro_batch}" if micro_batch else "")
    parts = {name: share.mib(peak) for name, share, peak in zip(("ours", "peer"), shares, (ours, peer), strict=True)}
    floor = round(work.floor(), 3)
    return [
        {
            "case": case,
            "ours": ours,
            "peer": peer,
            "ratio": round(ours / peer, 3) if peer else None,
            "floor": floor,
            "shares": parts,
        }
    ]


def cases(options: Any) -> list[tuple[str, Work, int]]:
    """(model, work, rows at once) of this device and these options."""
    if options.smallest:
        return [("0.1M", mixes(16, 2, 2, 38)[2], 0)]
    long = 1000 if DEVICE == "cuda" else 200
    every = mixes(32, 4, 4, long)
    if options.quick:
        return [(SIZE, work, 0) for work in (mixes(16, 4, 2, 50)[1], mixes(16, 4, 2, 50)[3])]
    return [*((SIZE, work, 0) for work in every), *((SIZE, work, 8) for work in every[2:])]


def main() -> None:
    """Measure all cases of this device."""
    options = parse_arguments(__doc__ or "")
    rows: list[dict[str, Any]] = []
    todo = [(f"{size}, {work.name}", size, work, micro) for size, work, micro in cases(options)]
    todo = [case for case in todo if options.only in case[0]]
    with tempfile.TemporaryDirectory() as scratch:
        for name, *case in todo:
            found = attempt(f"peak MiB, {name}", partial(measure, Path(scratch), *case))
            rows += found
            show(found)
            finish(rows, options, [name for name, *_ in todo])


if __name__ == "__main__":
    main()

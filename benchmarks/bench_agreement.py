"""Does a GPU compute what a CPU computes? The same small model, rollouts and updates on both, in float32 and bfloat16.

    python benchmarks/bench_agreement.py --json FILE

Each half decodes greedily, forced into either mode and free, compares the engine's log-probabilities with those that
the trainer recomputes, and takes three optimizer steps over recorded rollouts. The CPU's half runs in float32 in a
process of its own, at the same time. A row has `value`, what is `allowed`, and `ok`. bfloat16 rounds to three digits:
greedy rows may part there, so only their share is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from common import Work, finish, parse_arguments
from trainers import configure, our_trainer

from rl.training.batch import micro_batches, step_batch
from rollout.collect import collect
from rollout.engines.base import Sampling
from rollout.types import MODES, Problem, Rollout

# isort: split

SIZE, STEPS, TOKENS = "0.1M", 3, 24
WORK = Work("agreement", (4, 4), (3, 60, 5, 55, 4, 50, 3, 52) * 2)
PROMPTS = ("12 + 34", "7 - ( 5 + 1 )", "40 + 02 r2 - 11")


def half(folder: Path, bf16: bool) -> dict[str, Any]:
    """What this process's device makes of it: by row the tokens, the engine's log-probabilities and the trainer's; by
    step the gradient's norm. Trained first, since the first step wraps the model for its precision."""
    trainer = our_trainer(configure(folder, SIZE, WORK, 0, STEPS, bf16))
    trainer.train()
    problems = [Problem(str(number), prompt) for number, prompt in enumerate(PROMPTS)]
    sampling = Sampling(temperature=0.0, max_new_tokens=TOKENS)
    with trainer.rounds.engine.open(trainer) as engine:
        groups = collect(problems, (*MODES, None), engine, trainer.rounds.protocol, sampling, 0)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    return {
        "ids": [list(rollout.completion_ids) for rollout in rollouts],
        "engine": [list(rollout.logprobs) for rollout in rollouts],
        "trainer": recomputed(trainer, rollouts),
        "grad_norm": [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry],
    }


def recomputed(trainer: Any, rollouts: Sequence[Rollout]) -> list[list[float]]:
    """The log-probabilities of each row as the loss computes them, all rows in one pass."""
    zeros = [0.0] * len(rollouts)
    batch = step_batch(rollouts, zeros, zeros, zeros, trainer.loss_options, pad_id=0, engine=False)
    (whole,) = micro_batches(batch, 1, lambda lengths: lengths.tolist(), None)
    with torch.no_grad():
        logps_BT = trainer._scores(trainer.model, whole.to(trainer.accelerator.device))[0]
    return [row[: len(r.completion_ids)].tolist() for row, r in zip(logps_BT, rollouts, strict=True)]


def compared(name: str, here: dict[str, Any], cpu: dict[str, Any], tight: bool) -> list[dict[str, Any]]:
    """The rows of one precision; only float32 has to give the same tokens."""
    same = [_common(*pair) for pair in zip(here["ids"], cpu["ids"], strict=True)]
    share = sum(same) / sum(map(len, cpu["ids"]))
    limit = 1e-3 if tight else 5e-2
    cut = [[values[:n] for values, n in zip(side["engine"], same, strict=True)] for side in (here, cpu)]
    norms = max(abs(a / b - 1) for a, b in zip(here["grad_norm"], cpu["grad_norm"], strict=True))
    return [
        _row(f"{name}: greedy tokens as on the CPU", share, 0.9 if tight else 0.0, share >= (0.9 if tight else 0.0)),
        _row(f"{name}: engine's log-probabilities against the CPU's", *_limited(_gap(*cut), limit)),
        _row(f"{name}: trainer's against the engine's", *_limited(_gap(here["trainer"], here["engine"]), limit)),
        _row(f"{name}: norm of the gradient against the CPU's, relative", *_limited(norms, 1e-2 if tight else 5e-2)),
    ]


def _row(case: str, value: float, allowed: float, ok: bool) -> dict[str, Any]:
    return {"case": case, "value": round(value, 7), "allowed": allowed, "ok": ok}


def _limited(value: float, limit: float) -> tuple[float, float, bool]:
    return value, limit, value <= limit


def _common(ours: Sequence[int], others: Sequence[int]) -> int:
    """Tokens until two rows part."""
    pairs = zip(ours, others, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(others)))


def _gap(ours: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """The mean distance of the values."""
    pairs = list(zip(chain(*ours), chain(*others), strict=True))
    return sum(abs(a - b) for a, b in pairs) / max(len(pairs), 1)


def main() -> None:
    """Both halves at the same time, then the comparison."""
    options = parse_arguments(__doc__ or "", half="the CPU's half: make it in this folder")
    if options.half:
        (options.half / "cpu.json").write_text(json.dumps(half(options.half, False)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        configure(folder, SIZE, WORK, 0, STEPS)
        other = subprocess.Popen(
            [sys.executable, __file__, "--half", scratch], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        )
        halves = {"float32": half(folder, False), "bfloat16": half(folder, True)}
        if other.wait():
            raise SystemExit("the CPU's half failed")
        cpu = json.loads((folder / "cpu.json").read_text())
    rows = [row for name, here in halves.items() for row in compared(name, here, cpu, name == "float32")]
    for row in rows:
        print(f"{row['case']:<62} {row['value']:>10}  allowed {row['allowed']}  {'ok' if row['ok'] else 'NOT OK'}")
    finish(rows, options)


if __name__ == "__main__":
    main()

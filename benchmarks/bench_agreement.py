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
from rollout.engines.base import Request, Sampling
from rollout.types import MODES, Problem, Rollout

# isort: split

SIZE, STEPS, TOKENS = "0.1M", 3, 24
WORK = Work("agreement", (4, 4), (3, 60, 5, 55, 4, 50, 3, 52) * 2)
PROMPTS = ((16, 17, 18), (20, 29, 21, 22), (25, 26, 19, 28, 27, 16))


def half(folder: Path, bf16: bool) -> dict[str, Any]:
    """What this process's device makes of it: by row the tokens, the engine's log-probabilities and the trainer's; by
    step the gradient's norm. Trained first, since the first step wraps the model for its precision."""
    trainer = our_trainer(configure(folder, SIZE, WORK, 0, STEPS, bf16))
    trainer.train()
    requests = [Request(prompt, mode) for prompt in PROMPTS for mode in (*MODES, None)]
    with trainer.rounds.engine.open(trainer) as engine:
        rows = engine.generate(requests, Sampling(temperature=0.0, max_new_tokens=TOKENS), 0)
    return {
        "ids": [list(row.ids) for row in rows],
        "engine": [list(row.logprobs) for row in rows],
        "trainer": [recomputed(trainer, request, row.ids) for request, row in zip(requests, rows, strict=True)],
        "grad_norm": [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry],
    }


def recomputed(trainer: Any, request: Request, ids: Sequence[int]) -> list[float]:
    """The log-probabilities of one row as the loss computes them."""
    problem = Problem("p", "1 + 1")
    rollout = Rollout(problem, None, False, "no_switch", request.prompt_ids, tuple(ids), sampled=(1,) * len(ids))
    batch = step_batch([rollout], [0.0], [0.0], [1.0], trainer.loss_options, pad_id=0, engine=False)
    (batch,) = micro_batches(batch, 1, lambda lengths_B: lengths_B.tolist(), None)
    with torch.no_grad():
        logps_BT, _, _ = trainer._scores(trainer.model, batch.to(trainer.accelerator.device))
    return logps_BT[0].tolist()


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

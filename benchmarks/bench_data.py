"""Resident memory of a large training set: of a row once it is loaded and checked, and its growth a step of training.

    python benchmarks/bench_data.py --json FILE [--rows 1000000] [--steps 60]

Method: a jsonl file of sums with its answers is read as any training set is (every row checked, every prompt rendered),
then a small model trains on it. Resident memory is taken after freed memory has been given back to the system, less
that of the process before, and divided by the rows. Goal: at most 2 KiB a row, and no growth from step to step; a
row of the file has some 70 bytes.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import random
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

import psutil
from common import build_model, build_tokenizer, finish
from soak import slope
from transformers import TrainerCallback

# isort: split

from rl.config.read import parse_config
from rl.config.schema import Config
from rl.training.run import build_trainer, set_up

LIBC, PROCESS = ctypes.CDLL(None), psutil.Process()  # once: each new one is a class and an object more to be freed


def resident() -> int:
    """Bytes of this process, after freed memory has gone back."""
    gc.collect()
    LIBC.malloc_trim(0)
    return int(PROCESS.memory_info().rss)


def write_rows(file: Path, count: int) -> None:
    """Sums whose parts say which row they are of, so that no prompt stands twice."""
    rng = random.Random(0)
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            other = rng.randrange(100)
            out.write(f'{{"prompt": "{number} + {other}", "answer": "{number + other}", "domain": "math"}}\n')


def configured(folder: Path, steps: int) -> Config:
    """A run over the rows with a model of a tenth of a million weights."""
    build_model("0.1M").save_pretrained(folder / "policy")
    build_tokenizer().save_pretrained(folder / "policy")
    return parse_config(
        {
            "run_dir": str(folder / "run"),
            "model": {"path": str(folder / "policy")},
            "data": {"train": str(folder / "rows.jsonl"), "test_size": 4},
            "rollout": {"group_size": 4, "max_new_tokens": 16, "max_prompt_tokens": 64, "forced": {"minimum": 1}},
            "rewards": [{"name": "judge"}, {"name": "math"}],
            "trainer": {"steps": steps, "prompts_per_step": 4, "save_every": 10**6},
            "wandb": {"mode": "disabled"},
        }
    )


class _Steps(TrainerCallback):
    """Resident KiB after every step, in memory that is there from the beginning."""

    def __init__(self, steps: int) -> None:
        self.found = array("d", bytes(8 * steps))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.found[state.global_step - 1] = resident() / 1024


def measure(folder: Path, count: int, steps: int) -> list[dict[str, Any]]:
    """Rows of the report."""
    write_rows(folder / "rows.jsonl", count)
    config, empty, begun = configured(folder, steps), resident(), time.monotonic()
    setup = set_up(config, show=lambda line: None)
    loaded, checked = resident(), time.monotonic()
    trainer, watch = build_trainer(setup, 1), _Steps(steps)
    gc.freeze()  # the rows stay: looking through a million of them at every step would take longer than the step
    trainer.args.save_strategy = "no"
    trainer.add_callback(watch)
    trainer.train()
    trained = watch.found[0] * 1024
    # `slope` takes seconds for hours: steps in, KiB a 3600 steps out.
    growth = slope([(float(step), kib) for step, kib in enumerate(watch.found, 1)])
    per_step = {name: round(growth[name] / 3600, 4) for name in ("slope_per_hour", "low", "high") if growth.get(name)}
    return [
        {
            "case": f"bytes a row, loaded and checked, {count} rows",
            "ours": round((loaded - empty) / count),
            "goal": 2048,
        },
        {"case": f"bytes a row, in training, {count} rows", "ours": round((trained - empty) / count), "goal": 2048},
        {"case": f"seconds to load and check {count} rows", "ours": round(checked - begun, 1)},
        {"case": f"KiB a step, over {steps} steps", "ours": per_step.get("slope_per_hour"), **per_step},
    ]


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows, the machine and the versions here")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the training set")
    parser.add_argument("--steps", type=int, default=100, help="of training")
    options = parser.parse_args()
    options.only = ""
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(Path(scratch), options.rows, options.steps)
    for row in rows:
        print(row)
    finish(rows, options)


if __name__ == "__main__":
    main()

"""One round ahead: a step with `rollout.ahead: 1` against the same two costs one after the other.

    python benchmarks/bench_ahead.py --json FILE [--quick]

Method: engine `hf_process` in both arms; the trainer is pinned to one core and the engine's process to another, one
thread each, so that neither arm has more to compute with than the other. All responses have the same length, which is
chosen so that drawing a round costs about as much as training on it. Wall clock from step to step, the first two left
out. `floor` is what a perfect overlap would reach, the dearer of the two over their sum. This proves that the two go on
side by side, not that two cores gain by it: without `ahead` and without pins, both cores work on each half.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from common import build_model, build_tokenizer, compared, finish, parse_arguments, show
from trainers import our_trainer
from transformers import TrainerCallback

from rl.config.read import parse_config
from rl.config.schema import Config

# isort: split

WARM_UP = 2
PLUG_IN = "def length(rollout):\n    return float(sum(rollout.completion_ids) % 2)\n"


class Clock(TrainerCallback):
    """Wall clock of each step and what of it was spent on rollouts; pins both sides once the engine is there."""

    def __init__(self, trainer: Any, cores: tuple[int, int]) -> None:
        self.trainer, self.cores = trainer, cores
        self.ends: list[float] = []
        self.rollouts: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After the update."""
        if state.global_step == 1:
            pin(os.getpid(), self.cores[0])
            pin(self.trainer.rounds.engine._copy.process.pid, self.cores[1])
        self.ends.append(time.perf_counter())
        self.rollouts.append(self.trainer.round.seconds["time/rollout"])

    def steps(self) -> list[float]:
        """Seconds of each step after those of warming up."""
        return [b - a for a, b in zip(self.ends[WARM_UP - 1 :], self.ends[WARM_UP:], strict=False)]


def pin(process: int, core: int) -> None:
    """All threads of a process to one core."""
    for thread in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(thread), {core})


def configure(folder: Path, ahead: int, size: str, prompts: int, tokens: int, steps: int) -> Config:
    """A run whose responses all have `tokens` tokens."""
    policy, scratch = folder / size, Path(tempfile.mkdtemp(dir=folder))
    if not policy.is_dir():
        build_model(size).save_pretrained(policy)
        build_tokenizer().save_pretrained(policy)
    (folder / "plug_in.py").write_text(PLUG_IN, encoding="utf-8")
    shape = {"group_size": 8, "max_new_tokens": tokens, "max_prompt_tokens": 40, "save_every": 10**6}
    return parse_config(
        {
            "run_dir": str(scratch),
            "data": {"shares": {"1": 1.0}, "train_size": 60, "test_size": 10},
            "cold_start": {"gate": {"problems": 0}},
            "model": {"path": str(policy)},
            "protocol": {"name": "kat", "judge_patience": 1},
            "rollout": {**shape, "engine": "hf_process", "ahead": ahead},
            "rewards": [{"name": "math"}, {"name": f"{folder}/plug_in.py:length", "step": "answer"}, {"name": "judge"}],
            "algorithm": {"name": "step_srpo", "judge_replay": 0},
            "trainer": {"steps": steps + WARM_UP, "prompts_per_step": prompts, "save_every": 10**6},
            "wandb": {"mode": "disabled"},
        }
    )


def timed(config: Config, cores: tuple[int, int]) -> Clock:
    """One arm."""
    trainer = our_trainer(config)
    clock = Clock(trainer, cores)
    trainer.add_callback(clock)
    trainer.args.save_strategy = "no"
    trainer.train()
    trainer.rounds.engine.close()
    os.sched_setaffinity(0, set(cores))
    return clock


def measure(folder: Path, size: str, prompts: int, tokens: int, steps: int) -> dict[str, Any]:
    """Both arms of one case."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    # One after the other, ahead, ahead, one after the other: a machine that grows busier weighs on both arms.
    order = [timed(configure(folder, arm, size, prompts, tokens, steps), (first, second)) for arm in (0, 1, 1, 0)]
    after, ahead = [order[0], order[3]], [order[1], order[2]]
    drawing = statistics.median(s for clock in after for s in clock.rollouts[WARM_UP:])
    training = statistics.median(s for clock in after for s in clock.steps()) - drawing
    return compared(
        f"step s, {size}, {prompts * 8} rows of {tokens}",
        [s for clock in ahead for s in clock.steps()],
        [s for clock in after for s in clock.steps()],
        drawing=round(drawing, 3),
        training=round(training, 3),
        floor=round(max(drawing, training) / (drawing + training), 3),
        waited=round(statistics.median(s for clock in ahead for s in clock.rollouts[WARM_UP:]), 3),
    )


def main() -> None:
    """Measure."""
    options = parse_arguments(__doc__ or "")
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("error: one core is allowed here; allowed: two or more, one a side")
    size, prompts, tokens, steps = ("0.1M", 2, 30, 2) if options.smallest else ("1M", 4, 150, 3 if options.quick else 6)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(Path(folder), size, prompts, tokens, steps)]
    show(rows)
    finish(rows, options)


if __name__ == "__main__":
    main()

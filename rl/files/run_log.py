"""Where a run is written down: `metrics.jsonl`, `rollouts/*.jsonl` and W&B, all from one place.

W&B is a convenience (rl/files/wandb_run.py): whatever it does, the run goes on and the files are complete. On resume
the files are cut back to the checkpoint's step, so that no step appears twice, and W&B is told the run's id of before:
online it goes on with that run, offline each start writes a segment and `wandb sync` puts them together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.files.atomic import write_atomically
from rl.files.boards import open_board
from rl.files.json_lines import object_of
from rl.files.wandb_run import WandbRun
from rollout.errors import UserError
from rollout.types import RolloutGroup, rollout_to_json

TITLE = 63


class RunLog:
    """Writes the metrics and sample rollouts of one run; `told` are lines for the user. Make it on the main process
    only."""

    def __init__(self, config: Config, start_step: int) -> None:
        self.run_dir = Path(config.run_dir)
        self.settings = config.wandb
        self.metrics_path = self.run_dir / "metrics.jsonl"
        (self.run_dir / "rollouts").mkdir(parents=True, exist_ok=True)
        self.told = cut_back(self.run_dir, start_step)
        self._wandb = None if config.wandb.mode == "disabled" else WandbRun(config, start_step)
        self._board: Any = open_board(self.run_dir, start_step) if config.wandb.tensorboard else None

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One record for this optimizer step."""
        record = {"step": step, **metrics}
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._wandb is not None:
            told = {"global_step": step, **metrics}
            self._wandb.tell(lambda run: run.log(told))
        for name, value in metrics.items() if self._board is not None else ():
            self._board.add_scalar(name, value, step)

    def save_rollouts(self, step: int, groups: Sequence[RolloutGroup]) -> None:
        """All rollouts of a step, one JSON object a line."""
        lines = [json.dumps(rollout_to_json(r)) for g in groups for r in g.rollouts]
        write_atomically(self.run_dir / "rollouts" / f"step_{step:06d}.jsonl", "\n".join(lines) + "\n")

    def table(self, step: int, groups: Sequence[RolloutGroup]) -> None:
        """A W&B table of sample rollouts."""
        if self._wandb is None:
            return
        names = ("problem", "mode", "forced", "status", "judge", "thinking", "answer", "gold", "scores")
        rows = []
        for rollout in [r for g in groups for r in g.rollouts][: self.settings.table_rows]:
            gold = rollout.problem.answer or ""
            texts = (
                rollout.judge_text,
                rollout.think_text,
                rollout.answer_text,
                gold,
                json.dumps(dict(rollout.scores)),
            )
            rows.append([rollout.problem.prompt, str(rollout.mode), str(rollout.forced), rollout.status, *texts])

        def show(run: Any) -> None:
            import wandb

            run.log({"global_step": step, "rollouts": wandb.Table(columns=list(names), data=rows)})

        self._wandb.tell(show)

    def alert(self, text: str) -> None:
        """A W&B alert. W&B drops a second one of its title within a minute, and takes titles below 64 characters."""
        if self._wandb is not None:
            title = f"{self.run_dir.name[:20]}: {text}"[:TITLE]
            self._wandb.tell(lambda run: run.alert(title=title, text=text, level="WARN"))

    def finish(self) -> None:
        """Close W&B and TensorBoard; the files need no closing."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def cut_back(run_dir: Path, step: int) -> list[str]:
    """Drop what was written after `step`: a resumed run writes it again. Returns lines for the user about what was
    damaged; a last line without its end is what a kill leaves, and no such news."""
    path, told = run_dir / "metrics.jsonl", []
    if path.is_file():
        # A run from the start writes step 0 too.
        *lines, last = path.read_bytes().split(b"\n") if step else [b""]
        steps = [_step_of(line) for line in lines]
        if damaged := [str(number) for number, found in enumerate(steps, 1) if found is None]:
            told = [f"{path}: no record of a step in line {', '.join(damaged)}; the others are kept"]
        kept = [line for line in (*lines, last) if (found := _step_of(line)) is not None and found <= step]
        write_atomically(path, "".join(f"{line.decode()}\n" for line in kept))
    for file in (run_dir / "rollouts").glob("step_*.jsonl"):
        if int(file.stem.removeprefix("step_")) > step:
            file.unlink()
    return told


def _step_of(line: bytes) -> float | None:
    found = object_of(line) or {}
    step = found.get("step")
    return float(step) if isinstance(step, int | float) and not isinstance(step, bool) else None


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """The records of `metrics.jsonl`, in order; empty when there are none. Raises `UserError` for a damaged line; a
    last one without its end is left out."""
    path = run_dir / "metrics.jsonl"
    if not path.is_file():
        return []
    *lines, last = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if _step_of(line) is None:
            raise UserError(f"{path}:{number} holds no record of a step; allowed: the line removed")
    return [json.loads(line) for line in (*lines, last) if _step_of(line) is not None]

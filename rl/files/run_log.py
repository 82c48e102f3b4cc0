"""Where a run is written down: `metrics.jsonl`, `rollouts/*.jsonl` and W&B, all from one place.

W&B is a convenience: whatever it does, the run goes on and the files are complete. On resume the files are cut back to
the checkpoint's step, so that no step appears twice, and W&B is told the run's id of before: online it goes on with
that run, offline each start writes a segment and `wandb sync` puts them together.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.config.read import to_dict
from rl.config.schema import Config
from rl.files.atomic import write_atomically
from rl.files.boards import open_board
from rollout.types import RolloutGroup, rollout_to_json

logger = logging.getLogger(__name__)
WANDB = "wandb_run.json"
TITLE = 63


class RunLog:
    """Writes the metrics and sample rollouts of one run. Make it on the main process only."""

    def __init__(self, config: Config, start_step: int) -> None:
        self.run_dir = Path(config.run_dir)
        self.settings = config.wandb
        self.metrics_path = self.run_dir / "metrics.jsonl"
        (self.run_dir / "rollouts").mkdir(parents=True, exist_ok=True)
        cut_back(self.run_dir, start_step)
        self._wandb = self._start_wandb(config, start_step)
        self._board: Any = open_board(self.run_dir, start_step) if config.wandb.tensorboard else None

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One record for this optimizer step."""
        record = {"step": step, **metrics}
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._to_wandb({"global_step": step, **metrics})
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
        try:
            import wandb

            self._to_wandb({"global_step": step, "rollouts": wandb.Table(columns=list(names), data=rows)})
        except Exception as error:
            self._give_up(error)

    def alert(self, text: str) -> None:
        """A W&B alert. W&B drops a second one of its title within a minute, and takes titles below 64 characters."""
        if self._wandb is None:
            return
        try:
            self._wandb.alert(title=f"{self.run_dir.name[:20]}: {text}"[:TITLE], text=text, level="WARN")
        except Exception as error:
            self._give_up(error)

    def finish(self) -> None:
        """Close W&B and TensorBoard; the files need no closing."""
        if self._board is not None:
            self._board.close()
        try:
            if self._wandb is not None:
                self._wandb.finish()
                if self.settings.mode == "offline":
                    print(f"W&B: wandb sync {self.run_dir / 'wandb'}/offline-run-*-{self._wandb.id}")
        except Exception as error:
            self._give_up(error)

    def _start_wandb(self, config: Config, start_step: int) -> Any:
        if self.settings.mode == "disabled":
            return None
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            import wandb

            run = wandb.init(
                id=wandb_id(self.run_dir, start_step),
                resume="allow" if self.settings.mode == "online" else None,
                project=self.settings.project,
                name=self.settings.name or self.run_dir.name,
                mode=self.settings.mode,
                dir=str(self.run_dir),
                config=to_dict(config),
            )
            run.define_metric("global_step")
            run.define_metric("*", step_metric="global_step")
            return run
        except Exception as error:
            # Network, disk, login, version: none of them is a reason to lose a run.
            self._give_up(error)
            return None

    def _to_wandb(self, record: Mapping[str, Any]) -> None:
        if self._wandb is None:
            return
        try:
            self._wandb.log(dict(record))
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("W&B failed (%s: %s); the run goes on with metrics.jsonl", type(error).__name__, error)
        self._wandb = None


def wandb_id(run_dir: Path, start_step: int) -> str:
    """The id of this run at W&B: that of before where it goes on, else a new one, which is written down."""
    file = run_dir / WANDB
    if start_step and file.is_file():
        return str(json.loads(file.read_text(encoding="utf-8"))["id"])
    made = secrets.token_hex(4)
    write_atomically(file, json.dumps({"id": made}) + "\n")
    return made


def cut_back(run_dir: Path, step: int) -> None:
    """Drop what was written after `step`: a resumed run writes it again. A run from the start also writes step 0."""
    path = run_dir / "metrics.jsonl"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines() if step else []
        kept = [line for line in lines if _step_of(line) <= step]
        write_atomically(path, "".join(f"{line}\n" for line in kept))
    for file in (run_dir / "rollouts").glob("step_*.jsonl"):
        if int(file.stem.removeprefix("step_")) > step:
            file.unlink()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        # The last line of a killed run may be half written.
        return float("inf")


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """The records of `metrics.jsonl`, in order; empty when there are none."""
    path = run_dir / "metrics.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if _step_of(line) < float("inf")]

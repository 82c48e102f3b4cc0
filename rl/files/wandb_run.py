"""W&B, held at arm's length: all of it happens in a thread of its own, so that a run never waits for a network, a
server or a process of W&B's, but for `FINISH_S` seconds at its end.

Online, where the server cannot be reached within `START_S`, the run is recorded offline instead. What is told while it
is slow waits, `MOST_WAITING` records of it; then W&B is given up, which is said once. `metrics.jsonl` has everything.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from rl.config.read import to_dict
from rl.config.schema import Config
from rl.files.atomic import write_atomically
from rollout.printable import printable

logger = logging.getLogger(__name__)
FILE = "wandb_run.json"
START_S = 60
FINISH_S = 60
MOST_WAITING = 1000
Action = Callable[[Any], None]


class WandbRun:
    """One run at W&B. `tell` returns at once; what an action raises ends the recording and nothing else."""

    def __init__(self, config: Config, start_step: int) -> None:
        self.run_dir, self.mode = Path(config.run_dir), config.wandb.mode
        self.id = wandb_id(self.run_dir, start_step)
        self._waiting: queue.Queue[Action | None] = queue.Queue(MOST_WAITING)
        self._ended = False
        self._thread = threading.Thread(target=self._work, args=(config,), name="wandb", daemon=True)
        self._thread.start()

    def tell(self, action: Action) -> None:
        """`action(run)`, later."""
        if self._ended:
            return
        try:
            self._waiting.put_nowait(action)
        except queue.Full:
            self._give_up(f"it is slow: {MOST_WAITING} records wait", hangs=True)

    def finish(self) -> None:
        """Wait for what was told, for `FINISH_S` at most, and say how an offline run gets to the server."""
        if not self._ended:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._give_up(f"it is slow: {MOST_WAITING} records wait", hangs=True)
        if not self._ended:
            self._thread.join(FINISH_S + 5)
            if self._thread.is_alive():
                self._give_up(f"it did not end within {FINISH_S + 5} s", hangs=True)
        if list(self.run_dir.glob(f"wandb/offline-run-*-{self.id}")):
            print(f"W&B: wandb sync {self.run_dir / 'wandb'}/offline-run-*-{self.id}")

    def _work(self, config: Config) -> None:
        run = None
        try:
            run = self._start(config)
            while (action := self._waiting.get()) is not None and not self._ended:
                action(run)
            if not self._ended:
                run.finish()
        except BaseException as error:
            # Network, disk, login, version, a process of theirs that is gone: none of them is a reason to lose a run.
            self._give_up(f"{type(error).__name__}: {' '.join(str(error).split())}")

    def _start(self, config: Config) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        def start(mode: Any) -> Any:
            return wandb.init(
                id=self.id,
                resume="allow" if mode == "online" else None,
                project=config.wandb.project,
                name=config.wandb.name or self.run_dir.name,
                mode=mode,
                dir=str(self.run_dir),
                config=to_dict(config),
                settings=wandb.Settings(init_timeout=START_S, login_timeout=START_S, finish_timeout=FINISH_S),
            )

        try:
            run = start(self.mode)
        except wandb.errors.CommError as error:
            if self.mode != "online":
                raise
            logger.warning("W&B cannot be reached (%s); this run is recorded offline", " ".join(str(error).split()))
            wandb.teardown()  # their process still holds the run's id
            run = start("offline")
        run.define_metric("global_step")
        run.define_metric("*", step_metric="global_step")
        return run

    def _give_up(self, reason: str, hangs: bool = False) -> None:
        if not self._ended:
            self._ended = True
            logger.warning("W&B failed (%s); the run goes on with metrics.jsonl", printable(reason, 500))
            # W&B waits for its own process when ours ends, however long.
            for child in psutil.Process().children() if hangs else ():
                if child.name().startswith("wandb-core"):
                    child.kill()


def wandb_id(run_dir: Path, start_step: int) -> str:
    """The id of this run at W&B: that of before where it goes on, else a new one, which is written down."""
    file = run_dir / FILE
    if start_step and file.is_file():
        return str(json.loads(file.read_text(encoding="utf-8"))["id"])
    made = secrets.token_hex(4)
    write_atomically(file, json.dumps({"id": made}) + "\n")
    return made

"""Which checkpoint to go on from: the last one that was written to its end."""

from __future__ import annotations

import shutil
from pathlib import Path

HISTORY = "pass_history.json"
RUN_STATE = "run_state.json"
REFERENCE = "reference.json"
COMPLETE = "complete.json"


def step_of(checkpoint: Path) -> int:
    """The optimizer step of a checkpoint folder."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint that carries its end mark, or None."""
    complete = [path for path in folder.glob("checkpoint-*") if (path / COMPLETE).is_file()]
    return max(complete, key=step_of, default=None)


def remove_incomplete(folder: Path) -> None:
    """Delete checkpoints that a killed run left half written."""
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path)

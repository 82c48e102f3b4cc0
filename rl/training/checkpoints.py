"""Which checkpoint to go on from: the last one that was written to its end."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from rollout.errors import UserError

HISTORY = "pass_history.json"
RUN_STATE = "run_state.json"
REFERENCE = "reference.json"
AHEAD = "round_ahead.json"
COMPLETE = "complete.json"


def step_of(checkpoint: Path) -> int:
    """The optimizer step of a checkpoint folder."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint that carries its end mark, or None."""
    complete = [path for path in folder.glob("checkpoint-*") if (path / COMPLETE).is_file()]
    return max(complete, key=step_of, default=None)


def check_readable(checkpoint: Path) -> None:
    """Raises `UserError` that names the file when a finished checkpoint was damaged since, as by a copy that broke off.
    Nothing is passed over silently: whoever wants the one before removes this one."""
    for file in sorted(checkpoint.rglob("*")):
        try:
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix in (".pt", ".pth") and not zipfile.is_zipfile(file):
                raise ValueError("no whole file of torch")
            elif file.suffix == ".safetensors":
                _check_length(file)
        except ValueError as error:
            raise UserError(
                f"{file} cannot be read ({error}); allowed: a whole checkpoint, or {checkpoint} removed, and the run "
                "goes on from the one before it"
            ) from error


def _check_length(file: Path) -> None:
    """Raises `ValueError` unless the file is as long as its header says."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(min(size, file.stat().st_size)))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if file.stat().st_size != 8 + size + max(ends, default=0):
        raise ValueError("shorter or longer than its header says")


def remove_incomplete(folder: Path) -> None:
    """Delete checkpoints that a killed run left half written."""
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path)

"""Which checkpoint to go on from: the last one that was written to its end."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from rl.files.atomic import write_atomically
from rl.files.json_lines import object_of
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


def mark_complete(folder: Path, step: int) -> None:
    """The end mark of a checkpoint, written last, with the bytes of each file. Left out is what other ranks may still
    write, the state of their random numbers."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("rng_state")]
    sizes = {str(file.relative_to(folder)): file.stat().st_size for file in files}
    write_atomically(folder / COMPLETE, json.dumps({"step": step, "files": sizes}))


def check_readable(checkpoint: Path) -> None:
    """Raises `UserError` that names the file when a finished checkpoint was damaged since, as by a copy that broke off.
    Nothing is passed over silently: whoever wants the one before removes this one."""
    sizes = _sizes(checkpoint)
    for file in sorted({*checkpoint.rglob("*"), *sizes}):
        try:
            if file in sizes and not file.is_file():
                raise ValueError("it is gone")
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix in (".pt", ".pth") and not zipfile.is_zipfile(file):
                raise ValueError("no whole file of torch")
            elif file.suffix == ".safetensors":
                with safe_open(file, "pt"):  # reads the header and compares it with the length
                    pass
            if file in sizes and file.stat().st_size != sizes[file]:
                raise ValueError(f"{file.stat().st_size} bytes instead of {sizes[file]}")
        except (ValueError, SafetensorError) as error:
            raise UserError(
                f"{file} cannot be read ({error}); allowed: a whole checkpoint, or {checkpoint} removed, and the run "
                "goes on from the one before it"
            ) from error


def _sizes(checkpoint: Path) -> dict[Path, int]:
    """The bytes of each file by the end mark; none where it is older or damaged."""
    found = object_of((checkpoint / COMPLETE).read_bytes()) if (checkpoint / COMPLETE).is_file() else None
    return {checkpoint / name: size for name, size in (found or {}).get("files", {}).items()}


def check_ranks(checkpoint: Path, ranks: int, deepspeed: bool) -> None:
    """Raises `UserError` for a checkpoint that this launch cannot read: DeepSpeed's is cut into one part a rank. Any
    other one is whole and goes on with any number of ranks."""
    parts = len(list(checkpoint.glob("global_step*/*zero_pp_rank_*_optim_states.pt")))
    if parts and (parts != ranks or not deepspeed):
        now = f"{ranks} rank(s)" + ("" if deepspeed else " without trainer.deepspeed")
        raise UserError(
            f"{checkpoint} is cut into the ZeRO parts of {parts} ranks, and this is {now}; allowed: {parts} ranks with "
            f"trainer.deepspeed; or its weights alone, in another run_dir with model.path={checkpoint}; where it holds "
            f"no model.safetensors: python {checkpoint}/zero_to_fp32.py {checkpoint} DIR"
        )
    if deepspeed and not parts:
        raise UserError(
            f"{checkpoint} was not written by DeepSpeed, which cannot read it; allowed: without trainer.deepspeed, or "
            f"its weights alone, in another run_dir with model.path={checkpoint}"
        )


def remove_incomplete(folder: Path) -> list[str]:
    """Delete checkpoints that a killed run left half written; a line for each."""
    half = sorted((path for path in folder.glob("checkpoint-*") if not (path / COMPLETE).is_file()), key=step_of)
    for path in half:
        shutil.rmtree(path)
    return [f"{path} was not written to its end: nothing of it is read, and it is removed" for path in half]

"""Which model a path means, and with which settings it is opened.

A run folder means its finished model, and everything inside a run (its model, a checkpoint, the cold start's) is opened
with the run's own settings. An exported folder has them beside it. Any other model is opened with `protocol: auto`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.config.errors import ConfigError
from rl.config.read import parse_config
from rl.config.schema import Config
from rl.files.atomic import part_of
from rl.models.location import check_model_path
from rl.training.checkpoints import COMPLETE, last_complete, step_of
from rollout.errors import UserError

SETTINGS = "step_srpo.json"
SCHEMA = 1
TALK_TOKENS = 2048  # the longest answer of a model that says nothing about it


@dataclass(frozen=True)
class Source:
    """A model with its settings; `run` is the folder of the run that made it."""

    model: str
    config: Config
    run: Path | None = None


def find_source(path: str) -> Source:
    """The model that this path means. Raises `UserError` in one line where there is none."""
    folder = Path(path)
    own = run_config(folder)
    if own is not None:
        return Source(str(finished_model(folder)), own, folder)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(f"{path} holds no model and no run; allowed: a run folder, a saved model, a hub id")
    check_model_path(path)
    if (folder / SETTINGS).is_file():
        return Source(path, exported_config(folder / SETTINGS))
    for run in folder.resolve().parents[:3] if folder.is_dir() else ():
        found = run_config(run)
        if found is not None:
            return Source(path, found, run)
    raw = {"protocol": {"name": "auto"}, "rollout": {"max_new_tokens": TALK_TOKENS, "engine": "hf"}}
    return Source(path, parse_config({**raw, "model": {"path": path}}))


def run_config(folder: Path) -> Config | None:
    """The settings of a run folder; None for a folder that is none."""
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict) or not {"run_dir", "protocol", "rollout"} <= set(raw):
        return None
    # The folder may have moved since.
    return parse_config({**raw, "run_dir": str(folder)})


def finished_model(run: Path, by_option: bool = False) -> Path:
    """The model that a run ended with. Raises `UserError` for a run that is still going on, or that failed, with its
    last checkpoint; `by_option`: the command takes that by --checkpoint, otherwise it has to be exported first."""
    if (run / "model" / "config.json").is_file():
        return run / "model"
    last = last_complete(run / "checkpoints")
    option = f"--checkpoint {last.name}" if last else ""
    way = f", or {option if by_option else f'what scripts/export.py {run} OUT {option} writes'}" if last else ""
    raise UserError(f"{run} has no finished model yet; allowed: a run that has ended{way}")


def checkpoint_of(run: Path, name: str) -> Path:
    """A checkpoint of a run, by its folder's name, step or path. Raises `UserError` with those that are there."""
    folder = run / "checkpoints"
    there = sorted((path for path in folder.glob("checkpoint-*") if (path / COMPLETE).is_file()), key=step_of)
    for path in there:
        if name in (path.name, str(step_of(path))) or Path(name).resolve() == path.resolve():
            return path
    names = ", ".join(path.name for path in there) or "none is there"
    raise UserError(f"--checkpoint {name!r} is no complete checkpoint of {run}; allowed: {names}")


def exported_config(file: Path) -> Config:
    """The settings beside an exported model. Raises `ConfigError` where the file is no such thing."""
    try:
        raw: Any = json.loads(file.read_text(encoding="utf-8"))
        found = {"protocol": raw["protocol"], "rollout": {"max_new_tokens": raw["max_new_tokens"]}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} holds no settings of an exported model: {error}") from error
    return parse_config({**found, "model": {"path": str(file.parent)}})


def check_new_folder(out: Path) -> None:
    """Raises `UserError` unless this is a place where nothing lies yet."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already; allowed: a new folder")
    if part_of(out).exists() and not part_of(out).is_dir():
        raise UserError(f"{part_of(out)} is in the way; allowed: a place where it can be written")

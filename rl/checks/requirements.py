"""Files and packages that a configuration names: there before the first step, or told in one line. No torch here."""

from __future__ import annotations

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rl.config.schema import Config, ConfigError
from rl.data.embedded import is_tiny


def check_requirements(config: Config) -> None:
    """The files and packages of trainer and model. Raises `ConfigError`."""
    _check_run_dir(Path(config.run_dir))
    if config.trainer.deepspeed:
        deepspeed_settings(Path(config.trainer.deepspeed))
        if find_spec("deepspeed") is None:
            raise ConfigError(
                "trainer.deepspeed is set, but the package is missing; pip install 'step-srpo[deepspeed]'"
            )
    if config.wandb.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError("wandb.tensorboard is true, but the package is missing; pip install tensorboard")
    template, path = config.model.chat_template, config.model.path
    if template and not Path(template).is_file():
        raise ConfigError(f"model.chat_template is {template!r}; allowed: a file (looked in {Path.cwd()})")
    if template and is_tiny(path):
        raise ConfigError(f"model.chat_template is {template!r} and model.path {path!r}, which takes none; allowed: ''")


def _check_run_dir(folder: Path) -> None:
    """The run folder must be one that can be written; nothing is made of it here."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"run_dir is {str(folder)!r}, but {str(there)!r} is a file; allowed: a folder, or a new name")
    try:
        # Permissions say less than a try: a read-only mount, a full disk.
        tempfile.TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        raise ConfigError(
            f"run_dir is {str(folder)!r}, but nothing can be written in {str(there)!r}: {error.strerror}; allowed: a "
            "writable folder"
        ) from error


def deepspeed_settings(file: Path) -> dict[str, Any]:
    """What a DeepSpeed configuration file says. Raises `ConfigError` where it says nothing of ZeRO."""
    if not file.is_file():
        raise ConfigError(f"trainer.deepspeed is {str(file)!r}; allowed: a JSON file (looked in {Path.cwd()})")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"trainer.deepspeed {str(file)!r} is no JSON: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict) or "zero_optimization" not in settings:
        raise ConfigError(f"trainer.deepspeed {str(file)!r} has no zero_optimization; see configs/deepspeed/zero2.json")
    zero = settings["zero_optimization"]
    if not isinstance(zero, dict) or zero.get("stage", 0) not in (0, 1, 2, 3):
        raise ConfigError(
            f"trainer.deepspeed {str(file)!r}: zero_optimization is {zero!r}; allowed: a section with a stage, 0 to 3"
        )
    return settings

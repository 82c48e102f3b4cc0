"""Files and packages that a configuration names: there before the first step, or told in one line. No torch here."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from rl.config.schema import Config, ConfigError


def check_requirements(config: Config) -> None:
    """The files and packages of trainer and model. Raises `ConfigError`."""
    if config.trainer.deepspeed:
        _check_deepspeed(Path(config.trainer.deepspeed))
    if config.wandb.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError("wandb.tensorboard is true, but the package is missing; pip install tensorboard")
    template = config.model.chat_template
    if template and not Path(template).is_file():
        raise ConfigError(f"model.chat_template is {template!r}; allowed: a file (looked in {Path.cwd()})")


def _check_deepspeed(file: Path) -> None:
    if not file.is_file():
        raise ConfigError(f"trainer.deepspeed is {str(file)!r}; allowed: a JSON file (looked in {Path.cwd()})")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"trainer.deepspeed {str(file)!r} is no JSON: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict) or "zero_optimization" not in settings:
        raise ConfigError(f"trainer.deepspeed {str(file)!r} has no zero_optimization; see configs/deepspeed/zero2.json")
    if find_spec("deepspeed") is None:
        raise ConfigError("trainer.deepspeed is set, but the package is missing; pip install 'step-srpo[deepspeed]'")

"""What an evaluation makes, and which settings and files that depends on. Light: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.files.finished import DIGEST, Work, settings_of
from rl.models.inputs import DATA_CHECKS, data_settings, digest_of, input_digests, policy_settings

# How training is watched, and how many rows are decoded at once.
APART = ("evaluation.every", "evaluation.probe", "evaluation.batch")
BATCHES = ("evaluation.batch", "rollout.engine")
SAMPLED = ("rollout.temperature", "rollout.top_p", "rollout.top_k")


def evaluation_work(
    config: Config, model: str | Path, out: str | Path, earlier: str = "", options: Mapping[str, Any] | None = None
) -> Work:
    """The JSON of an evaluation of `model`. `options`: what the command was told besides the configuration. `earlier`:
    the pipeline stage that an earlier version recorded it under."""
    keys = ["evaluation", "rewards", "rollout.max_new_tokens", *DATA_CHECKS[:2]]
    keys += SAMPLED if config.evaluation.samples > 1 else []
    settings = data_settings(config, "test") | policy_settings(config) | settings_of(config, keys, APART)
    settings |= input_digests(config, ("test",), str(model)) | dict(options or {})
    del settings["model.path"]
    settings["--model"] = str(model)
    contents = settings.pop(f"{DIGEST}model.path", None)
    settings |= {f"{DIGEST}--model": contents} if contents else {}
    told = any((options or {}).values())
    settings[f"{DIGEST}dial"] = "" if told else digest_of([Path(model) / "dial.json"])
    stages = (Path(config.run_dir) / "stages" / f"{earlier}.json",) if earlier else ()
    return Work("evaluation", Path(out), settings, earlier=stages)

"""What an evaluation makes, and which settings and files that depends on. Light: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.files.finished import DIGEST, Work, settings_of
from rl.files.json_file import read_object
from rl.models.inputs import DATA_CHECKS, data_settings, digest_of, input_digests, policy_settings

# How training is watched, and how many rows are decoded at once.
APART = ("evaluation.every", "evaluation.probe", "evaluation.batch")
BATCHES = ("evaluation.batch", "rollout.engine")
# What scripts/evaluate.py takes besides the model, each with the source that it is for; a pipeline gives none of them.
OPTIONS = {
    **dict.fromkeys(("dial", "target"), "model"),
    "untouched": "untouched",
    **dict.fromkeys(("server", "server-model", "switch"), "server"),
    **dict.fromkeys(("records", "mode-from", "tokens-from"), "records"),
}
SAMPLED = ("rollout.temperature", "rollout.top_p", "rollout.top_k")


def evaluation_work(
    config: Config, model: str | Path, out: str | Path, options: Mapping[str, Any] | None = None, earlier: str = ""
) -> Work:
    """The JSON of an evaluation. `options`: what the command was told besides the configuration. `earlier`: the
    pipeline stage that an earlier version recorded it under."""
    keys = ["evaluation", "rewards", "rollout.max_new_tokens", *DATA_CHECKS[:2]]
    keys += SAMPLED if config.evaluation.samples > 1 else []
    told = {f"--{name}": "" for name in OPTIONS} | dict(options or {}) | {"--model": str(model)}
    settings = data_settings(config, "test") | policy_settings(config) | settings_of(config, keys, APART) | told
    digests = input_digests(config, ("test",), str(model))
    contents = {
        "--model": digests.pop(f"{DIGEST}model.path", ""),
        "--records": digest_of([Path(str(told["--records"]))]),
    }
    # The dial beside the model is measured too, unless the command picks or names one.
    dial = Path(model) / "dial.json"
    contents["dial"] = "" if told["--dial"] or told["--target"] else digest_of([dial])
    settings |= digests | {f"{DIGEST}{key}": digest for key, digest in contents.items() if digest or key == "dial"}
    del settings["model.path"]
    stages = (Path(config.run_dir) / "stages" / f"{earlier}.json",) if earlier else ()
    return Work("evaluation", Path(out), settings, earlier=stages)


def is_whole(file: Path) -> bool:
    """Whether the JSON of an evaluation is there, with every answer that was asked for."""
    return file.is_file() and not read_object(file, (), "that file moved away, to measure anew").get("missing")

"""What a stage reads: data files, chat template, plug-in files and the input model as sha256, and the settings of each.

Hub ids, embedded worlds and reasoning-gym tasks have no files; the settings name them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rl.config.schema import Config, ConfigError
from rl.data.arithmetic import is_arithmetic
from rl.data.embedded import is_tiny
from rl.data.files import local_files
from rl.data.records import DataError
from rl.data.settings import is_generated
from rl.files.finished import DIGEST, settings_of
from rl.models.location import REHEARSAL, model_location

# What checks the data and names its levels, but changes no problem.
DATA_CHECKS = ("data.easy", "data.hard", "data.max_bad_share", "data.max_bad_gold", "data.max_drop")
# What moves rounding or memory, but no result.
MACHINE = ("model.gradient_checkpointing",)
# What makes a model: weights, architecture, tokenizer, and rows that RL may rehearse. A checkpoint's optimizer and what
# others put beside it do not.
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "*.gguf")
MODEL_FILES = (*WEIGHT_FILES, "config.json", "*.jinja", REHEARSAL)
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json", "*.model")


def input_digests(
    config: Config, splits: Sequence[str] = (), model: str = "", *, plug_ins: bool = True
) -> dict[str, str]:
    """`sha256 KEY` → digest of every file behind these splits (`train`, `test`), the template, the model at `model`,
    and the plug-ins of rewards and algorithm."""
    found: dict[str, Iterable[Path]] = {}
    for split in splits:
        found[f"data.{split}"] = data_files(config, split)
    if config.model.chat_template:
        found["model.chat_template"] = [Path(config.model.chat_template)]
    for name in _plug_ins(config) if plug_ins else ():
        found[name] = [Path(name)]
    if model:
        found["model.path"] = model_files(model)
    return {f"{DIGEST}{key}": digest for key, files in found.items() if (digest := digest_of(files))}


def data_settings(config: Config, split: str) -> dict[str, Any]:
    """The settings that the problems of a split depend on. In an embedded world and in `arithmetic` the training
    problems depend on the test split too: no prompt is in both."""
    without, train = list(DATA_CHECKS), str(config.data.train)
    if not (split == "train" and (is_tiny(train) or is_arithmetic(train))):
        other = "test" if split == "train" else "train"
        without += [f"data.{other}", f"data.{other}_size"]
    return settings_of(config, ["data"], without)


def policy_settings(config: Config) -> dict[str, Any]:
    """The settings that say how a model is opened and asked."""
    return settings_of(config, ["seed", "model", "protocol"], [*MACHINE, "model.lora"])


def file_digest(key: str, path: str | Path) -> dict[str, str]:
    """`sha256 KEY` of one file; nothing where there is no file."""
    digest = digest_of([Path(path)]) if path else ""
    return {f"{DIGEST}{key}": digest} if digest else {}


def stage_digests(config: Config) -> dict[str, str]:
    """`sha256 stages[N].train` of the files that a stage of the curriculum has of its own."""
    digests = {f"stages[{n}].train": digest_of(_files(config, s.train, "train")) for n, s in enumerate(config.stages)}
    return {f"{DIGEST}{key}": digest for key, digest in digests.items() if digest}


def data_files(config: Config, split: str) -> list[Path]:
    """The files behind a split on this machine; none for problems that are generated or lie on the hub alone."""
    return _files(config, config.data.train if split == "train" else config.data.test, split)


def _files(config: Config, where: Any, split: str) -> list[Path]:
    if not where or is_generated(where):
        return []
    try:
        found = local_files(where, config.data.path, split)
    except DataError:
        return []
    return [file for path in found for file in (path.rglob("*") if path.is_dir() else [path])]


def model_files(path: str) -> list[Path]:
    """The files of a model folder or GGUF file; none for a hub id or an embedded model."""
    if is_tiny(path):
        return []
    try:
        location = model_location(path)
    except ConfigError:
        return []
    folder = Path(location["pretrained_model_name_or_path"])
    if "gguf_file" in location:
        return [folder / location["gguf_file"]]
    return files_of_model(folder)


def files_of_model(folder: Path) -> list[Path]:
    """What of a folder is the model and its tokenizer."""
    return sorted({file for pattern in (*MODEL_FILES, *TOKENIZER_FILES) for file in folder.glob(pattern)})


def digest_of(files: Iterable[Path]) -> str:
    """One sha256 over the names and contents of these files; empty where none is there."""
    parts = [(file.name, _sha256(str(file), *_stamp(file))) for file in sorted(files) if file.is_file()]
    if len(parts) == 1:
        return parts[0][1]
    return hashlib.sha256(repr(parts).encode()).hexdigest() if parts else ""


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4096)
def _sha256(file: str, size: int, modified: int) -> str:
    """Read once a process for each state of a file."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plug_ins(config: Config) -> Iterator[str]:
    """Files named by `file.py:function`, in order."""
    named = [value for entry in config.rewards for value in (entry.get("name"), entry.get("function"))]
    for name in (*named, config.algorithm.get("name")):
        file, separator, _ = str(name).partition(".py:")
        if separator:
            yield f"{file}.py"

"""The files behind a data source: a file, a folder, a pattern, a saved data set, `hub:ID:…`, or a list of these.

A folder that holds several splits (`train-*.parquet` beside `test-*.parquet`, or folders of these names) gives the one
that is asked for, so that no training reads the test rows. `rl/data/readers.py` reads the files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from rl.data.readers import Rows, file_rows, hub_rows
from rl.data.records import DataError

ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz", ".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
HUB = "hub:"
# What `datasets` and the hub write beside the rows.
_NOT_ROWS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}


def sources_of(where: str | Sequence[str]) -> list[str]:
    """A data source as a list: itself, or its parts."""
    return [where] if isinstance(where, str) else list(where)


def rows_of(where: str | Sequence[str], folder: str, split: str = "train") -> Rows:
    """The rows of a data source. Raises `DataError` when there is none."""
    parts = sources_of(where)
    files = local_files(where, folder, split)
    alone = len(parts) == 1 and (not files or files == [Path(folder) / parts[0]])
    root = _root(files, Path(folder) / parts[0])
    found = {part: local_files(part, folder, split) for part in parts}
    for part in parts:
        if part.startswith(HUB):
            yield from hub_rows(part, "" if alone else f"{part.removeprefix(HUB)}-")
        for file in found[part]:
            yield from file_rows(file, "" if alone else f"{_stem(file.relative_to(root))}-")


def local_files(where: str | Sequence[str], folder: str, split: str = "train") -> list[Path]:
    """The files and saved data sets of a source on this machine, in order. Raises `DataError` when one is not there."""
    local = [part for part in sources_of(where) if not part.startswith(HUB)]
    return [file for part in local for file in _files(Path(folder) / part, split)]


def _root(files: Sequence[Path], path: Path) -> Path:
    """What the names of rows leave out of a file's path: the folder that was given, or what all files share."""
    if path.is_dir() and all(path in file.parents for file in files):
        return path
    return Path(os.path.commonpath([file.parent for file in files])) if files else path


def _stem(path: Path) -> str:
    name = str(path)
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def _files(path: Path, split: str) -> list[Path]:
    """The files behind a path: itself, those of a folder, or those that match a pattern."""
    if path.is_file():
        return [path]
    found: list[Path] = []
    if path.is_dir():
        found = _of_folder(path, split)
    elif "*" in str(path):
        wild = next(index for index, part in enumerate(path.parts) if "*" in part)
        found = sorted(Path(*path.parts[:wild]).glob(str(Path(*path.parts[wild:]))))
    if not found:
        raise DataError(
            f"no data file {str(path)!r} (looked in {Path.cwd()}); allowed: a file or folder of "
            f"{', '.join(ENDINGS)}; set data.path, or data.train and data.test, also to hub:ID, reasoning_gym:TASK, "
            "arithmetic or tiny"
        )
    return found


def _of_folder(folder: Path, split: str) -> list[Path]:
    if (folder / "dataset_dict.json").is_file():
        names = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        return [folder / _chosen(folder, names, split)]
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return [folder]
    inside = [file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.name.endswith(ENDINGS)]
    files = [file for file in inside if file.name not in _NOT_ROWS and not any(p.startswith(".") for p in file.parts)]
    splits = {file: _split_of(file) for file in files}
    named = sorted({name for name in splits.values() if name})
    if len(named) > 1:
        chosen = _chosen(folder, named, split)
        files = [file for file in files if splits[file] == chosen]
    return [folder / file for file in files]


def _chosen(folder: Path, names: Sequence[str], split: str) -> str:
    if split in names or len(names) == 1:
        return split if split in names else names[0]
    raise DataError(
        f"data folder {str(folder)!r} holds the splits {', '.join(names)} and none is called {split!r}; allowed: the "
        "files or the folder of one split"
    )


def _split_of(file: Path) -> str:
    """The split that a path names, such as "test" for `main/test-00000-of-00001.parquet`; empty when it names none."""
    words = re.split(r"[^a-z]+", str(file).lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), "")

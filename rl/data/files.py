"""Rows of local files and hub data sets: jsonl (also .gz), json, parquet, a folder of them, a pattern, `hub:ID:…`.

A row that cannot be read comes back as a `DataError`, so that the caller may count it and go on; a file that cannot be
read at all is raised. Nothing is held in memory but one row (one batch of a parquet file).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rl.data.records import DataError, Record

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet")
Rows = Iterator[Record | DataError]


def rows_of(where: str, folder: str) -> Rows:
    """The rows of a data source. Raises `DataError` when there is none."""
    if where.startswith("hub:"):
        yield from _hub(where)
        return
    path = Path(folder) / where
    files = _files(path)
    for file in files:
        stem = "" if files == [path] else f"{_stem(file.relative_to(_root(path)))}-"
        yield from _file(file, stem)


def _root(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _stem(path: Path) -> str:
    name = str(path)
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def _files(path: Path) -> list[Path]:
    """The files behind a path: itself, those of a folder, or those that match a pattern."""
    if path.is_file():
        return [path]
    found: list[Path] = []
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if file.name.endswith(ENDINGS)]
    elif "*" in path.name and path.parent.is_dir():
        found = sorted(path.parent.glob(path.name))
    if not found:
        raise DataError(
            f"no data file {str(path)!r} (looked in {Path.cwd()}); allowed: a file or folder of "
            f"{', '.join(ENDINGS)}; set data.path or data.train/data.test"
        )
    return found


def _file(file: Path, stem: str) -> Rows:
    if file.name.endswith(".parquet"):
        return _parquet(file, stem)
    if file.name.endswith(".json"):
        return _json(file, stem)
    return _jsonl(file, stem)


def _jsonl(file: Path, stem: str) -> Rows:
    opener: Callable[..., Any] = gzip.open if file.name.endswith(".gz") else open
    with opener(file, "rb") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _line(line, f"{file}:{number}", f"{stem}{number}")
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(f"{file}: no complete gzip file ({error})") from error


def _line(line: bytes, place: str, name: str) -> Record | DataError:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return DataError(f"{place}: not valid UTF-8 (byte {error.start})")
    except json.JSONDecodeError as error:
        return DataError(f"{place}: not valid JSON ({error.msg} at column {error.colno})")
    except RecursionError:
        return DataError(f"{place}: not valid JSON (nested too deeply)")
    return _record(row, place, name)


def _record(row: Any, place: str, name: str) -> Record | DataError:
    if not isinstance(row, dict):
        return DataError(f"{place}: holds a {type(row).__name__}; allowed: an object with fields")
    return Record(place, name, row)


def _json(file: Path, stem: str) -> Rows:
    """A json file holds one object, or a list of them."""
    try:
        value = json.loads(file.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not valid UTF-8 (byte {error.start})") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({error})") from error
    if isinstance(value, dict):
        yield Record(str(file), stem.removesuffix("-") or file.stem, value)
        return
    if not isinstance(value, list):
        raise DataError(f"{file}: holds a {type(value).__name__}; allowed: an object or a list of objects")
    for number, row in enumerate(value, 1):
        yield _record(row, f"{file}:{number}", f"{stem}{number}")


def _parquet(file: Path, stem: str) -> Rows:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        number = 0
        for batch in ParquetFile(file).iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield Record(f"{file}:{number}", f"{stem}{number}", row)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file}: no complete parquet file ({' '.join(str(error).split())})") from error


def _hub(where: str) -> Rows:
    parts = where.split(":")[1:]
    if len(parts) not in (2, 3) or not all(parts):
        raise DataError(f"data source {where!r}; allowed: hub:ID:SPLIT or hub:ID:CONFIG:SPLIT")
    from datasets import load_dataset

    try:
        rows = load_dataset(*parts[:-1], split=parts[-1])
    except (OSError, ValueError) as error:
        # Not there, no such split, no network: whatever the hub's client says, its message is what the user needs.
        raise DataError(f"data source {where!r} cannot be loaded: {' '.join(str(error).split())}") from error
    for number, row in enumerate(rows, 1):
        yield Record(f"{where}:{number}", str(number), row)

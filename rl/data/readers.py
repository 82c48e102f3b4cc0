"""The rows of one file: JSON lines, a JSON list, CSV, parquet, and the folders that `datasets` saves.

A row that cannot be read comes back as a `DataError`, so that the caller may count it and go on; a file that cannot be
read at all is raised. Text is UTF-8, with or without a byte order mark. Nothing is held in memory but one row (one
batch of a parquet file), except of JSON files that are one list.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rl.data.records import DataError, Record
from rl.files.json_lines import Repeated, object_once

Rows = Iterator[Record | DataError]
_LARGEST_CELL = 2**31 - 1
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


def file_rows(file: Path, stem: str) -> Rows:
    """The rows of a file, by the ending of its name; `stem` goes in front of the rows' own names."""
    if file.is_dir():
        return _saved_dataset(file, stem)
    name = file.name.removesuffix(".gz")
    kinds: dict[str, Callable[[Path, str], Rows]] = {".parquet": _parquet, ".json": _json, ".csv": _csv, ".tsv": _csv}
    return kinds.get(Path(name).suffix, _jsonl)(file, stem)


def _opened(file: Path) -> BinaryIO:
    return gzip.open(file, "rb") if file.name.endswith(".gz") else file.open("rb")  # type: ignore[return-value]


def _jsonl(file: Path, stem: str) -> Rows:
    with _opened(file) as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip().removeprefix(b"\xef\xbb\xbf"):
                    yield _line(line, f"{file}:{number}", f"{stem}{number}")
        except _BROKEN_GZIP as error:
            raise DataError(f"{file}: no complete gzip file ({error})") from error


def _line(line: bytes, place: str, name: str) -> Record | DataError:
    try:
        return _record(_parsed(line), place, name)
    except ValueError as error:
        return DataError(f"{place}: {error}")


def _parsed(data: bytes) -> Any:
    """The value of a JSON text. Raises `ValueError` with a reason that a user understands."""
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=object_once)
    except UnicodeDecodeError as error:
        raise ValueError(f"not valid UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno} column {error.colno}"
        raise ValueError(f"not valid JSON ({error.msg} at {where})") from error
    except RecursionError as error:
        raise ValueError("not valid JSON (nested too deeply)") from error
    except ValueError as error:
        # Python reads no number of more than some 4,300 digits.
        raise ValueError(f"holds a number of too many digits ({error})") from error


def _record(row: Any, place: str, name: str) -> Record | DataError:
    if _is_conversation(row):
        # Conversations without a row around them, as the Open-Reasoner-Zero set has them.
        row = object_once([("conversations", row)])
    if not isinstance(row, dict):
        return DataError(f"{place}: holds a {type(row).__name__}; allowed: an object with fields")
    if isinstance(row, Repeated):
        return DataError(f"{place}: {row.told}")
    return Record(place, name, row)


def _is_conversation(row: Any) -> bool:
    return isinstance(row, list) and bool(row) and all(isinstance(turn, dict) for turn in row)


def _json(file: Path, stem: str) -> Rows:
    """A json file holds one object, a list of them, or, whatever its name says, one a line."""
    try:
        with _opened(file) as opened:
            data = opened.read()
    except _BROKEN_GZIP as error:
        raise DataError(f"{file}: no complete gzip file ({error})") from error
    try:
        value = _parsed(data)
    except ValueError as error:
        if _begins_with_a_row(data):
            yield from _jsonl(file, stem)
            return
        raise DataError(f"{file}: {error}") from error
    if isinstance(value, dict):
        yield _record(value, str(file), stem.removesuffix("-") or file.stem)
        return
    if not isinstance(value, list):
        raise DataError(f"{file}: holds a {type(value).__name__}; allowed: an object or a list of objects")
    for number, row in enumerate(value, 1):
        yield _record(row, f"{file}:{number}", f"{stem}{number}")


def _begins_with_a_row(data: bytes) -> bool:
    """Whether the first line is an object by itself, with others after it."""
    first, _, rest = data.strip().partition(b"\n")
    try:
        row = _parsed(first)
    except ValueError:
        return False
    return bool(rest.strip()) and (isinstance(row, dict) or _is_conversation(row))


def _csv(file: Path, stem: str) -> Rows:
    """A table with a header line. An empty cell is an absent one."""
    csv.field_size_limit(_LARGEST_CELL)
    separator = "\t" if ".tsv" in file.suffixes else ","
    with _opened(file) as opened:
        lines = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="")
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            twice = sorted({name for name in header if name and header.count(name) > 1})
            if twice:
                raise DataError(
                    f"{file}:1: the column {twice[0]!r} stands twice in the header; allowed: each name once"
                )
            line = reader.line_num + 1
            for number, cells in enumerate(reader, 1):
                if cells:
                    yield _cells(header, cells, f"{file}:{line}", f"{stem}{number}")
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not valid UTF-8 after line {reader.line_num} ({error.reason})") from error
        except csv.Error as error:
            raise DataError(f"{file}:{reader.line_num}: no table of separated values ({error})") from error
        except _BROKEN_GZIP as error:
            raise DataError(f"{file}: no complete gzip file ({error})") from error


def _cells(header: list[str], cells: list[str], place: str, name: str) -> Record | DataError:
    if len(cells) != len(header):
        return DataError(f"{place}: has {len(cells)} cells; allowed: {len(header)}, as the header")
    return Record(place, name, {column: cell or None for column, cell in zip(header, cells, strict=True)})


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


def _saved_dataset(folder: Path, stem: str) -> Rows:
    """A folder that `Dataset.save_to_disk` wrote."""
    from datasets import Dataset

    try:
        rows = Dataset.load_from_disk(str(folder)).with_format(None)
        for number, row in enumerate(rows, 1):
            yield Record(f"{folder}:{number}", f"{stem}{number}", row)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: no complete saved data set ({' '.join(str(error).split())})") from error


def hub_rows(where: str, stem: str = "") -> Rows:
    """The rows of `hub:ID:SPLIT` or `hub:ID:CONFIG:SPLIT`."""
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
        yield Record(f"{where}:{number}", f"{stem}{number}", row)

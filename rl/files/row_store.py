"""Finished rows of a long job in a jsonl file: what is in the file is done.

Rows are appended a batch at a time and forced to disk, so a kill loses at most the batch under way. A line that a kill
cut short is removed when the file is opened again. What the rows depend on (model, sample count, …) stands beside them
in FILE.settings.json (rl/files/finished.py): rows made with other settings are refused, not mixed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.files.finished import Work, begin, move_aside, read_record, refuse_others
from rl.files.json_lines import Repeated, object_of
from rl.files.outputs import check_writable, hold, rows_text
from rollout.errors import UserError


class RowStore:
    """The rows of `path`, by their field `id`."""

    def __init__(
        self, path: Path, settings: Mapping[str, Any], *, fresh: bool = False, free: Mapping[str, Any] | None = None
    ) -> None:
        """Open (and repair) the file, or begin it; `fresh` moves an older one aside, `free` are settings that may
        change. Raises `UserError` when it was made with other settings or by nothing that says so, holds something else
        than rows, or cannot be written."""
        self.path = path
        self.work = Work("rows", path, settings, free or {})
        check_writable(path)
        if path.is_file() and path.stat().st_size and settings and not read_record(self.work):
            raise UserError(f"{path} holds something and nothing says what with; allowed: another file")
        if fresh:
            for line in move_aside(self.work):
                print(line)
        read_rows(path)
        refuse_others(self.work)
        # Only now: what is refused above keeps every byte.
        self.rows: dict[str, dict[str, Any]] = {row["id"]: row for row in read_rows(path, repair=True)}
        if path.is_file() and not self.rows:
            path.unlink()
        self.begun = False

    def __contains__(self, row_id: str) -> bool:
        return row_id in self.rows

    def hold(self) -> None:
        """Keep other processes from writing the file. Raises `UserError` while one does."""
        hold(self.path)
        # What another process wrote until now is done as well.
        self.rows = {row["id"]: row for row in read_rows(self.path)}

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write these rows to their end before returning."""
        if not self.begun:
            hold(self.path)
            begin(self.work)
            self.begun = True
        with self.path.open("ab") as file:
            file.write(rows_text(rows).encode())
            file.flush()
            os.fsync(file.fileno())
        self.rows |= {row["id"]: dict(row) for row in rows}


def read_rows(path: Path, *, repair: bool = False) -> list[dict[str, Any]]:
    """The complete rows of a file, none where there is no file. A last line without its end is left out, and with
    `repair` also cut off. Raises `UserError` for a complete line that is no row."""
    if not path.is_file():
        return []
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if repair and end < len(data):
        os.truncate(path, end)
    rows = []
    for number, line in enumerate(data[:end].split(b"\n")[:-1], 1):
        row = object_of(line)
        if isinstance(row, Repeated):
            raise UserError(f"{path}:{number} {row.told}")
        if row is None or not isinstance(row.get("id"), str):
            raise UserError(f"{path}:{number}: no row of a finished job; allowed: a file that this command wrote")
        rows.append(row)
    return rows

"""JSON lines as other programs and killed ones leave them: each line an object, told apart by its line feed alone. What
`str.splitlines` takes for the end of a line, such as U+2028, may stand inside a model's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollout.errors import UserError


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not empty. Raises `UserError` that names the file and the line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip().removeprefix(b"\xef\xbb\xbf"):
                    continue
                found = object_of(line)
                if found is None:
                    raise UserError(f"{path}:{number} is no JSON object; allowed: one object a line, in UTF-8")
                yield number, found
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error


def object_of(line: bytes) -> dict[str, Any] | None:
    """The object that a line holds, or None: it is cut short, damaged, or something else."""
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

"""A file that another stage wrote, read back: damaged or of something else, it is named, not passed over."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rl.files.json_lines import json_once
from rollout.errors import UserError


def read_object(file: Path, keys: Iterable[str], allowed: str) -> dict[str, Any]:
    """The JSON object of a file, which has these keys. Raises `UserError` with `allowed` where it is none, or cannot be
    read."""
    try:
        found = json_once(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}: {error}); allowed: {allowed}") from error
    missing = [key for key in keys if key not in found] if isinstance(found, dict) else ["object"]
    if missing:
        raise UserError(f"{file} has no {missing[0]}: it is of something else; allowed: {allowed}")
    return dict(found)

"""Settings of `data` that may be given for both splits or for each: the format, and the names of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl.config.schema import DataConfig
from rl.data.arithmetic import is_arithmetic
from rl.data.embedded import is_tiny
from rl.data.formats import adapter
from rl.data.gym_tasks import PREFIX
from rl.data.schema import FIELDS
from rollout.errors import UserError, nearest

SPLITS = ("train", "test")


def format_of(data: DataConfig, split: str) -> str:
    """The format of one split."""
    return data.format if isinstance(data.format, str) else data.format.get(split, "problems")


def columns_of(data: DataConfig, split: str) -> Mapping[str, str]:
    """Which field of the format is which column of one split."""
    columns: Mapping[str, Any] = data.columns
    return columns.get(split, {}) if _is_split(columns) else columns


def _is_split(columns: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) for value in columns.values())


def check_settings(data: DataConfig) -> None:
    """Raises `UserError` for a format or a column that there is not."""
    for split in SPLITS:
        parts = getattr(data, split)
        if not parts:
            raise UserError(f"data.{split} is {parts!r}; allowed: a source, or a list of files")
    if isinstance(data.format, Mapping) and not set(data.format) <= set(SPLITS):
        raise UserError(f"data.format has {', '.join(data.format)}; allowed: one name, or one for each of train, test")
    for split in SPLITS:
        adapter(format_of(data, split))
    if _is_split(data.columns) and not set(data.columns) <= set(SPLITS):
        raise UserError(f"data.columns has {', '.join(data.columns)}; allowed: a section for each of train, test")
    _check_used(data)
    for split in SPLITS:
        for ours, theirs in columns_of(data, split).items():
            if not isinstance(theirs, str):
                raise UserError(f"data.columns.{ours} is {theirs!r}; allowed: the name of a column")
            if format_of(data, split) == "problems" and ours not in FIELDS:
                hint = nearest(ours, FIELDS, f"allowed: {', '.join(FIELDS)}")
                raise UserError(f"data.columns has {ours!r}, no field of the format problems; {hint}")


def is_generated(where: str | list[str]) -> bool:
    """Whether a source makes its problems from a seed."""
    return isinstance(where, str) and (is_tiny(where) or is_arithmetic(where) or where.startswith(PREFIX))


def _check_used(data: DataConfig) -> None:
    """A format and columns are of files; a generated split would pass over them."""
    made = [split for split in SPLITS if is_generated(getattr(data, split))]
    for split in made:
        apart = (isinstance(data.format, Mapping) and split in data.format, _is_split(data.columns))
        given = {"format": format_of(data, split) != "problems", "columns": bool(columns_of(data, split))}
        for (key, there), own in zip(given.items(), apart, strict=True):
            if there and (own or len(made) == len(SPLITS)):
                raise UserError(
                    f"data.{key} is {getattr(data, key)!r} and data.{split} {getattr(data, split)!r} is generated, so "
                    f"that it would not be read; allowed: data.{key} for files"
                )

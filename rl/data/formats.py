"""The adapters by name (`data.format`): each turns one row of a well-known data set into a problem."""

from __future__ import annotations

from collections.abc import Callable

from rl.data.chat_rows import alpaca, sharegpt, swift
from rl.data.chat_sets import omnithought, trl, verl
from rl.data.code_sets import apps, humaneval, livecodebench, mbpp, taco
from rl.data.math_sets import aime, deepmath, deepscaler, gsm8k, math, orz
from rl.data.records import DataError, Record
from rl.data.schema import problem_of_row
from rollout.errors import nearest
from rollout.types import Problem

FORMATS: dict[str, Callable[[Record], Problem]] = {
    "problems": problem_of_row,
    "gsm8k": gsm8k,
    "math": math,
    "deepscaler": deepscaler,
    "deepmath": deepmath,
    "aime": aime,
    "orz": orz,
    "humaneval": humaneval,
    "mbpp": mbpp,
    "apps": apps,
    "taco": taco,
    "livecodebench": livecodebench,
    "omnithought": omnithought,
    "verl": verl,
    "dapo": verl,
    "trl": trl,
    "swift": swift,
    "sharegpt": sharegpt,
    "alpaca": alpaca,
}


def adapter(name: str) -> Callable[[Record], Problem]:
    """The adapter of this name. Raises `DataError`."""
    if name not in FORMATS:
        hint = nearest(name, FORMATS)
        raise DataError(f"data.format is {name!r}; allowed: {', '.join(FORMATS)}{hint and f' ({hint})'}")
    return FORMATS[name]

"""The names that tables and plots give to modes, routers and difficulty levels, and their order."""

from __future__ import annotations

import re

MODE_LABELS = {"think": "forced think", "no_think": "forced direct", "auto": "auto"}
ROUTERS = ("oracle", "random", "length")


def level_order(level: str) -> list[tuple[int, int, str]]:
    """Sort key that puts difficulty 2 before difficulty 10."""
    parts = re.split(r"([0-9]{1,9})", level)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part]

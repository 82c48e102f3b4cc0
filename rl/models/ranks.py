"""What torchrun says about this process. Light: nothing here imports torch."""

from __future__ import annotations

import os


def world_size() -> int:
    """Ranks of this launch."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this process writes files and lines."""
    return rank() == 0

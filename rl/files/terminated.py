"""SIGTERM, as Slurm and container managers send it before they kill: what is finished stays, and the process ends well.

`ends_on_sigterm` makes the signal raise `Terminated` in the main thread, wherever it is: all files are written in full
or not at all, so that may be anywhere. `at_the_next_step` holds it back: a trainer asks `asked` after each step, saves
a checkpoint, and raises it itself. Light: nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

_held_back = False
_asked = False


class Terminated(BaseException):
    """The process was asked to end, and what it had finished is on the disk."""


def _receive(signum: int, frame: Any) -> None:
    global _asked
    _asked = True
    if not _held_back:
        raise Terminated


@contextlib.contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated`. For the main thread."""
    global _asked
    before, _asked = signal.signal(signal.SIGTERM, _receive), False
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _asked = False  # what runs next in this process was not asked


@contextlib.contextmanager
def at_the_next_step() -> Iterator[None]:
    """Within it SIGTERM is only noted."""
    global _held_back
    before, _held_back = _held_back, True
    try:
        yield
    finally:
        _held_back = before


def asked() -> bool:
    """Whether a SIGTERM has come."""
    return _asked


def command_that_goes_on(arguments: Sequence[str] = ()) -> str:
    """The command line of this process, by default; `resume=never` is left out, since it would begin anew.

    >>> command_that_goes_on(["scripts/train.py", "configs/demo.yaml", "resume=never", "run_dir=my run"])
    "python scripts/train.py configs/demo.yaml 'run_dir=my run'"
    """
    words = [word for word in arguments or sys.argv if word != "resume=never"]
    ranks, nodes = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"))
    launcher = [f"torchrun --nproc_per_node={ranks}"] if "LOCAL_WORLD_SIZE" in os.environ else ["python"]
    return " ".join([*launcher, *([f"--nnodes={nodes}"] if nodes > 1 else []), shlex.join(words)])

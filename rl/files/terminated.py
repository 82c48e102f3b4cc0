"""SIGTERM, as Slurm and container managers send it before they kill, and Ctrl-C: what is finished stays, the process
ends well.

`ends_on_sigterm` makes the signals raise `Terminated` in the main thread, wherever it is: all files are written in full
or not at all, so that may be anywhere. `at_the_next_step` holds them back: a trainer asks `asked` after each step,
saves a checkpoint, and raises it itself. A Ctrl-C after that is Python's own. Light: nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

WAITS = b"\nthis step is finished and saved first; Ctrl-C again ends at once\n"

_held_back = False
_asked = False
_by = signal.SIGTERM


class Terminated(BaseException):
    """The process was asked to end, and what it had finished is on the disk."""


def _receive(signum: int, frame: Any) -> None:
    global _asked, _by
    if _asked and signum == signal.SIGINT:
        raise KeyboardInterrupt
    if not _asked:
        _asked, _by = True, signal.Signals(signum)
    if not _held_back:
        raise Terminated
    if signum == signal.SIGINT:
        os.write(2, WAITS)  # print may be under way


@contextlib.contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Within it SIGTERM and SIGINT raise `Terminated`. A SIGINT that this process was started to ignore stays ignored,
    as of a job in the background; SIGTERM is always heard, since a launcher that ignores it hands that on. For the main
    thread."""
    global _asked
    _asked = False
    numbers = [signal.SIGTERM, *([signal.SIGINT] * (signal.getsignal(signal.SIGINT) is not signal.SIG_IGN))]
    before = {number: signal.signal(number, _receive) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked = False  # what runs next in this process was not asked


@contextlib.contextmanager
def at_the_next_step() -> Iterator[None]:
    """Within it the signals are only noted."""
    global _held_back
    before, _held_back = _held_back, True
    try:
        yield
    finally:
        _held_back = before


def asked() -> bool:
    """Whether a signal has come."""
    return _asked


def ended_by() -> tuple[str, int]:
    """What the last `Terminated` came of, for people, and the exit code that goes with it."""
    return ("Ctrl-C", 130) if _by == signal.SIGINT else ("SIGTERM", 0)


def command_that_goes_on(arguments: Sequence[str] = ()) -> str:
    """The command line of this process, by default; `resume=never` is left out, since it would begin anew.

    >>> command_that_goes_on(["scripts/train.py", "configs/demo.yaml", "resume=never", "run_dir=my run"])
    "python scripts/train.py configs/demo.yaml 'run_dir=my run'"
    """
    words = [word for word in arguments or sys.argv if word != "resume=never"]
    ranks, nodes = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"))
    launcher = [f"torchrun --nproc_per_node={ranks}"] if "LOCAL_WORLD_SIZE" in os.environ else ["python"]
    return " ".join([*launcher, *([f"--nnodes={nodes}"] if nodes > 1 else []), shlex.join(words)])

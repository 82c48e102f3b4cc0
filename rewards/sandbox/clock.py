"""How long the programs of one problem have been idle, as the fork server counts it.

Idle is the time in which none of them computed and none waited for a processor: it sleeps, or is blocked. So a busy
machine takes nothing of a program's `wall_s`. The kernel says how long a thread waited for a processor
(`/proc/PID/task/*/schedstat`); it is asked only where the answer matters. A program that may fork could keep itself
waiting, and compute where nobody counts: there all time counts. Not covered: a machine without that file, where waiting
counts as idling.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

_WORTH_ASKING_S = 0.005


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds of these processes so far; those that are gone count nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue
    return total


class Clock:
    """The idle time of one problem after another. Made before the root is left, since it needs /proc."""

    def __init__(self) -> None:
        try:
            self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self._proc = -1
        self.begin()

    def begin(self, forking: bool = False) -> None:
        """A problem begins, without programs yet; `forking`: they may start processes of their own."""
        self._forking = forking
        self._idle = self._open = self._cpu = self._delay = 0.0
        self._since = time.monotonic()

    def settle(self, waited_s: float) -> None:
        """Account for what is open, at most the time for which the judge says that it waited: while it was held up, a
        program that had answered could do nothing but idle."""
        self._idle += min(self._open, waited_s)
        self._open = 0.0

    def measure(self, before: Sequence[int], after: Sequence[int]) -> None:
        """Measure the time since the last measure, in which the programs `before` ran; `after` go on."""
        idle = time.monotonic() - self._since - self._busy(cpu_s(before)) if before else 0.0
        if idle > _WORTH_ASKING_S and not self._forking:
            delay = self._waited_for_processor(before)
            idle -= max(delay - self._delay, 0.0)
            self._delay = delay if list(before) == list(after) else 0.0
        self._open += max(idle, 0.0)
        self._since, self._cpu = time.monotonic(), cpu_s(after)

    def idle_s(self, pids: Sequence[int], cpu: float, limit_s: float) -> float:
        """Idle seconds of the problem so far, with `cpu` seconds used by the running ones; exact from the limit on."""
        idle = self._idle + self._open + time.monotonic() - self._since - self._busy(cpu)
        if idle >= limit_s and not self._forking:
            idle -= max(self._waited_for_processor(pids) - self._delay, 0.0)
        return idle

    def _busy(self, cpu: float) -> float:
        return 0.0 if self._forking else cpu - self._cpu

    def _waited_for_processor(self, pids: Sequence[int]) -> float:
        total = 0.0
        for pid in pids:
            for thread in self._read(f"{pid}/task", os.listdir):
                total += int((self._read(f"{pid}/task/{thread}/schedstat", _fields) or (0, 0))[1])
        return total / 1e9

    def _read(self, path: str, how: Callable[[int], Sequence[str]]) -> Sequence[str]:
        """What /proc says at this path; nothing where the process has ended, and without /proc."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return ()
        try:
            return how(fd)
        except OSError:
            return ()
        finally:
            os.close(fd)


def _fields(fd: int) -> list[str]:
    return os.read(fd, 100).decode().split()

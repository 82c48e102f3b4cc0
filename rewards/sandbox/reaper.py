"""Tier 2's stand-ins for namespaces: ending every descendant of the worker, wiping its scratch directory, and finding
an identity nobody else uses.

Not covered: processes of other workers; a worker only ever ends its own descendants. What a worker that died leaves
behind: `orphans.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from typing import NamedTuple

FIRST_UID = 1_000_000_000
_ROUNDS = 1000


class Process(NamedTuple):
    """A line of /proc: `state` is a letter, Z for one that has ended and is not reaped; the rest are pids."""

    pid: int
    state: str
    parent: int
    group: int
    session: int


def spare_uid() -> int | None:
    """A uid for this worker's programs that no account and no other worker here has, if this container maps one."""
    for candidate in (FIRST_UID + os.getpid(), 60_000 + os.getpid() % 5_000):
        if can_read(candidate, "/"):
            return candidate
    return None


def can_read(uid: int, path: str) -> bool:
    """Whether a process could become `uid` and read this file or list this directory."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.listdir(path) if os.path.isdir(path) else os.close(os.open(path, os.O_RDONLY))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def kill_group(leader: int) -> None:
    """Kill all processes of a program's group at one instant: the kernel lets none of them finish a fork meanwhile, and
    seccomp lets none leave the group. The leader must not have been reaped, so that its number is nobody else's."""
    with contextlib.suppress(ProcessLookupError):  # it ended before it had a group
        os.killpg(leader, signal.SIGKILL)


def end_descendants(keep: set[int]) -> None:
    """Kill and reap every descendant of this process except those in `keep` and theirs. As a subreaper it inherits
    orphans, so a daemon that forked twice is found as well; it is repeated until nothing is left. None is reaped as
    long as one runs: a dead process still counts against the limit of processes, so none can take its place."""
    for _ in range(_ROUNDS):
        found = descendants(os.getpid(), keep)
        if not found:
            return
        for process in found:  # one that has ended may have threads that run on
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        running = [process.pid for process in found if process.state != "Z"]
        for pid in running or [process.pid for process in found]:
            with contextlib.suppress(ChildProcessError):  # its parent is another of these; it is ours in the next round
                os.waitid(os.P_PID, pid, os.WEXITED | (os.WNOWAIT if running else 0))
    raise OSError("descendants of a program could not be ended")


def descendants(root: int, keep: set[int]) -> list[Process]:
    """Every process below `root`, except for those in `keep` and theirs."""
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process)
    found, stack = [], [root]
    while stack:
        below = [process for process in children.get(stack.pop(), []) if process.pid not in keep]
        found += below
        stack += [process.pid for process in below]
    return found


def processes() -> Iterator[Process]:
    """Every process that /proc shows to this one."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                state, *numbers = file.read().rsplit(b")", 1)[1].split()[:4]
        except OSError:  # it is gone, or hidden from us
            continue
        yield Process(int(entry), state.decode(), *map(int, numbers))


def threads(pid: int) -> int:
    """Threads of a process; 0 once it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def wipe(directory: str) -> None:
    """Remove everything below the directory, however deep and whatever its modes: directories are emptied upwards, so
    no path grows long. The program is dead, so nothing moves under our feet, but every name may be its choice."""
    top, moved = os.open(directory, os.O_RDONLY | os.O_DIRECTORY), 0
    unused = os.urandom(16).hex()
    try:
        while names := os.listdir(top):
            for name in names:
                if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
                    os.unlink(name, dir_fd=top)
                    continue
                for entry, inner in _opened(top, name):
                    moved += 1
                    os.rename(entry, f"{unused}{moved}", src_dir_fd=inner, dst_dir_fd=top)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _opened(top: int, name: str) -> Iterator[tuple[str, int]]:
    """The entries of a subdirectory, those that are directories made writable, and a descriptor to reach them by."""
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for entry in os.listdir(inner):
            if stat.S_ISDIR(os.lstat(entry, dir_fd=inner).st_mode):
                os.chmod(entry, 0o700, dir_fd=inner)
            yield entry, inner
    finally:
        os.close(inner)

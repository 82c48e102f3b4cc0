"""Tier 2's stand-ins for namespaces: ending every descendant of the worker, wiping its scratch directory, and finding
an identity nobody else uses.

Not covered: processes of other workers; a worker only ever ends its own descendants.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator

_FIRST_UID = 1_000_000_000
_ROUNDS = 1000


def spare_uid() -> int | None:
    """A uid for this worker's programs that no account and no other worker here has, if this container maps one."""
    for candidate in (_FIRST_UID + os.getpid(), 60_000 + os.getpid() % 5_000):
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


def end_descendants(keep: set[int]) -> None:
    """Kill and reap every descendant of this process except those in `keep` and theirs. As a subreaper it inherits
    orphans, so a daemon that forked twice is found as well; it is repeated until nothing is left."""
    for _ in range(_ROUNDS):
        found = descendants(os.getpid(), keep)
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for pid in found:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:  # its parent is another of these; it is reaped in the next round
                continue
    raise OSError("descendants of a program could not be ended")


def descendants(root: int, keep: set[int]) -> list[int]:
    """Every process below `root`, except for those in `keep` and theirs."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(_parent_of(entry), []).append(int(entry))
    found, stack = [], [root]
    while stack:
        below = [pid for pid in children.get(stack.pop(), []) if pid not in keep]
        found += below
        stack += below
    return found


def _parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rsplit(b")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


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

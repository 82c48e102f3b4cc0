"""What programs on tier 2 hold on disk: what lies in the scratch directory, and files that they removed and still have
open or mapped.

A program chooses names, depths and modes: directories are opened one below the other, so no path grows long, one that
may not be read is made readable, and counting ends at the first entry that is too many. Not covered: the size of a
removed file that is mapped and no longer open; it counts as large as a file may be.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

_BLOCK = 512


def within(directory: str, pids: Iterable[int], most_bytes: int, most_entries: int) -> bool:
    """Whether these processes hold no more than that. The directory may change while it is read."""
    try:
        sizes = _sizes(directory, most_entries)
        sizes += _removed(directory, os.stat(directory).st_dev, pids, most_bytes)
    except OSError:  # more directories than descriptors
        return False
    return len(sizes) <= most_entries and sum(sizes) <= most_bytes


def _sizes(directory: str, most: int) -> list[int]:
    """Bytes of the entries below, of one more than `most` at most."""
    sizes: list[int] = []
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack = [(top, _subdirectories(top, sizes, most))]
    try:
        while stack and len(sizes) <= most:
            fd, names = stack[-1]
            if not names:
                os.close(stack.pop()[0])
                continue
            inner = _open(names.pop(), fd)
            if inner is not None:
                stack.append((inner, _subdirectories(inner, sizes, most)))
    finally:
        for fd, _ in stack:
            os.close(fd)
    return sizes


def _subdirectories(fd: int, sizes: list[int], most: int) -> list[str]:
    """Names of the directories in a directory; the sizes of its entries are appended, up to one more than `most`."""
    names = []
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:  # it has just gone
                continue
            sizes.append(found.st_blocks * _BLOCK if stat.S_ISREG(found.st_mode) else 0)
            if stat.S_ISDIR(found.st_mode):
                names.append(entry.name)
            if len(sizes) > most:
                break
    return names


def _open(name: str, parent: int) -> int | None:
    """A directory to read; it is made readable by its descriptor, since a name may turn into a link meanwhile."""
    try:
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    finally:
        os.close(place)


def _removed(directory: str, device: int, pids: Iterable[int], most_bytes: int) -> Iterator[int]:
    for pid in pids:
        seen: set[int] = set()
        for thread in _listed(f"/proc/{pid}/task"):  # each may have descriptors of its own
            for fd in _listed(f"/proc/{pid}/task/{thread}/fd"):
                try:
                    found = os.stat(f"/proc/{pid}/task/{thread}/fd/{fd}")
                except OSError:
                    continue
                gone = found.st_nlink == 0 and found.st_dev == device and stat.S_ISREG(found.st_mode)
                if gone and found.st_ino not in seen:
                    seen.add(found.st_ino)
                    yield found.st_blocks * _BLOCK
        for inode in _mapped(directory, pid) - seen:
            seen.add(inode)
            yield most_bytes


def _mapped(directory: str, pid: int) -> set[int]:
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            text = file.read()
    except OSError:
        return set()
    gone = [line.split(None, 5) for line in text.splitlines() if line.endswith(b"(deleted)")]
    return {int(fields[4]) for fields in gone if fields[5].startswith(os.fsencode(directory) + b"/")}


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []

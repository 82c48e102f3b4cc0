"""Landlock: which files a program may open, by rules on directories.

A ruleset is built for what this kernel knows (versions 1 to 6 and later): all file access, binding and connecting of
TCP ports, device ioctls, and signals and abstract sockets to anything outside are denied unless a rule allows them.
Not covered by Landlock: metadata (stat, readlink, the mere existence of a path), and chmod, chown and utime, which
seccomp refuses.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from rewards.sandbox import syscalls

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_REMOVE, _MAKE = (1 << 4) | (1 << 5), (1 << 7) | (1 << 8) | (1 << 10) | (1 << 12)  # no devices, no sockets
_FILE_RIGHTS = _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE | _MAKE | _REFER | _TRUNCATE


def version() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    try:
        return syscalls.syscall("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def _handled(abi: int) -> int:
    rights = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if abi >= since:
            rights |= right
    return rights


def _attributes(abi: int) -> bytes:
    if abi < 4:
        return struct.pack("=Q", _handled(abi))
    if abi < 6:
        return struct.pack("=QQ", _handled(abi), 3)
    return struct.pack("=QQQ", _handled(abi), 3, 3)


def ruleset(abi: int, reads: Sequence[str], writes: Sequence[str], listed: Sequence[str] = ()) -> int:
    """A file descriptor of a ruleset: `reads` may be read, `writes` (files or directories) also written; of the
    directories `listed` and those below them names may be read."""
    attributes = _attributes(abi)
    fd = syscalls.syscall("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for paths, rights in ((reads, _READ), (writes, _WRITE), (listed, _READ_DIR)):
            for path in paths:
                _allow(fd, path, rights & _handled(abi))
    except OSError:
        os.close(fd)
        raise
    return fd


def _allow(ruleset_fd: int, path: str, rights: int) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        syscalls.syscall("landlock_add_rule", ruleset_fd, 1, struct.pack("=Qi", rights, target), 0)
    finally:
        os.close(target)


def enforcing(ruleset_fd: int) -> syscalls.Call:
    """A call that confines this process for good. No-new-privileges must be set."""
    return syscalls.prepare("landlock_restrict_self", ruleset_fd, 0)

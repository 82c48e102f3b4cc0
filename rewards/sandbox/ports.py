"""A child as the judge sees it, the judge's descriptors to it, and its standard input.

Not covered: reading and writing them (`session.py`).
"""

from __future__ import annotations

import fcntl
import functools
import os
import time
from collections import deque
from typing import Any

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Child:
    """A child of the worker as the judge sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.frames: deque[bytes] = deque()  # unread ones, undecoded
        self.unread = 0  # their bytes
        self.printed = {"stdout": bytearray(), "stderr": bytearray()}
        self.report: dict[str, Any] | None = None
        self.overflow = False
        self.open: set[int] = set()
        self.asked_at = time.monotonic()


class Port:
    """One descriptor of the judge: what it feeds or where its bytes go."""

    def __init__(self, fd: int, child: Child, kind: str, outgoing: bytes = b"") -> None:
        self.fd, self.child, self.kind = fd, child, kind
        self.outgoing = memoryview(outgoing)
        self.incoming = bytearray()


@functools.cache
def _null() -> int:
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def input_of(text: bytes) -> int:
    """A descriptor of a program's standard input: a sealed file in memory, which has a size, can be mapped, and needs
    nobody to feed it."""
    if not text:
        return os.dup(_null())
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    written = os.write(fd, text)
    while written < len(text):  # one call writes at most 2 GiB
        written += os.write(fd, text[written:])
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd

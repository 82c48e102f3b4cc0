"""A script's own streams: what it left in the buffers of any open file is written before the process ends, and the
paths `/dev/stdin`, `/dev/stdout` and `/dev/stderr`, which a private root does not have, open the streams.

Not covered: native code that opens these paths itself.
"""

from __future__ import annotations

import _io
import builtins
import gc
import io
import os
import sys
from typing import Any

_STREAMS = {
    f"{folder}{name}": fd
    for fd, words in enumerate((("stdin", "0"), ("stdout", "1"), ("stderr", "2")))
    for folder, name in (("/dev/", words[0]), ("/dev/fd/", words[1]), ("/proc/self/fd/", words[1]))
}
_MENTIONS = ("/dev/std", "/dev/fd/", "/self/fd/")
_MAKERS = (
    *("open", "TextIOWrapper", "BufferedWriter", "BufferedRandom", "makefile"),
    *("exec", "eval", "import_module", "__import__"),
)


def flush_standard() -> None:
    """Write what is buffered in the standard streams, old and new."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except BaseException:  # the program closed or replaced it
            continue


def flush_everything(code: str) -> None:
    """Write what is buffered in any open file, as the interpreter's own end would: text first, then what is below. The
    search costs page faults, so that a program that names no way to make one is spared it."""
    if not any(maker in code for maker in _MAKERS):
        return
    found = gc.get_objects()
    for kind in (_io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom):
        for stream in (o for o in found if type(o) is kind):
            try:
                stream.flush()
            except BaseException:  # closed
                continue


def provide_paths(code: str) -> None:
    """Let `open` and `os.open` know the paths of the standard streams, if the program mentions one."""
    if not any(mention in code for mention in _MENTIONS):
        return
    real_open, real_os_open = io.open, os.open

    def open_path(file: Any, *args: Any, **kwargs: Any) -> Any:
        fd = _stream(file)
        return real_open(file if fd is None else os.dup(fd), *args, **kwargs)

    def open_descriptor(path: Any, *args: Any, **kwargs: Any) -> int:
        fd = _stream(path)
        return real_os_open(path, *args, **kwargs) if fd is None else os.dup(fd)

    builtins.open = io.open = open_path
    os.open = open_descriptor


def _stream(path: Any) -> int | None:
    try:
        return _STREAMS.get(os.fsdecode(path))
    except TypeError:  # a descriptor
        return None

"""Lets programs that run under an identity of their own import, where only root can reach the standard library.

A descriptor of the library's directory needs no rights on the directories above it. Not covered: packages outside the
standard library.
"""

from __future__ import annotations

import os
import sys

from rewards.sandbox import reaper

LIBRARY = 201  # the descriptor; programs keep it open


def reach_library_as(uid: int) -> None:
    """Point the import system at the descriptor if `uid` cannot read the library by its path."""
    library = os.path.dirname(os.__file__)
    if reaper.can_read(uid, library):
        return
    os.dup2(os.open(library, os.O_RDONLY | os.O_DIRECTORY), LIBRARY)
    short = f"/proc/self/fd/{LIBRARY}"
    sys.path[:] = [p.replace(library, short) for p in sys.path]
    for module in list(sys.modules.values()):
        if hasattr(module, "__path__"):
            module.__path__ = [p.replace(library, short) for p in module.__path__]
    sys.path_importer_cache.clear()

"""What a fork server that was killed leaves running, found and ended by the process that started it.

A server leads a session that none of its programs can leave, and each program a group in that session, so all that a
program forked dies of one signal, whatever is being forked at that instant. A program that lives on in ever new
processes may be none of those that a look at /proc catches: where the uid is the worker's own, the kernel therefore
kills all that have it, at one instant too.

Not covered: programs that outran every look at /proc, where the worker has no uid that is its alone; tier 3 without
seccomp, where programs can leave their session; whatever runs when nobody is left to call this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from rewards.sandbox import reaper

_ROUNDS = 100
_AS_USER = """
import os, signal, sys
uid = int(sys.argv[1])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
os.kill(-1, signal.SIGKILL)
"""


def end(server: int, uid: int | None, interpreter: str) -> None:
    """Kill all that a dead server has run, `uid` being whom it ran as (None: the caller). The server must be a child
    that the caller has not reaped, so that its number, and what is named by it, is nobody else's."""
    _end_session(server)
    if uid == reaper.FIRST_UID + server:  # the other uids of `reaper.spare_uid` may be those of several workers
        command = [interpreter, "-I", "-S", "-c", _AS_USER, str(uid)]
        subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _end_session(leader: int) -> None:
    """Kill every group of a session. Programs make no new ones, so it ends with a look that shows none but those."""
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = {process.group for process in reaper.processes() if process.session == leader} - killed
        for group in found:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if not found:
            return
        killed |= found

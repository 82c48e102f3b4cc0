"""Walls around a library that reads what a model wrote: no writing of files, no programs, no network."""

from __future__ import annotations

import functools
import os

from rewards.sandbox import landlock, seccomp, syscalls


@functools.cache
def confine() -> None:
    """Once in each worker process (Landlock and seccomp, Linux on x86_64 and aarch64).

    Raises `OSError` where the machine cannot do it.
    """
    version = landlock.version()
    if not version or syscalls.ARCH is None:
        raise OSError("this machine lacks Landlock or seccomp, without which no answer is handed to a library")
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.make(syscalls.dropping_capabilities(), landlock.enforcing(landlock.ruleset(version, ["/"], [])))
    seccomp.Filter(processes=False, own_pid_space=False).install(os.getpid())

"""What a freshly forked child does to itself before it touches untrusted code, by tier.

Tier 1: own mount namespace with a small scratch file system. Tier 2: a uid of its own where the worker is root, and the
worker's scratch directory. Both: rlimits, no new privileges, Landlock, empty capabilities, seccomp, death with the
worker. Tier 3 (weak, only on request): whichever of these the machine has. Not covered: shared CPU caches and other
side channels.
"""

from __future__ import annotations

import math
import os
import resource
import signal
from collections.abc import Sequence
from typing import Any

from rewards.sandbox import landlock, namespaces, readable_files, seccomp
from rewards.sandbox import syscalls as sc

_SAME_FOR_ALL = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_STACK: 8 << 20,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
}
_BY_PROGRAM = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)
_OTHERS = 4  # processes of the worker that count against the program's process limit


class Confinement:
    """Prepared once per worker, applied in each child. `tier` 1, 2 or 3; `scratch` is the worker's directory (tier 2
    and 3); `own_uid` the identity it has taken (None: the caller's); `base_memory` what the interpreter occupies;
    `paths` what may be read on tier 2 and 3."""

    def __init__(self, tier: int, scratch: str, own_uid: int | None, base_memory: int, paths: Sequence[str]) -> None:
        self.tier = tier
        self._scratch = namespaces.SCRATCH if tier == 1 else scratch
        self._writable = namespaces.ABOVE_SCRATCH if tier == 1 else scratch
        self._count_processes = tier == 1 or own_uid is not None  # else the user's other processes would count
        self._base_memory = base_memory
        self.landlock_version = landlock.version()
        if tier == 2 and not self.landlock_version:
            raise OSError("this kernel has no Landlock, and without namespaces nothing else keeps files away")
        parts = [(["/"], [])] if tier == 1 else [readable_files.split(path) for path in paths]
        self._reads = [path for whole, _ in parts for path in whole]
        self._listed = [path for _, listed in parts for path in listed]
        kinds = (*_SAME_FOR_ALL, *_BY_PROGRAM)
        self._hard = {which: resource.getrlimit(which)[1] for which in kinds}  # what the worker itself may use at most
        self._rulesets = {own: self._ruleset(own) for own in (False, True) if self.landlock_version}
        for which, value in _SAME_FOR_ALL.items():
            sc.make(sc.limiting(which, self._bound(which, value)))
        sc.prctl(sc.PR_SET_NO_NEW_PRIVS, 1)  # as these limits, inherited by every child
        self._filters = {forks: seccomp.Filter(forks, own_pid_space=tier == 1) for forks in (False, True)}
        if tier == 1:
            for prepared in self._filters.values():
                prepared.allow_signals_to(1)  # the pid of every program

    def _ruleset(self, scratch: bool) -> int:
        writes = [*namespaces.devices(), *([self._writable] if scratch else [])]
        return landlock.ruleset(self.landlock_version, self._reads, writes, self._listed)

    def steps(self, limits: dict[str, Any], scratch: bool) -> tuple[sc.Call, ...]:
        """The calls that confine a process, for `apply` in the child; `scratch`: whether it may write files at all."""
        steps = [sc.prepare("setpgid", 0, 0)]  # a group of its own, by which all it forks can be killed at one instant
        if self.tier == 1 and scratch:
            options = f"size={limits['files_mb']}m,nr_inodes={limits['files'] + 1},mode=700"
            steps.append(sc.mounting("scratch", self._scratch, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, options))
        steps.append(sc.prepare("prctl", sc.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        steps.append(sc.prepare("chdir", os.fsencode(self._scratch if scratch else "/")))
        steps += [sc.limiting(which, self._bound(which, value)) for which, value in self._by_program(limits).items()]
        if self.landlock_version:
            steps.append(landlock.enforcing(self._rulesets[scratch]))
        return (*steps, sc.dropping_capabilities())

    def apply(self, steps: tuple[sc.Call, ...], processes: bool) -> None:
        """Confine this process; `processes`: it may fork."""
        sc.make(*steps)
        try:
            self._filters[processes].install(1 if self.tier == 1 else os.getpid())
        except OSError:
            if self.tier != 3:
                raise

    def _by_program(self, limits: dict[str, Any]) -> dict[int, int]:
        bounds = {
            resource.RLIMIT_AS: self._base_memory + (limits["memory_mb"] << 20),
            # the worker kills on the exact value; this is the backstop
            resource.RLIMIT_CPU: math.ceil(limits["cpu_s"]) + 1,
            resource.RLIMIT_FSIZE: limits["files_mb"] << 20,
            resource.RLIMIT_NOFILE: limits["files"],
        }
        if self._count_processes:
            bounds[resource.RLIMIT_NPROC] = limits["processes"] + limits["threads"] + _OTHERS
        return bounds

    def _bound(self, which: int, value: int) -> int:
        hard = self._hard[which]
        return value if hard == resource.RLIM_INFINITY else min(value, hard)


def address_space() -> int:
    """Bytes of address space of this process; needs /proc, which the private root lacks."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()

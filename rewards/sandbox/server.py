"""The fork server: a lean interpreter that forks one confined child per program and ends it on time.

It is exec'd by `worker.py`, through `boot.py`, with an empty environment and one socket to its parent, takes requests
(`start`, `next`, `kill`, `ping`) with a child's descriptors attached, enforces idle and CPU time and the scratch limits
itself, so that a busy parent cannot delay a verdict, and reports how each child ended. It never sees code, tests or
answers: those go straight from the parent to the child. It ends, and its children with it, when the socket closes or
its parent is gone.

Not covered: judging (`judge.py`), what a child may do (`confine.py`).
"""

from __future__ import annotations

import _socket
import array
import functools
import json
import os
import select
import signal
import time
from collections.abc import Sequence
from typing import Any

from rewards.sandbox import clock, namespaces, readable_files, reaper, usage, wire
from rewards.sandbox import syscalls as sc
from rewards.sandbox.children import Child, Plan, pidfd_of
from rewards.sandbox.confine import Confinement, address_space
from rewards.sandbox.standard_modules import reach_library_as

_MAX_MESSAGE, _MAX_FDS = 1 << 13, 8
_ANCILLARY = _socket.CMSG_LEN(_MAX_FDS * 4)
_TICK_S, _TICKS_OF_REMOVED = 0.025, 4  # files that are still held are looked for more rarely: it takes longer
_CONFINE_FAILED = 70
_PARENT_CHECK_S = 1.0
_MIN_WAIT_S = 0.002
_PROOF = {
    **{"cpu_s": 1, "wall_s": 10, "memory_mb": 64, "output_kb": 64},
    **{"processes": 1, "threads": 1, "files": 16, "files_mb": 1},
}


class Server:
    """One worker: answers its parent until the socket closes."""

    def __init__(self, control: _socket.socket, tier: int, scratch: str, packages: Sequence[str]) -> None:
        self._control, self._control_fd = control, control.fileno()
        self._parent = os.getppid()
        os.close(pidfd_of(os.getpid()))
        self._clock = clock.Clock()
        self._uid = reaper.spare_uid() if os.geteuid() == 0 else None
        base_memory, paths = address_space(), readable_files.readable()
        for path in packages:
            if tier != 1 and self._uid is not None and not reaper.can_read(self._uid, path):
                raise OSError(f"the programs' own identity cannot reach the package {path}")
        if tier == 1:
            namespaces.enter(self._uid, paths, packages)
        elif self._uid is not None:
            os.chown(scratch, self._uid, self._uid)
            reach_library_as(self._uid)
        self._confinement = Confinement(tier, scratch, self._uid, base_memory, [*paths, *packages])
        if tier != 1 and self._uid is not None:
            namespaces.become(self._uid)
        sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
        if tier == 1:  # nothing to tidy up, so the kernel may end it with its parent
            sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
        self._tier, self._scratch = tier, scratch
        self._fork = sc.forking(namespaces.PER_PROGRAM if tier == 1 else 0)
        self._plan = functools.lru_cache(maxsize=64)(self._make_plan)
        self._cores = os.cpu_count() or 1
        self._children: dict[int, Child] = {}
        self._next_tick, self._ticks = 0.0, 0
        self._troubles = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)  # a child that could not be confined says so here
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._heard = select.poll()
        self._heard.register(control, select.POLLIN)
        self._prove_confinement()
        hello = {"tier": tier, "uid": self._uid, "landlock": self._confinement.landlock_version}
        control.sendall(json.dumps(hello).encode())

    def _prove_confinement(self) -> None:
        """Confine one child that does nothing, so that what this machine lacks is known before the first program."""
        plan = self._make_plan("program", json.dumps(_PROOF), 1, 3)
        pid = sc.make(self._fork)
        if pid == 0:
            self._confine(plan)
            os._exit(0)
        if os.waitpid(pid, 0)[1] != 0:
            raise OSError(self._trouble() or "a program could not be confined")
        self._tidy()

    def run(self) -> None:
        """Serve until the parent is gone, then end every child."""
        try:
            while os.getppid() == self._parent:
                for fd, _ in self._poll.poll(self._enforce() * 1000):
                    if fd != self._control_fd:
                        self._reap(fd)
                    elif not self._serve_request():
                        return
        finally:
            for pidfd, child in list(self._children.items()):
                self._kill(child, "killed")
                self._reap(pidfd)
            if self._tier != 1:
                reaper.wipe(self._scratch)
                os.rmdir(self._scratch)

    def _serve_request(self) -> bool:
        try:
            body, fds = self._receive()
        except ConnectionError:
            return False
        if not body:
            return False
        action, *rest = wire.loads(body)
        if action == "start":
            self._start(fds, *rest)
        elif action == "next":
            self._next_test(*rest)
        elif action == "ping":
            self._report(-1, "alive")
        else:
            for child in self._children.values():
                if child.number == rest[0]:
                    self._kill(child, "killed")
        return True

    def _receive(self) -> tuple[bytes, list[int]]:
        body, attached, _, _ = self._control.recvmsg(_MAX_MESSAGE, _ANCILLARY)
        fds = array.array("i")
        for _, _, data in attached:
            fds.frombytes(data)
        return body, fds.tolist()

    def _make_plan(self, role: str, limits: str, tests: int, descriptors: int) -> Plan:
        bounds = json.loads(limits)
        steps = self._confinement.steps({**bounds, "cpu_s": bounds["cpu_s"] * tests}, role != "checker")
        return Plan(bounds, role, steps, descriptors)

    def _start(self, fds: list[int], number: int, role: str, tests: int, waited_s: float, limits: str) -> None:
        plan = self._plan(role, limits, tests, len(fds))
        if number == 0:
            self._clock.begin(forking=plan.limits["processes"] > 1)
            self._next_tick = time.monotonic() + _TICK_S  # nothing can be beyond a limit of files yet
        self._clock.measure(self._pids(), self._pids())
        self._clock.settle(waited_s)
        pid = sc.make(self._fork)
        if pid == 0:
            self._become_child(plan, fds)
        for fd in fds:
            os.close(fd)
        pidfd = pidfd_of(pid)
        self._children[pidfd] = Child(number, pid, plan.limits)
        self._poll.register(pidfd, select.POLLIN)

    def _pids(self) -> list[int]:
        return [child.pid for child in self._children.values()]

    def _next_test(self, waited_s: float) -> None:
        self._clock.measure(self._pids(), self._pids())
        self._clock.settle(waited_s)
        for child in self._children.values():
            child.cpu_limit = clock.cpu_s([child.pid]) + child.limits["cpu_s"]

    def _become_child(self, plan: Plan, fds: list[int]) -> None:
        status = 1
        try:
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            self._confine(plan)
            plan.close_others()
            plan.serve(plan.output)
            status = 0
        finally:
            os._exit(status)

    def _confine(self, plan: Plan) -> None:
        try:
            self._confinement.apply(plan.steps, plan.limits["processes"] > 1)
        except BaseException as error:
            os.write(self._troubles[1], f"{type(error).__name__}: {error}".encode())
            os._exit(_CONFINE_FAILED)

    def _kill(self, child: Child, reason: str) -> None:
        if child.reason == "exit":
            child.reason, child.ended_at = reason, time.monotonic()
            os.kill(child.pid, signal.SIGKILL)

    def _reap(self, pidfd: int) -> None:
        before = self._pids()
        child = self._children.pop(pidfd)
        self._clock.measure(before, self._pids())
        self._poll.unregister(pidfd)
        os.close(pidfd)
        if self._tier != 1:
            reaper.kill_group(child.pid)
        _, status, used = os.wait4(child.pid, 0)
        if self._tier == 3 or (self._tier == 2 and child.limits["processes"] > 1):  # tier 3 may lack what bars forking
            reaper.end_descendants(keep=set(self._pids()))
        self._tidy()
        cpu_s, broken = used.ru_utime + used.ru_stime, ""
        if child.reason == "exit" and cpu_s >= child.cpu_limit:
            child.reason = "cpu"  # the kernel's own limit was faster
        if child.reason == "exit" and os.waitstatus_to_exitcode(status) == _CONFINE_FAILED:
            broken = self._trouble()
        self._report(child.number, child.reason, status, cpu_s, child.ended_at or time.monotonic(), broken)

    def _report(self, number: int, reason: str, *rest: Any) -> None:
        fields = rest or (0, 0.0, 0.0, "")
        try:
            self._control.sendall(wire.dumps([number, reason, *fields]))
        except OSError:  # the parent is gone; `run` ends on its own
            return

    def _tidy(self) -> None:
        if self._tier != 1 and os.listdir(self._scratch):
            reaper.wipe(self._scratch)

    def _trouble(self) -> str:
        """What a child wrote that could not be confined; a program that merely exits with that status wrote nothing."""
        try:
            return os.read(self._troubles[0], _MAX_MESSAGE).decode()
        except BlockingIOError:
            return ""

    def _enforce(self) -> float:
        """End the children that are beyond a limit; seconds until the next can be. What the parent has said is heard
        first: it may be that another test has begun."""
        beyond, wait = self._beyond()
        if beyond and self._heard.poll(0):
            return _MIN_WAIT_S
        for child, reason in beyond:
            self._kill(child, reason)
        if time.monotonic() >= self._next_tick:
            self._next_tick, self._ticks = time.monotonic() + _TICK_S, self._ticks + 1
        return max(wait, _MIN_WAIT_S)

    def _beyond(self) -> tuple[list[tuple[Child, str]], float]:
        """Children that are beyond a limit and which, and seconds until the next can be."""
        found, wait, total = [], _PARENT_CHECK_S if self._tier == 1 else _TICK_S, 0.0
        if not self._children:
            return [], _PARENT_CHECK_S
        for child in self._children.values():
            used = clock.cpu_s([child.pid])
            total, left = total + used, child.cpu_limit - used
            if left <= 0:
                found.append((child, "cpu"))
            elif self._tier != 1 and time.monotonic() >= self._next_tick:
                found += [(child, reason) for reason in self._beyond_without_namespaces(child)]
            wait = min(wait, left / self._cores)
        limit_s = child.limits["wall_s"]
        idle_left = limit_s - self._clock.idle_s(self._pids(), total, limit_s)
        if idle_left <= 0:
            found += [(child, "wall") for child in self._children.values()]
        return found, min(wait, idle_left)

    def _beyond_without_namespaces(self, child: Child) -> list[str]:
        pids = [child.pid] if self._ticks % _TICKS_OF_REMOVED == 0 else []
        if pids and child.limits["processes"] > 1:
            pids += [process.pid for process in reaper.descendants(child.pid, keep=set())]
        if not usage.within(self._scratch, pids, child.limits["files_mb"] << 20, child.limits["files"]):
            return ["disk"]
        return ["threads"] if reaper.threads(child.pid) > child.limits["threads"] + 1 else []

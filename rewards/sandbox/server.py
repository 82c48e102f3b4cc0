"""The fork server: a lean interpreter that forks one confined child per program and ends it on time.

It is exec'd by `worker.py`, through `boot.py`, with an empty environment and one socket to its parent, takes requests
(`start`, `kill`) with the child's descriptors attached, enforces wall and CPU time and the scratch limits itself, so
that a busy parent cannot delay a verdict, and reports how each child ended. It never sees code, tests or answers: those
go straight from the parent to the child. It ends, and its children with it, when the socket closes or its parent is
gone.

Not covered: judging (`judge.py`), what a child may do (`confine.py`).
"""

from __future__ import annotations

import _socket
import array
import json
import os
import select
import signal
import time
from typing import Any

from rewards.sandbox import checker, namespaces, program, reaper
from rewards.sandbox import syscalls as sc
from rewards.sandbox.confine import Confinement, address_space
from rewards.sandbox.standard_modules import LIBRARY, reach_library_as

_MAX_MESSAGE, _MAX_FDS = 1 << 16, 8
_TICK_S = 0.025
_CONFINE_FAILED = 70
_PARENT_CHECK_S = 1.0
_MIN_WAIT_S = 0.002
_ROLES = {"program": program.serve, "script": program.run_script, "checker": checker.serve}
_PROOF = {"cpu_s": 1, "memory_mb": 64, "output_kb": 64, "processes": 1, "threads": 1, "files": 16, "files_mb": 1}


class Child:
    """A running child and what it may use."""

    def __init__(self, number: int, pid: int, limits: dict[str, Any], deadline: float) -> None:
        self.number, self.pid, self.limits, self.deadline = number, pid, limits, deadline
        self.reason = "exit"

    def cpu(self) -> float:
        """CPU seconds of the process so far; 0.0 once it is dead."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0


class Server:
    """One worker: answers its parent until the socket closes."""

    def __init__(self, control: _socket.socket, tier: int, scratch: str) -> None:
        self._control = control
        self._parent = os.getppid()
        self._uid = reaper.spare_uid() if os.geteuid() == 0 else None
        base_memory = address_space()
        if tier == 1:
            namespaces.enter(self._uid)
        elif self._uid is not None:
            os.chown(scratch, self._uid, self._uid)
            reach_library_as(self._uid)
        self._confinement = Confinement(tier, scratch, self._uid, base_memory)
        if tier != 1 and self._uid is not None:
            namespaces.become(self._uid)
        sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
        if tier == 1:  # nothing to tidy up, so the kernel may end it with its parent
            sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
        self._tier, self._scratch = tier, scratch
        self._namespaces = namespaces.PER_PROGRAM if tier == 1 else 0
        self._children: dict[int, Child] = {}
        self._next_tick = 0.0
        self._troubles = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)  # a child that could not be confined says so here
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._prove_confinement()
        self._send({"tier": tier, "uid": self._uid, "landlock": self._confinement.landlock_version})

    def _prove_confinement(self) -> None:
        """Confine one child that does nothing, so that what this machine lacks is known before the first program."""
        pid = sc.fork_into(self._namespaces)
        if pid == 0:
            self._confine(_PROOF, True)
            os._exit(0)
        if os.waitpid(pid, 0)[1] != 0:
            raise OSError(self._trouble().get("broken", "a program could not be confined"))
        self._tidy()

    def run(self) -> None:
        """Serve until the parent is gone, then end every child."""
        try:
            while os.getppid() == self._parent:
                for fd, _ in self._poll.poll(self._wait_ms()):
                    if fd != self._control.fileno():
                        self._reap(fd)
                    elif not self._serve_request():
                        return
                self._enforce()
        finally:
            for pidfd, child in list(self._children.items()):
                self._kill(child, "killed")
                self._reap(pidfd)
            if self._tier != 1:
                reaper.wipe(self._scratch)
                os.rmdir(self._scratch)

    def _send(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode())

    def _serve_request(self) -> bool:
        try:
            body, fds = self._receive()
        except ConnectionError:
            return False
        if not body:
            return False
        request = json.loads(body)
        if request["op"] == "start":
            self._start(request, fds)
        else:
            for child in self._children.values():
                if child.number == request["id"]:
                    self._kill(child, "killed")
        return True

    def _receive(self) -> tuple[bytes, list[int]]:
        body, attached, _, _ = self._control.recvmsg(_MAX_MESSAGE, _socket.CMSG_LEN(_MAX_FDS * 4))
        fds = array.array("i")
        for _, _, data in attached:
            fds.frombytes(data)
        return body, fds.tolist()

    def _start(self, request: dict[str, Any], fds: list[int]) -> None:
        limits, role = request["limits"], request["role"]
        pid = sc.fork_into(self._namespaces)
        if pid == 0:
            self._become_child(role, limits, fds)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = Child(request["id"], pid, limits, time.monotonic() + request["wall_s"])
        self._poll.register(pidfd, select.POLLIN)

    def _become_child(self, role: str, limits: dict[str, Any], fds: list[int]) -> None:
        status = 1
        try:
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            self._confine(limits, role != "checker")
            sc.syscall("close_range", len(fds), LIBRARY - 1, 0)
            sc.syscall("close_range", LIBRARY + 1, 0x7FFFFFFF, 0)
            _ROLES[role](limits["output_kb"] << 10)
            status = 0
        finally:
            os._exit(status)

    def _confine(self, limits: dict[str, Any], scratch: bool) -> None:
        try:
            self._confinement.apply(limits, scratch)
        except BaseException as error:
            os.write(self._troubles[1], f"{type(error).__name__}: {error}".encode())
            os._exit(_CONFINE_FAILED)

    def _kill(self, child: Child, reason: str) -> None:
        if child.reason == "exit":
            child.reason = reason
            os.kill(child.pid, signal.SIGKILL)

    def _reap(self, pidfd: int) -> None:
        child = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(child.pid, 0)
        if self._tier != 1 and child.limits["processes"] > 1:
            reaper.end_descendants(keep={c.pid for c in self._children.values()})
        self._tidy()
        report = {"id": child.number, "reason": child.reason, "status": status}
        report["cpu_s"] = usage.ru_utime + usage.ru_stime
        if child.reason == "exit" and report["cpu_s"] >= child.limits["cpu_s"]:
            report["reason"] = "cpu"  # the kernel's own limit was faster
        if child.reason == "exit" and os.waitstatus_to_exitcode(status) == _CONFINE_FAILED:
            report.update(self._trouble())
        try:
            self._send(report)
        except OSError:  # the parent is gone; `run` ends on its own
            return

    def _tidy(self) -> None:
        if self._tier != 1:
            reaper.wipe(self._scratch)

    def _trouble(self) -> dict[str, str]:
        """What a child wrote that could not be confined; a program that merely exits with that status wrote nothing."""
        try:
            return {"broken": os.read(self._troubles[0], _MAX_MESSAGE).decode()}
        except BlockingIOError:
            return {}

    def _wait_ms(self) -> float:
        waits = [_PARENT_CHECK_S]
        now, cores = time.monotonic(), os.cpu_count() or 1
        for child in self._children.values():
            left = (child.limits["cpu_s"] - child.cpu()) / cores
            waits += [child.deadline - now, left] + ([_TICK_S] if self._tier != 1 else [])
        return max(min(waits), _MIN_WAIT_S) * 1000

    def _enforce(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if now >= child.deadline:
                self._kill(child, "wall")
            elif child.cpu() >= child.limits["cpu_s"]:
                self._kill(child, "cpu")
            elif self._tier != 1 and now >= self._next_tick:
                self._enforce_without_namespaces(child)
        if now >= self._next_tick:
            self._next_tick = now + _TICK_S

    def _enforce_without_namespaces(self, child: Child) -> None:
        used, entries = reaper.usage(self._scratch)
        if used > child.limits["files_mb"] << 20 or entries > child.limits["files"]:
            self._kill(child, "disk")
        elif reaper.threads(child.pid) > child.limits["threads"] + 1:
            self._kill(child, "threads")

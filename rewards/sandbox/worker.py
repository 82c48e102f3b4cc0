"""One fork server as its parent sees it: starting it, asking for children, reading their reports, ending it.

The server gets an empty environment, one socket, and nothing else of this process. Not covered: sharing workers between
threads (`pool.py`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from rewards.sandbox import orphans, wire
from rewards.sandbox.limits import Limits, SandboxError, SandboxUnavailable

_HELLO_S, _PATIENCE_S, _LOOK_S = 30.0, 2.0, 0.005
_BOOT = """
import sys, types
for name, path in (("rewards", sys.argv[1]), ("rewards.sandbox", sys.argv[2])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from rewards.sandbox.boot import main
fd, tier, scratch, *packages = sys.argv[3:]
sys.argv[1:] = []
main(int(fd), int(tier), scratch, packages)
"""


REPORT = ("id", "reason", "status", "cpu_s", "ended_at", "broken")


@functools.lru_cache(maxsize=64)
def _text_of(limits: Limits) -> str:
    """As text, since the server knows again what it has seen, and need not read it."""
    return json.dumps(limits.as_dict())


class Worker:
    """One fork server, used by one thread at a time; `packages` are paths that its programs may import."""

    def __init__(self, tier: int, packages: Sequence[str] = ()) -> None:
        self.scratch = tempfile.mkdtemp(prefix="step-srpo-sandbox-") if tier != 1 else ""  # tier 1 mounts its own
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here = os.path.dirname(os.path.abspath(__file__))
        arguments = [os.path.dirname(here), here, str(theirs.fileno()), str(tier), self.scratch, *packages]
        self._interpreter = getattr(sys, "_base_executable", None) or sys.executable
        unread, printed = os.pipe()  # the streams of every program are made now, and must know that they are pipes
        self._process = subprocess.Popen(
            [self._interpreter, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", _BOOT, *arguments],
            # The order of sets must not change a verdict; symbols are looked up here and not in each child.
            env={"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        os.close(unread)
        os.close(printed)
        self.pid = self._process.pid
        self.info: dict[str, Any] = {}
        try:
            self.info = self._hello()
        except BaseException:
            self.close()
            raise
        self.tier: int = self.info["tier"]

    def _hello(self) -> dict[str, Any]:
        self.socket.settimeout(_HELLO_S)
        try:
            body = self.socket.recv(1 << 16)
        except TimeoutError:
            body = b""
        self.socket.settimeout(None)
        if not body:
            raise SandboxError("the fork server did not start")
        message = json.loads(body)
        if "failed" in message:
            raise SandboxUnavailable(message["failed"])
        return message

    def start(self, number: int, role: str, limits: Limits, tests: int, waited_s: float, fds: list[int]) -> None:
        """Ask for a child; its descriptors become 0, 1, 2, … Child 0 begins a problem; `waited_s` is how long those
        before it were waited for."""
        request = wire.dumps(["start", number, role, tests, waited_s, _text_of(limits)])
        with _broken_is_an_error():
            socket.send_fds(self.socket, [request], fds)

    def next_test(self, waited_s: float) -> None:
        """Say that another test begins, and how long its predecessor was waited for."""
        self._ask("next", waited_s)

    def ping(self) -> None:
        """Ask for a sign of life: a report with the reason "alive"."""
        self._ask("ping")

    def _ask(self, *request: Any) -> None:
        with _broken_is_an_error():
            self.socket.sendall(wire.dumps(list(request)))

    def kill(self, number: int) -> None:
        """Ask for the end of a child; its report follows."""
        self._ask("kill", number)

    def report(self) -> dict[str, Any]:
        """The next report of a child's end; blocks."""
        with _broken_is_an_error():
            body = self.socket.recv(1 << 16)
        if not body:
            raise SandboxError("the fork server died")
        return dict(zip(REPORT, wire.loads(body), strict=True))

    def alive(self) -> bool:
        """Whether the server still runs."""
        return not self._ended()

    def close(self) -> None:
        """End the server, which ends its children; by force only if it does not react. What it leaves when it did not
        end by itself is ended from here, before its pid can become another's."""
        self.socket.close()
        deadline = time.monotonic() + _PATIENCE_S
        while not self._ended() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if not self._ended():
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            if end is None or end.si_code != os.CLD_EXITED or end.si_status != 0:
                orphans.end(self.pid, self.info.get("uid"), self._interpreter)
        self._process.wait()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _ended(self) -> bool:
        """Whether the server has ended; it is not reaped, so that its pid stays its own."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # the trainer reaps what it did not start
            return True


@contextlib.contextmanager
def _broken_is_an_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SandboxError(f"the fork server died: {error}") from error

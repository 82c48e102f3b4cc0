"""Killable worker processes for computations on untrusted input: a wall limit that holds, a memory cap, no orphans.

Method: each slot is a lean interpreter, exec'd (never forked from a process with torch threads), that imports the
handler once and then only supervises: it forks a child that computes, and at the deadline it kills that child with
SIGKILL and forks the next one in milliseconds. Messages are length-prefixed JSON over pipes.
Nothing outlives a parent that was killed: the supervisor ends when its pipe from the parent closes or its parent is
another; the child when the supervisor ends (PR_SET_PDEATHSIG, set where the supervisor has one thread; then a look at
the parent, since one that died before sends no signal); and a kernel timer ends a computation that is overdue.
The caller's signal handlers, timers and threads are not touched; `call` works from any thread, and after a fork of the
caller each process starts workers of its own.
Left out: Windows, and isolation from the file system or the network: handlers parse data, they do not run code.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rewards.workers.process import GRACE_S, receive, send

_START_LIMIT_S = 300.0
_WAIT_S = 300.0
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from rewards.workers.process import supervise; supervise()"
)


class WorkerTimeout(Exception):  # noqa: N818 (an outcome, not an error)
    """The wall limit passed; the computation was killed."""


class WorkerDied(Exception):  # noqa: N818
    """The computation ended its process, for example by running out of memory."""


class _WorkerLost(RuntimeError):  # noqa: N818
    """The supervisor is gone; it was ended from outside."""


class WorkerPool:
    """At most `size` workers that run `handler`, a `module:function` from a dict to a dict."""

    def __init__(self, handler: str, size: int | None = None, memory_bytes: int = 1 << 30) -> None:
        self.handler = handler
        self.size = size or max(1, min(4, os.cpu_count() or 1))
        self.memory_bytes = memory_bytes
        self._reset()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def _reset(self) -> None:
        self._free: list[_Slot] = []
        self._all: list[_Slot] = []
        self._gate = threading.Semaphore(self.size)
        self._lock = threading.Lock()

    def _forget(self) -> None:
        """In a forked child: the parent's workers are not ours, and holding their pipes would keep them alive."""
        for slot in self._all:
            slot.abandon()
        self._reset()

    def call(self, job: dict[str, Any], limit_s: float, wait_s: float = _WAIT_S) -> dict[str, Any]:
        """`handler(job)` in a worker. Raises `WorkerTimeout` or `WorkerDied`; `RuntimeError` if no worker can start.

        `limit_s` is for the computation, from the moment a worker has the job; `wait_s` is for getting a free worker,
        and a starting one besides has its own long limit. A worker that is ended from outside is replaced once, and
        the job begins anew; a second time it counts as `WorkerTimeout`.
        """
        gate = self._gate
        if not gate.acquire(timeout=wait_s):
            raise WorkerTimeout(f"no worker was free within {wait_s} s")
        try:
            reply = self._attempts(job, limit_s)
        finally:
            gate.release()
        if "timeout" in reply:
            raise WorkerTimeout(f"no result within {limit_s} s")
        if "died" in reply:
            raise WorkerDied("the computation ended its process")
        return dict(reply["result"])

    def _attempts(self, job: dict[str, Any], limit_s: float) -> dict[str, Any]:
        try:
            return self._attempt(job, limit_s)
        except _WorkerLost:
            pass
        try:
            return self._attempt(job, limit_s)
        except _WorkerLost as error:
            raise WorkerTimeout("two workers in a row were ended from outside") from error

    def _attempt(self, job: dict[str, Any], limit_s: float) -> dict[str, Any]:
        slot = self._take()
        try:
            slot.wait_ready(time.monotonic() + _START_LIMIT_S)
            reply = slot.exchange(job, limit_s)
        except BaseException:
            self._drop(slot)
            raise
        self._give(slot)
        return reply

    def close(self) -> None:
        """Ends all workers; a later call starts new ones."""
        with self._lock:
            slots, self._all, self._free = self._all, [], []
        for slot in slots:
            slot.stop()

    def _take(self) -> _Slot:
        with self._lock:
            if self._free:
                return self._free.pop()
            slot = _Slot(self.handler, self.memory_bytes)
            self._all.append(slot)
            return slot

    def _give(self, slot: _Slot) -> None:
        with self._lock:
            if slot in self._all:
                self._free.append(slot)

    def _drop(self, slot: _Slot) -> None:
        with self._lock:
            if slot in self._all:
                self._all.remove(slot)
        slot.stop()


class _Slot:
    """One supervisor process, seen from the caller."""

    def __init__(self, handler: str, memory_bytes: int) -> None:
        root = str(Path(__file__).resolve().parents[2])
        paths = [path for path in sys.path if path and os.path.isabs(path)] + [root]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, json.dumps(paths), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to_worker, self.from_worker = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.ready = False
        with contextlib.suppress(BrokenPipeError):  # ended already; the wait for it to be ready says so
            send(self.to_worker, {"handler": handler, "memory": memory_bytes})

    def wait_ready(self, deadline: float) -> None:
        if not self.ready:
            self._receive(deadline, "did not start")
            self.ready = True

    def exchange(self, job: dict[str, Any], limit_s: float) -> dict[str, Any]:
        try:
            send(self.to_worker, {"deadline": time.monotonic() + limit_s, "limit": limit_s, "job": job})
        except BrokenPipeError as error:
            raise _WorkerLost("worker process is gone") from error
        deadline = time.monotonic() + limit_s + GRACE_S
        return self._receive(deadline, "did not answer")

    def _receive(self, deadline: float, failure: str) -> dict[str, Any]:
        message = receive(self.from_worker, deadline)
        if message is None and self.ready and time.monotonic() >= deadline:
            raise WorkerTimeout("no result, and no sign of the supervisor; the machine may be overloaded")
        if message is None and (self.ready or self.ended_from_outside()):
            raise _WorkerLost(f"worker process {failure}: it was ended from outside")
        if message is None or "failed" in message:
            detail = (message or {}).get("failed", "its pipe closed or the wait ran out")
            raise RuntimeError(f"worker process {failure}: {detail}")
        return message

    def ended_from_outside(self) -> bool:
        """Whether a signal ended the supervisor."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=1) < 0
        return False

    def stop(self) -> None:
        self.abandon()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)

    def abandon(self) -> None:
        """Closes the pipes; the supervisor ends when every copy of its input is closed."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

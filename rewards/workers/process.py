"""The worker's side of `rewards.workers.pool`: the supervisor, the process that computes, and the frames between them.

A frame is four bytes of length and JSON. The supervisor has one thread and imports the handler once; the computing
process is its fork. Left out: who calls, and how many workers there are (`worker_pool.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

GRACE_S = 1.0
_HEADER = struct.Struct("<I")
_PARENT_CHECK_S = 1.0
_MAX_MESSAGE = 8_000_000
_PR_SET_PDEATHSIG = 1


def send(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    view = memoryview(_HEADER.pack(len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


def _receive_from_parent(descriptor: int, parent: int) -> dict[str, Any] | None:
    """The next message of the parent, or None if it is gone: another process may still hold its end of the pipe."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not poll.poll(_PARENT_CHECK_S * 1000):
        if os.getppid() != parent:
            return None
    return receive(descriptor, None) if os.getppid() == parent else None


def receive(descriptor: int, deadline: float | None, watched: int | None = None) -> dict[str, Any] | None:
    """The next message, or None if the pipe closed, the deadline passed, or the other end of `watched` closed."""
    header = _read_exactly(descriptor, _HEADER.size, deadline, watched)
    if header is None:
        return None
    (length,) = _HEADER.unpack(header)
    data = _read_exactly(descriptor, length, deadline, watched) if length <= _MAX_MESSAGE else None
    return None if data is None else json.loads(data)


def _read_exactly(descriptor: int, count: int, deadline: float | None, watched: int | None) -> bytes | None:
    data = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if watched is not None:
        poll.register(watched, 0)
    while len(data) < count:
        wait = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
        ready = dict(poll.poll(wait))
        if not ready or watched in ready:
            return None
        chunk = os.read(descriptor, count - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def supervise() -> None:
    """The main function of a supervisor process."""
    parent = int(sys.argv[2])
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    setup = _receive_from_parent(source, parent)
    if setup is None:
        return
    module, _, function = setup["handler"].partition(":")
    try:
        with _ending_with(parent):
            handler = getattr(import_module(module), function)
    except Exception as error:
        send(sink, {"failed": f"cannot import {setup['handler']}: {error}"})
        return
    send(sink, {"ready": True})
    child = _Child(handler, setup["memory"], (source, sink))
    while (message := _receive_from_parent(source, parent)) is not None:
        deadline = max(message["deadline"], time.monotonic() + message["limit"] / 2)
        reply = child.run(message["job"], deadline)
        with contextlib.suppress(BrokenPipeError):
            send(sink, reply)
        if "result" not in reply:
            child.replace()
    child.kill()


@contextlib.contextmanager
def _ending_with(parent: int) -> Iterator[None]:
    """Ends this process if the parent goes while it is at work on a long import; a starved machine takes minutes."""

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, _PARENT_CHECK_S, _PARENT_CHECK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


class _Child:
    """The computing process, seen from the supervisor; it is forked again after every kill."""

    def __init__(
        self, handler: Callable[[dict[str, Any]], dict[str, Any]], memory: int, private: tuple[int, int]
    ) -> None:
        self.handler, self.memory, self.private = handler, memory, private
        self._fork()

    def _fork(self) -> None:
        job_read, job_write = os.pipe()
        result_read, result_write = os.pipe()
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (*self.private, job_write, result_read):
                os.close(descriptor)
            compute(self.handler, self.memory, job_read, result_write, supervisor)
        os.close(job_read)
        os.close(result_write)
        self.jobs, self.results = job_write, result_read

    def run(self, job: dict[str, Any], deadline: float) -> dict[str, Any]:
        """The reply to a job. Without a result the child must be replaced, which is left for after the reply."""
        if self.ended():
            self._fork()
        overdue = deadline - time.monotonic() + GRACE_S
        with contextlib.suppress(BrokenPipeError):
            send(self.jobs, {"job": job, "overdue": overdue})
        result = receive(self.results, deadline, watched=self.private[0])
        if result is not None:
            return {"result": result}
        return {"timeout": True} if time.monotonic() >= deadline else {"died": True}

    def ended(self) -> bool:
        """Whether the idle child was ended from outside; its pipes are then closed."""
        if not os.waitpid(self.pid, os.WNOHANG)[0]:
            return False
        os.close(self.jobs)
        os.close(self.results)
        return True

    def replace(self) -> None:
        self.kill()
        self._fork()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.jobs)
        os.close(self.results)


def compute(
    handler: Callable[[dict[str, Any]], dict[str, Any]], memory: int, jobs: int, results: int, supervisor: int
) -> None:
    """The main loop of the computing process; it never returns."""
    import ctypes
    import resource

    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        while os.getppid() == supervisor and (message := receive(jobs, None)) is not None:
            signal.setitimer(signal.ITIMER_REAL, max(message["overdue"], GRACE_S))
            result = handler(message["job"])
            signal.setitimer(signal.ITIMER_REAL, 0)
            send(results, result)
    finally:
        os._exit(1)

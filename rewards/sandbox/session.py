"""The parent's side of one problem: start children on a worker, exchange frames with them, collect what they print.

One thread, all descriptors non-blocking: nothing that a child does or leaves undone can block the judge.
Every buffer is bounded; a child that exceeds its output limit is killed, and an answer counts only if what was printed
before it is within the limit, however fast it was read. Only time that the judge spends waiting is held against a
program: one that was ended while the judge itself was held up is `lost`, not wrong. Closing a session ends its children
and waits until the worker has reaped them. Not covered: what the frames mean (`judge.py`).
"""

from __future__ import annotations

import _socket
import math
import os
import select
import socket
import time
from typing import Any

from rewards.sandbox import wire
from rewards.sandbox.limits import Limits, SandboxError
from rewards.sandbox.ports import Child, Port, input_of
from rewards.sandbox.worker import Worker

_CHUNK = 1 << 16
_SLICE_S = 0.1  # the longest single wait; what a longer one took beyond it, something else took
_SILENCE_S, _GRACE_S = 1.0, 10.0  # of waiting: after the first the worker is asked for a sign of life, to come in time
_MAX_UNREAD = 64  # frames


class Session:
    """Children of one worker under one set of limits; a context manager."""

    def __init__(self, worker: Worker, limits: Limits) -> None:
        self._worker, self._limits = worker, limits
        self._started = time.monotonic()
        self._cpu_used = 0.0
        self._waited = self._silent = 0.0
        self._poll = select.poll()
        self._poll.register(worker.socket, select.POLLIN)
        self._reports = select.poll()
        self._reports.register(worker.socket, select.POLLIN)
        self._ports: dict[int, Port] = {}
        self._children: dict[int, Child] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:  # else the pool ends the worker, and with it the children
                for child in list(self._children.values()):
                    self.end(child)
        finally:
            for fd in list(self._ports):
                self._close(fd)

    def elapsed(self) -> float:
        """Wall seconds since the session began."""
        return time.monotonic() - self._started

    def cpu_used(self) -> float:
        """CPU seconds of the programs that have ended."""
        return self._cpu_used

    def next_test(self) -> None:
        """Another test begins: its CPU time is counted anew."""
        self._worker.next_test(self._waited)
        self._waited = 0.0

    def lost(self, child: Child) -> bool:
        """Whether a child was ended for idling when it owed no answer, as the judge was held up; it may start again."""
        report = child.report or {}
        return report.get("reason") == "wall" and report["ended_at"] < child.asked_at

    def start(
        self, role: str, messages: list[Any], stdin: bytes = b"", link: socket.socket | None = None, tests: int = 1
    ) -> Child:
        """Start a child for so many tests and queue its first frames. `link` becomes its next descriptor; without
        messages it takes the channel's place."""
        child = Child(len(self._children))
        theirs = []
        try:
            theirs.append(input_of(stdin))
            theirs += [self._pipe(child, kind) for kind in ("stdout", "stderr")]
            if messages:
                theirs.append(self._channel(child, b"".join(wire.pack(m) for m in messages)))
            if link is not None:
                theirs.append(os.dup(link.fileno()))
            self._worker.start(child.number, role, self._limits, tests, self._waited, theirs)
            self._waited = 0.0
            self._children[child.number] = child
        except OSError as error:
            raise SandboxError(f"a program could not be started: {error}") from error
        finally:
            for fd in theirs:
                os.close(fd)
        return child

    def _add(self, port: Port, events: int) -> None:
        os.set_blocking(port.fd, False)
        self._ports[port.fd] = port
        self._poll.register(port.fd, events)

    def _pipe(self, child: Child, kind: str) -> int:
        ours, theirs = os.pipe()
        self._add(Port(ours, child, kind), select.POLLIN)
        child.open.add(ours)
        return theirs

    def _channel(self, child: Child, outgoing: bytes) -> int:
        ours, theirs = _socket.socketpair()  # plain ones: `socket.socket` asks the kernel for their names
        port = Port(ours.detach(), child, "channel", outgoing)
        self._add(port, select.POLLIN)
        child.open.add(port.fd)
        self._write(port)
        return theirs.detach()

    def ask(self, child: Child, *messages: Any) -> Any | None:
        """Send frames and wait for one; None when the child ended instead."""
        child.asked_at = time.monotonic()
        port = next((p for p in self._ports.values() if p.child is child and p.kind == "channel"), None)
        if port is not None:
            port.outgoing = memoryview(bytes(port.outgoing) + b"".join(wire.pack(m) for m in messages))
            self._write(port)
        return self.frame(child)

    def frame(self, child: Child) -> Any | None:
        """The child's next frame; None when it ended."""
        while not child.frames and (child.report is None or child.open):
            self._step()
        self.settle(child)
        if not child.frames or child.overflow:
            return None
        body = child.frames.popleft()
        child.unread -= len(body)
        try:
            return wire.loads(body)
        except wire.WireError:
            return False  # no answer has this form

    def settle(self, child: Child) -> None:
        """Take in what a child has printed up to now."""
        for port in [p for p in self._ports.values() if p.child is child and p.kind != "channel"]:
            while port.fd in self._ports and self._read(port):
                continue

    def wait(self, child: Child, patience_s: float = 0.0) -> None:
        """Until the child has ended and everything it printed has arrived, which is first looked at after
        `patience_s`."""
        before = time.monotonic()
        self._wait_for_report(child, patience_s)
        self._waited += time.monotonic() - before
        self._wait_for_all(child)

    def told_all(self, child: Child) -> None:
        """Close the channel of a child that gives no answers, once it was told everything."""
        for port in [p for p in self._ports.values() if p.child is child and p.kind == "channel"]:
            if not port.outgoing:
                self._close(port.fd)

    def end(self, child: Child, patience_s: float = 0.0) -> None:
        """Wait for the child's report; kill it if it has not ended by itself after `patience_s`."""
        self._wait_for_report(child, patience_s)
        if child.report is None:
            self._worker.kill(child.number)
        self._wait_for_all(child)

    def _wait_for_report(self, child: Child, patience_s: float) -> None:
        """What the child prints meanwhile waits in its pipes, so that it does not wake the judge once for each."""
        until = time.monotonic() + patience_s
        while child.report is None and (patience := until - time.monotonic()) > 0:
            if self._reports.poll(math.ceil(patience * 1000)):
                self._take_report()

    def _wait_for_all(self, child: Child) -> None:
        while child.report is None or child.open:
            self._step()

    def _step(self) -> None:
        before = time.monotonic()
        events = self._poll.poll(_SLICE_S * 1000)
        waited = min(time.monotonic() - before, _SLICE_S)
        self._waited += waited
        self._silent = 0.0 if events else self._silent + waited
        if self._silent > _GRACE_S:
            raise SandboxError(f"the fork server gave no sign of life for {_GRACE_S} s")
        if self._silent > _SILENCE_S and self._silent - waited <= _SILENCE_S:
            self._worker.ping()
        for fd, _ in events:
            if fd == self._worker.socket.fileno():
                self._take_report()
            elif fd in self._ports:
                self._serve(self._ports[fd])

    def _take_report(self) -> None:
        report = self._worker.report()
        if report["reason"] == "alive":
            return
        if report["broken"]:
            raise SandboxError(f"a program could not be confined: {report['broken']}")
        child = self._children[report["id"]]
        child.report = report
        self._cpu_used += report["cpu_s"]

    def _write(self, port: Port) -> None:
        """Feed the child what it takes now; `poll` tells when it takes more."""
        try:
            while port.outgoing:
                port.outgoing = port.outgoing[os.write(port.fd, port.outgoing[:_CHUNK]) :]
        except BlockingIOError:
            pass
        except OSError:  # the child closed its end: what it wrote before still counts
            port.outgoing = memoryview(b"")
        self._poll.modify(port.fd, select.POLLIN | (select.POLLOUT if port.outgoing else 0))

    def _serve(self, port: Port) -> None:
        if port.outgoing:
            self._write(port)
        self._read(port)

    def _read(self, port: Port) -> bool:
        """Take in a part of what has arrived; whether there was any."""
        try:
            data = os.read(port.fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(port.fd)
        elif port.kind == "channel":
            port.incoming += data
            self._split_frames(port)
        else:
            self._collect(port, data)
        return bool(data)

    def _collect(self, port: Port, data: bytes) -> None:
        kept = port.child.printed[port.kind]
        room = (self._limits.output_kb << 10) - sum(map(len, port.child.printed.values()))
        kept += data[:room]
        if len(data) > room:
            self._too_much(port)

    def _split_frames(self, port: Port) -> None:
        buffer = port.incoming
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[:4], "big")
            if length > self._limits.output_kb << 10:
                self._too_much(port)
                return
            if len(buffer) < 4 + length:
                return
            port.child.frames.append(bytes(buffer[4 : 4 + length]))
            port.child.unread += length
            del buffer[: 4 + length]
            if len(port.child.frames) > _MAX_UNREAD or port.child.unread > self._limits.output_kb << 10:
                self._too_much(port)
                return

    def _too_much(self, port: Port) -> None:
        port.child.overflow = True
        self._close(port.fd)
        if port.child.report is None:
            self._worker.kill(port.child.number)

    def _close(self, fd: int) -> None:
        port = self._ports.pop(fd, None)
        if port is not None:
            self._poll.unregister(fd)
            port.child.open.discard(fd)
            os.close(fd)

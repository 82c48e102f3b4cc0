"""Workers: starting fork servers at the best tier this machine has, lending them to threads, ending them.

Every server is started by one lifelong thread: a server asks the kernel for a signal when the *thread* that made it
ends, and a caller's thread may end at any time. A worker whose state is uncertain (the caller was interrupted, the
server did not answer) is discarded, never reused. A forked copy of this process starts with an empty pool of its own.
A pool's first worker judges a right and a wrong program in every way before it is lent, and the pool of the process
says once which tier it has.
Not covered: sharing workers between processes; each rank of a distributed run has its own.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from rewards.sandbox.limits import Limits, SandboxError, SandboxUnavailable
from rewards.sandbox.readable_files import find_packages
from rewards.sandbox.worker import Worker
from rollout.errors import UserError

log = logging.getLogger("rewards.sandbox")

TIERS = {
    1: "own user, pid, mount, network and IPC namespaces, private root, seccomp, Landlock, rlimits",
    2: "no namespaces: seccomp, Landlock, rlimits, own uid where started as root, kill by process group",
    3: "weak: rlimits and whatever of seccomp and Landlock this machine has",
}


_PROOF = "def f(x): return x + {}\nif __name__ == '__main__': print(f(int(input())))"
_PROOF_TESTS = (
    {"call": "f", "args": [2], "expected": 3},
    {"assert": "assert f(2) == 3"},
    {"assert": "x = f(2)\nassert x == 3"},
    {"stdin": "2\n", "stdout": "3\n"},
)


def _prove(worker: Worker) -> None:
    """Judge a right and a wrong program as every other is judged: what this machine lacks, it lacks from the start."""
    from rewards.sandbox.judge import judge_on  # the judge needs this module

    for added, right in ((1, True), (2, False)):
        result = judge_on(worker, _PROOF.format(added), _PROOF_TESTS, Limits())
        if result.passed != [right] * len(_PROOF_TESTS):
            kind = "right" if right else "wrong"
            raise SandboxUnavailable(f"a {kind} program got {result.passed}: {result.status} {result.detail}")


class _Owner:
    """The lifelong thread that starts every server."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[int, Sequence[str], Future[Worker]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="sandbox-owner", daemon=True).start()

    def _serve(self) -> None:
        while True:
            tier, packages, future = self._calls.get()
            try:
                future.set_result(Worker(tier, packages))
            except BaseException as error:
                future.set_exception(error)

    def start(self, tier: int, packages: Sequence[str]) -> Worker:
        """A new worker of this tier; `SandboxUnavailable` where the machine does not allow it."""
        future: Future[Worker] = Future()
        self._calls.put((tier, packages, future))
        return future.result()


class Pool:
    """Up to `workers` fork servers, started when needed. `tier` None takes the best that works; a weak sandbox
    only with `allow_weak`. Programs may import the standard library and `packages`. `announce`: say on standard error
    which tier it is."""

    def __init__(
        self,
        workers: int | None = None,
        tier: int | None = None,
        allow_weak: bool = False,
        packages: Sequence[str] = (),
        announce: bool = False,
    ) -> None:
        if tier not in (None, *TIERS):
            raise ValueError(f"sandbox tier={tier!r}: allowed are 1, 2, 3 and None (the best that works)")
        self._tier, self._allow_weak = tier, allow_weak
        self._slots = threading.BoundedSemaphore(workers or os.cpu_count() or 1)
        self._announce = announce and os.environ.get("RANK", "0") == "0"
        self._proven = False
        try:
            self._packages = find_packages(packages)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def tier(self) -> int:
        """The tier of this pool's workers; starts one if none has been."""
        with self.worker() as worker:
            return worker.tier

    @contextlib.contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker for this thread; waits for a free one."""
        with self._slots:
            worker = self._idle_worker() or self._start()
            try:
                yield worker
            except BaseException:
                worker.close()
                raise
            with self._lock:
                self._idle.append(worker)

    def _idle_worker(self) -> Worker | None:
        """One that waits, and that nothing outside has ended meanwhile."""
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None or worker.alive():
                return worker
            worker.close()

    def _start(self) -> Worker:
        reasons: list[str] = []
        for tier in (1, 2, 3) if self._tier is None else (self._tier,):
            if tier == 3 and not self._allow_weak:
                break
            try:
                worker = self._proven_worker(tier)
            except SandboxUnavailable as error:
                reasons.append(f"tier {tier}: {error}")
                continue
            self._tier = tier
            self._say(f"sandbox: tier {tier} ({TIERS[tier]}){''.join(f'; not {r}' for r in reasons)}")
            return worker
        why = "; ".join(reasons) or "tier 3 is weak"
        raise SandboxUnavailable(f"no safe sandbox on this machine ({why}); allow_weak=True runs programs anyway")

    def _proven_worker(self, tier: int) -> Worker:
        worker = _owner().start(tier, self._packages)
        if self._proven:
            return worker
        try:
            _prove(worker)
        except BaseException as error:
            worker.close()
            if isinstance(error, SandboxError):
                raise SandboxUnavailable(str(error)) from error
            raise
        self._proven = True
        return worker

    def _say(self, line: str) -> None:
        log.info(line)
        if self._announce:
            print(line, file=sys.stderr, flush=True)
            self._announce = False

    def close(self) -> None:
        """End the idle workers."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            if self._pid == os.getpid():
                worker.close()
            else:
                worker.socket.close()


_state: dict[str, Any] = {"pool": None, "owner": None}
_state_lock = threading.Lock()


def _owner() -> _Owner:
    with _state_lock:
        if _state["owner"] is None:
            _state["owner"] = _Owner()
        return _state["owner"]


def default_pool() -> Pool:
    """The pool that `run_tests` uses when none is given."""
    with _state_lock:
        if _state["pool"] is None:
            _state["pool"] = Pool(announce=True)
        return _state["pool"]


def configure(
    workers: int | None = None, tier: int | None = None, allow_weak: bool = False, packages: Sequence[str] = ()
) -> None:
    """Replace the default pool: the `sandbox:` section of a run's config."""
    pool = Pool(workers, tier, allow_weak, packages, announce=True)
    with _state_lock:
        old, _state["pool"] = _state["pool"], pool
    if old is not None:
        old.close()


def _close_default() -> None:
    if _state["pool"] is not None:
        _state["pool"].close()


def _forget() -> None:
    """In a forked copy of this process: neither the thread nor the servers are ours."""
    global _state_lock
    _state_lock = threading.Lock()
    pool = _state["pool"]
    _state.update(pool=None, owner=None)
    if pool is not None:
        for worker in pool._idle:
            worker.socket.close()


atexit.register(_close_default)
os.register_at_fork(after_in_child=_forget)

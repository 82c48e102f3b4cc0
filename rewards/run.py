"""Calls reward functions, sync or async, within a time limit, and tells a failure from a score.

Async functions of one reward run together in one event loop, which lives in a thread of its own: it works under any
caller, also one that has a running loop, and connections that a plug-in keeps open survive from step to step.

Sync functions with the attribute `parallel` are called from several threads at once: those that wait for processes of
their own, such as math and code.

A limit counts from the call; for async functions from when all of them are started. A thread cannot be killed: a sync
function that outlives its limit is left behind, and when `MOST_LEFT_BEHIND` of them still run, no further one is
started. Rewards that must not be trusted to return have killable processes of their own (rewards/workers/pool.py).
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rollout.printable import printable

MOST_LEFT_BEHIND = 32
GRACE_S = 1.0
LONGEST_REASON = 1000

Call = tuple[Any, Mapping[str, Any]]


@dataclass(frozen=True)
class Failure:
    """What took the place of a value; `error` is None for a passed limit."""

    reason: str
    error: BaseException | None = None


def call_all(
    function: Callable[..., Any], calls: Sequence[Call], limit_s: float | None = None, first_failure_ends: bool = False
) -> list[Any]:
    """`function(subject, **parameters)` for each call, in order: its value, or a `Failure`. With
    `first_failure_ends` the calls after a failure are not made; they are failures too."""
    if getattr(function, "parallel", False) and len(calls) > 1:
        return _side_by_side([start(function, call, limit_s) for call in calls], first_failure_ends)
    results: list[Any] = []
    for subject, parameters in calls:
        failed = first_failure_ends and bool(results) and isinstance(results[-1], Failure)
        results.append(Failure("not called") if failed else _call(function, subject, parameters, limit_s))
    waiting = [index for index, result in enumerate(results) if inspect.isawaitable(result)]
    if waiting:
        finished = _await_all([results[index] for index in waiting], limit_s)
        for index, result in zip(waiting, finished, strict=True):
            results[index] = result
    return results


def start(function: Callable[..., Any], call: Call, limit_s: float | None = None) -> Future[Any]:
    """Begin one call of a sync function in a thread: a future of its value, or of a `Failure`."""
    with _lock:
        if not _threads:
            _threads.append(ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="rewards"))
    return _threads[0].submit(_call, function, *call, limit_s)


def _side_by_side(futures: Sequence[Future[Any]], first_failure_ends: bool) -> list[Any]:
    results: list[Any] = []
    for index, future in enumerate(futures):
        results.append(Failure("not called") if future.cancelled() else future.result())
        if first_failure_ends and isinstance(results[-1], Failure):
            for later in futures[index + 1 :]:
                later.cancel()
    return results


def _call(function: Callable[..., Any], subject: Any, parameters: Mapping[str, Any], limit_s: float | None) -> Any:
    def attempt() -> Any:
        try:
            return function(subject, **parameters)
        except (Exception, SystemExit) as error:
            # A plug-in may raise anything; what it means is decided by the caller.
            return _raised(error)

    if limit_s is None or inspect.iscoroutinefunction(function):
        return attempt()
    return _within(attempt, limit_s)


_left_behind: list[threading.Thread] = []


def _within(attempt: Callable[[], Any], limit_s: float) -> Any:
    with _lock:
        _left_behind[:] = [thread for thread in _left_behind if thread.is_alive()]
    if len(_left_behind) >= MOST_LEFT_BEHIND:
        return Failure(f"not called: {len(_left_behind)} earlier calls passed their limit and still run")
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(attempt()), name="reward", daemon=True)
    thread.start()
    thread.join(limit_s)
    if results:
        return results[0]
    with _lock:
        _left_behind.append(thread)
    return _timeout(limit_s)


def _raised(error: BaseException) -> Failure:
    """What a plug-in's exception says, which may quote a model, is on its way to a terminal."""
    return Failure(f"{type(error).__name__}: {printable(str(error), LONGEST_REASON)}", error)


def _timeout(limit_s: float) -> Failure:
    return Failure(f"no result within {limit_s:g} s")


def _await_all(awaitables: Sequence[Awaitable[Any]], limit_s: float | None) -> list[Any]:
    async def gather() -> list[Any]:
        return list(await asyncio.gather(*(_await(one, limit_s) for one in awaitables)))

    future = asyncio.run_coroutine_threadsafe(gather(), _event_loop())
    try:
        return future.result(None if limit_s is None else limit_s + GRACE_S)
    except TimeoutError:
        # One of them blocks the loop itself; nothing can interrupt it, so the next call gets a loop of its own.
        _loops.clear()
        return [_timeout(limit_s or 0.0)] * len(awaitables)


async def _await(awaitable: Awaitable[Any], limit_s: float | None) -> Any:
    clock = asyncio.timeout(limit_s)
    try:
        async with clock:
            return await awaitable
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        # A plug-in's own TimeoutError (of a connection, say) is not the limit's.
        return _timeout(limit_s or 0.0) if clock.expired() else _raised(error)


_loops: list[asyncio.AbstractEventLoop] = []
_threads: list[ThreadPoolExecutor] = []
_lock = threading.Lock()


def _event_loop() -> asyncio.AbstractEventLoop:
    with _lock:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="reward-loop", daemon=True).start()
            _loops.append(loop)
        return _loops[0]


def _forget() -> None:
    """In a forked copy of this process the threads do not exist."""
    global _lock
    _lock = threading.Lock()
    _loops.clear()
    _threads.clear()


os.register_at_fork(after_in_child=_forget)

"""Reward functions called: sync, async, late, hung."""

import asyncio
import threading
import time

import pytest

from rewards import run as calls
from rewards.run import Failure, call_all


def each(function, *subjects, **options):
    return call_all(function, [(subject, {}) for subject in subjects], **options)


async def sleepy(seconds):
    await asyncio.sleep(seconds)
    return seconds


def test_values_come_back_in_order_with_their_parameters():
    assert call_all(lambda x, *, y: x + y, [(1, {"y": 2}), (3, {"y": 4})]) == [3, 7]


def test_async_functions_wait_together_and_keep_their_order():
    started = time.monotonic()
    assert each(sleepy, 0.3, 0.2, 0.3, 0.2) == [0.3, 0.2, 0.3, 0.2]
    assert time.monotonic() - started < 0.8


def test_async_functions_run_from_a_thread_and_under_a_running_loop():
    found = []
    thread = threading.Thread(target=lambda: found.extend(each(sleepy, 0.01)))
    thread.start()
    thread.join()

    async def caller():
        return each(sleepy, 0.02)

    assert found == [0.01]
    assert asyncio.run(caller()) == [0.02]


def test_what_an_async_plugin_keeps_open_lives_on_between_calls():
    loops = []

    async def remember(_):
        loops.append(asyncio.get_running_loop())

    each(remember, 1)
    each(remember, 2)
    assert loops[0] is loops[1]
    assert loops[0].is_running()


def test_a_sync_function_may_return_something_to_await():
    assert each(lambda seconds: sleepy(seconds), 0.01) == [0.01]


def failing(kind):
    raise kind("so")


async def failing_later(kind):
    raise kind("so")


@pytest.mark.parametrize("function", [failing, failing_later])
@pytest.mark.parametrize("kind", [KeyError, SystemExit, TimeoutError])
@pytest.mark.parametrize("limit_s", [None, 5.0])
def test_an_error_is_a_failure_that_names_it_and_the_others_go_on(function, kind, limit_s):
    failure, again = each(function, kind, kind, limit_s=limit_s)
    assert failure.reason.startswith(f"{kind.__name__}: ")
    assert isinstance(failure.error, kind)
    assert isinstance(again, Failure)


def test_a_cancelled_coroutine_is_a_failure():
    async def cancelled(_):
        raise asyncio.CancelledError

    (failure,) = each(cancelled, 1)
    assert failure.reason.startswith("CancelledError")


def test_a_late_sync_function_is_left_behind_at_its_limit_and_its_neighbours_are_scored():
    release = threading.Event()

    def maybe(hang):
        return release.wait(30) if hang else 1.0

    started = time.monotonic()
    assert each(maybe, False, True, False, limit_s=0.2) == [1.0, Failure("no result within 0.2 s"), 1.0]
    assert time.monotonic() - started < 1.0
    release.set()


def test_a_late_async_function_is_cancelled_at_its_limit_and_its_neighbours_are_scored():
    started = time.monotonic()
    assert each(sleepy, 0.01, 30, limit_s=0.2) == [0.01, Failure("no result within 0.2 s")]
    assert time.monotonic() - started < 1.0


def test_an_async_function_that_blocks_the_loop_does_not_stop_later_calls(monkeypatch):
    monkeypatch.setattr(calls, "GRACE_S", 0.1)
    release = threading.Event()

    async def blocking(_):
        release.wait(30)

    assert each(blocking, 1, limit_s=0.1) == [Failure("no result within 0.1 s")]
    assert each(sleepy, 0.01, limit_s=1.0) == [0.01]
    release.set()


@pytest.mark.medium
def test_no_more_calls_are_started_when_too_many_hang(monkeypatch):
    monkeypatch.setattr(calls, "MOST_LEFT_BEHIND", 2)
    monkeypatch.setattr(calls, "_left_behind", [])  # other tests leave calls behind too
    release = threading.Event()
    made = []

    def hang(number):
        made.append(number)
        release.wait(30)

    reasons = [failure.reason for failure in each(hang, 1, 2, 3, limit_s=0.5)]
    assert made == [1, 2]
    assert reasons[2] == "not called: 2 earlier calls passed their limit and still run"
    release.set()
    time.sleep(0.1)
    assert each(lambda x: x, 7, limit_s=1.0) == [7]


def test_the_first_failure_can_end_the_calls():
    made = []

    def second_fails(number):
        made.append(number)
        return 1 / (2 - number)

    results = each(second_fails, 1, 2, 3, 4, first_failure_ends=True)
    assert made == [1, 2]
    assert results[0] == 1.0
    assert [r.reason for r in results[1:]] == ["ZeroDivisionError: division by zero", "not called", "not called"]


def test_parallel_functions_run_side_by_side_and_keep_their_order():
    meet = threading.Barrier(2, timeout=10)

    def waits_for_another(number):
        meet.wait()
        return number

    waits_for_another.parallel = True
    assert each(waits_for_another, 1, 2, 3, 4) == [1, 2, 3, 4]


def test_the_first_failure_can_end_parallel_calls_too():
    made = []

    def fails(number):
        made.append(number)
        time.sleep(0.02)  # the others wait in the queue while the first one fails
        raise ValueError(number)

    fails.parallel = True
    results = each(fails, *range(200), first_failure_ends=True)
    assert results[0].reason == "ValueError: 0"
    assert all(isinstance(result, Failure) for result in results)
    assert len(made) < 200

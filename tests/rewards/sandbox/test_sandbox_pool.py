"""Workers and their parents: threads, forks, several parents, deaths on either side."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sandbox_helpers import TRIVIAL, descendants_of

from rewards.sandbox import Limits, Pool, SandboxError, run_tests
from rewards.sandbox import pool as pool_module

TEST = {"call": "f", "args": [2], "expected": 3}


def gone(pids, patience_s=5.0):
    """Whether all these processes end within the time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_many_threads_share_a_pool_and_each_gets_its_own_verdict():
    pool = Pool(workers=2)

    def judge(i):
        return run_tests(f"def f(x): return x + {i}", [{**TEST, "expected": 2 + i}, TEST], pool=pool).passed

    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(judge, range(40)))
    pool.close()
    assert verdicts == [[True, i == 1] for i in range(40)]


def test_a_worker_outlives_the_thread_that_first_needed_it():
    pool, pids = Pool(workers=1), []

    def use():
        run_tests(TRIVIAL, [TEST], pool=pool)
        with pool.worker() as worker:
            pids.append(worker.pid)

    for _ in range(2):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        time.sleep(0.05)
    pool.close()
    assert pids[0] == pids[1]


PARENT = textwrap.dedent("""
    import sys, threading, time
    from rewards.sandbox import Pool, run_tests
    pool = Pool(workers=1, tier=int(sys.argv[1]))
    with pool.worker() as worker: print(worker.pid, worker.scratch, flush=True)
    code = "import time\\ndef f(): time.sleep(60)"
    threading.Thread(target=run_tests, args=(code, [{"call": "f", "expected": 1}]), kwargs={"pool": pool}).start()
    time.sleep(60)
""")


@pytest.mark.medium
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_parent_is_killed_nothing_is_left(how, shared_pool):
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(shared_pool.tier)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    worker, _, scratch = process.stdout.readline().strip().partition(" ")
    deadline = time.monotonic() + 5
    while not descendants_of(int(worker)) and time.monotonic() < deadline:
        time.sleep(0.02)
    pids = [int(worker), *descendants_of(int(worker))]
    process.send_signal(how)
    process.wait()
    process.stdout.close()
    assert len(pids) == 2
    assert gone(pids)
    assert scratch == "" or not os.path.exists(scratch)


@pytest.mark.medium
def test_when_the_parent_ends_normally_nothing_is_left():
    code = PARENT.split("code =")[0]
    out = subprocess.run([sys.executable, "-c", code, "2"], stdout=subprocess.PIPE, text=True, check=True).stdout
    worker, _, scratch = out.strip().partition(" ")
    assert gone([int(worker)])
    assert scratch == "" or not os.path.exists(scratch)


def _judge_in_child(queue):
    queue.put(run_tests(TRIVIAL, [TEST]).passed)


def test_a_forked_copy_of_the_parent_gets_its_own_workers():
    assert run_tests(TRIVIAL, [TEST]).passed == [True]
    with pool_module.default_pool().worker() as worker:
        before = worker.pid
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_judge_in_child, args=(queue,))
    process.start()
    assert queue.get(timeout=30) == [True]
    process.join()
    assert run_tests(TRIVIAL, [TEST]).passed == [True]
    with pool_module.default_pool().worker() as worker:
        assert worker.pid == before


def test_a_worker_that_dies_at_work_is_an_error_and_one_that_died_idle_is_replaced(shared_pool):
    pool = Pool(workers=1, tier=shared_pool.tier)
    assert run_tests(TRIVIAL, [TEST], pool=pool).passed == [True]
    with pool.worker() as worker:
        first = worker.pid
    os.kill(first, signal.SIGKILL)
    assert gone([first]) or not pool._idle[0].alive()
    assert run_tests(TRIVIAL, [TEST], pool=pool).passed == [True]
    with pool.worker() as worker:
        second = worker.pid
    threading.Timer(0.2, os.kill, (second, signal.SIGKILL)).start()
    with pytest.raises(SandboxError):
        run_tests("import time\ndef f(x): time.sleep(5)", [TEST], pool=pool)
    assert run_tests(TRIVIAL, [TEST], pool=pool).passed == [True]
    with pool.worker() as worker:
        assert len({first, second, worker.pid}) == 3
    pool.close()


def test_an_interrupted_caller_leaves_no_program_and_no_broken_worker(shared_pool):
    pool = Pool(workers=1, tier=shared_pool.tier)
    with pool.worker() as worker:
        pid = worker.pid

    pids = []

    def interrupt(signum, frame):
        pids.extend(descendants_of(pid))
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_tests(FORKING, [TEST], Limits(processes=4), pool=pool)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert len(pids) == 2
    assert gone([pid, *pids])
    assert run_tests(TRIVIAL, [TEST], pool=pool).passed == [True]
    pool.close()


def test_the_caller_s_signal_handlers_and_descriptors_are_untouched(shared_pool):
    run_tests(TRIVIAL, [TEST], pool=shared_pool)
    before = ({s: signal.getsignal(s) for s in signal.valid_signals()}, len(os.listdir("/proc/self/fd")))
    for code in (TRIVIAL, "def f(x):\n    while True: pass", "", "import os\nos.abort()"):
        run_tests(code, [TEST, {"assert": "assert f(2) == 3"}, {"stdin": "x", "stdout": ""}], SHORT, pool=shared_pool)
    after = ({s: signal.getsignal(s) for s in signal.valid_signals()}, len(os.listdir("/proc/self/fd")))
    assert after == before


FORKING = "import os, time\ndef f(x):\n    os.fork()\n    time.sleep(60)"
SHORT = Limits(cpu_s=0.2, wall_s=1.0)


def test_a_tier_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"sandbox tier=4: allowed are 1, 2, 3 and None"):
        Pool(tier=4)

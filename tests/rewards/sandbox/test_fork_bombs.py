"""Programs that fork faster than they are ended, on one processor, and servers that are killed meanwhile: nothing that
a worker ran outlives it. Every bomb here ends by itself after half a minute, should the sandbox fail to end it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from sandbox_helpers import TRIVIAL

from rewards.sandbox import Limits, Pool, SandboxError, SandboxUnavailable, orphans, reaper, run_tests

as_root = pytest.mark.skipif(os.getuid() != 0, reason="without an identity of its own nothing counts its processes")

AGAIN, ANEW = "fork until no more can be, and again", "live on in ever new processes"
BOMBS = {
    AGAIN: """
        try: os.fork()
        except OSError: pass""",
    ANEW: """
        try:
            if os.fork() and os.getpid() != first: os._exit(0)
        except OSError: pass""",
}
BOMB = "import os, time\ndef f():\n    first, until = os.getpid(), time.time() + 30\n    while time.time() < until:{}"
TEST = [{"call": "f", "expected": 1}]


@pytest.fixture(scope="module")
def tier_2():
    pool = Pool(workers=1, tier=2)
    try:
        pool.tier  # noqa: B018 - starts the worker
    except SandboxUnavailable as error:
        pytest.skip(f"tier 2 is not available here: {error}")
    yield pool
    pool.close()


@pytest.fixture
def pool(tier_2):
    """One worker of tier 2, with all it runs on one processor: the server gets a small share of it."""
    with tier_2.worker() as worker:
        os.sched_setaffinity(worker.pid, [min(os.sched_getaffinity(0))])
    return tier_2


def run_by(worker):
    """Pids of the worker and of all that it ever forked: their command line names its scratch directory."""
    found = []
    for process in reaper.processes():
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/cmdline", "rb") as line:
            if worker.scratch.encode() in line.read():
                found.append(process.pid)
    return found


def soon(fact, patience_s=10.0):
    deadline = time.monotonic() + patience_s
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.02)
    return fact()


@as_root
@pytest.mark.parametrize("how", [AGAIN, pytest.param(ANEW, marks=pytest.mark.slow)])
def test_processes_end_at_their_limit_however_they(how, pool):
    with pool.worker() as worker:
        before = worker
    result = run_tests(BOMB.format(BOMBS[how]), TEST, Limits(processes=8, cpu_s=1.0, wall_s=1.0), pool)
    assert result.passed == [False]
    assert run_by(before) == [before.pid]
    assert run_tests(TRIVIAL, [{"call": "f", "args": [2], "expected": 3}], pool=pool).passed == [True]
    with pool.worker() as after:
        assert after is before


@as_root
@pytest.mark.parametrize(("how", "own_uid"), [(AGAIN, True), (AGAIN, False), (ANEW, True)])
def test_what_a_killed_server_ran_ends_with_it_however_it_forks(how, own_uid, pool):
    with pool.worker() as worker:
        if not own_uid:
            worker.info["uid"] = 60_000 + worker.pid % 5_000  # as where the container maps no more
    seen = []

    def kill_the_server():
        soon(lambda: len(run_by(worker)) > 5)
        seen.extend(run_by(worker))
        os.kill(worker.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_server)
    killer.start()
    with pytest.raises(SandboxError):
        run_tests(BOMB.format(BOMBS[how]), TEST, Limits(processes=8, cpu_s=5.0, wall_s=20.0), pool)
    killer.join()
    assert len(seen) > 5
    assert soon(lambda: run_by(worker) == [])
    assert not os.path.exists(worker.scratch)


LEAVING = """
import os, signal, time
from rewards.sandbox import namespaces, reaper, syscalls
until = time.time() + 30
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
namespaces.become(reaper.FIRST_UID + os.getpid())
syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
syscalls.make(syscalls.limiting(6, 30))
bomb = os.fork()
if bomb == 0:
    while time.time() < until:
        try:
            if os.fork() == 0: os.setsid()
        except OSError: pass
    os._exit(0)
time.sleep(0.5)
before, began = len(reaper.descendants(os.getpid(), set())), time.time()
os.kill(bomb, signal.SIGKILL)
os.waitpid(bomb, 0)  # whose place another takes
reaper.end_descendants(set())
print(before > 5, time.time() - began < 10, reaper.descendants(os.getpid(), set()))
"""


@as_root
def test_descendants_that_leave_their_group_and_fork_again_and_again_are_ended():
    with subprocess.Popen([sys.executable, "-c", LEAVING], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "True True []\n"
        finally:
            process.kill()
            orphans.end(process.pid, reaper.FIRST_UID + process.pid, sys.executable)


SERVER = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        os.setpgid(0, 0)
        os.fork()
        break
os.write(1, b"%d\\n" % os.getpid())
time.sleep(30)
"""


def test_only_what_the_server_ran_is_ended():
    other = 60_001 if os.getuid() == 0 else None
    sleep = ["/bin/sleep", "30"]
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, start_new_session=True)
    with subprocess.Popen(sleep, user=other) as stranger, subprocess.Popen(sleep, start_new_session=True) as session:
        pids = {int(server.stdout.readline()) for _ in range(5)}
        os.kill(server.pid, signal.SIGKILL)
        orphans.end(server.pid, other, sys.executable)
        assert soon(lambda: not any(p.pid in pids - {server.pid} for p in reaper.processes() if p.state != "Z"))
        assert (stranger.poll(), session.poll(), len(pids)) == (None, None, 5)
        stranger.kill()
        session.kill()
    server.communicate()


def test_a_worker_knows_whether_its_server_runs_and_keeps_its_pid(pool):
    with pool.worker() as worker:
        assert worker.alive()
        os.kill(worker.pid, signal.SIGKILL)
        assert soon(lambda: not worker.alive())
        os.kill(worker.pid, 0)  # not reaped: the number is nobody else's
        assert not worker.alive()
    pool.close()
    assert run_by(worker) == []

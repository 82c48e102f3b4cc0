"""The same program gets the same verdict: under load, after a pause of the judge, near the output limit; and what a
test draws at random is not what a program draws."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rewards.sandbox import Limits, Pool, run_tests

MIB = 1 << 20


@pytest.mark.medium
@pytest.mark.parametrize(("printed", "passes"), [(MIB - 1, True), (MIB, True), (MIB + 1, False), (3 * MIB, False)])
def test_output_up_to_the_limit_is_allowed_and_one_byte_more_is_not_whenever_it_is_read(printed, passes, pool):
    code = f"import os\ndef f(x):\n    left = {printed}\n    while left: left -= os.write(1, b'x' * left)\n    return x"
    tests = [{"call": "f", "args": [1], "expected": 1}]
    checked = [{"assert": "got = f(1)\nassert got == 1"}]
    for _ in range(8):
        assert run_tests(code, tests, pool=pool).passed == [passes]
        assert run_tests(code, checked, pool=pool).passed == [passes]


def test_tests_before_the_one_that_printed_too_much_keep_their_verdict(pool):
    code = "def f(x):\n    print('x' * 700_000)\n    return x"
    tests = [{"call": "f", "args": [i], "expected": i} for i in range(4)]
    results = [run_tests(code, tests, pool=pool) for _ in range(5)]
    assert {(tuple(r.passed), r.status) for r in results} == {((True, False, False, False), "output")}


BURN = """
import time
def f(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
    return 1
"""


@pytest.mark.medium
@pytest.mark.parametrize("form", ["call", "assert", "checker"])
def test_cpu_time_is_counted_for_each_test(form, pool):
    test = {
        "call": {"call": "f", "args": [0.25], "expected": 1},
        "assert": {"assert": "assert f(0.25) == 1"},
        "checker": {"assert": "x = f(0.25)\nassert x == 1"},
    }[form]
    result = run_tests(BURN, [test] * 4, Limits(cpu_s=0.6), pool)
    assert (result.passed, result.status) == ([True] * 4, "ok")
    assert result.cpu_s > 0.9


@pytest.mark.medium
def test_a_test_that_passes_its_cpu_limit_ends_the_problem(pool):
    calls = [{"call": "f", "args": [s], "expected": 1} for s in (0.1, 60, 0.1)]
    result = run_tests(BURN, calls, Limits(cpu_s=0.4), pool)
    assert (result.passed, result.status) == ([True, False, False], "timeout")
    script = BURN + "print(f(float(input())))"
    result = run_tests(script, [{"stdin": s, "stdout": "1"} for s in ("0.1", "60", "0.1")], Limits(cpu_s=0.4), pool)
    assert (result.passed, result.status) == ([True, False, False], "timeout")


@pytest.mark.medium
def test_sleeping_in_several_tests_counts_together(pool):
    code = "import time\ndef f(s):\n    time.sleep(s)\n    return 1"
    result = run_tests(code, [{"call": "f", "args": [0.4], "expected": 1}] * 3, Limits(wall_s=1.0), pool)
    assert (result.passed, result.status) == ([True, True, False], "timeout")
    script = "import time\ntime.sleep(0.4)\nprint(1)"
    result = run_tests(script, [{"stdin": "", "stdout": "1"}] * 3, Limits(wall_s=1.0), pool)
    assert (result.passed, result.status) == ([True, True, False], "timeout")


@pytest.mark.medium
def test_waiting_for_a_processor_is_not_held_against_a_program(pool):
    # A session each: where the kernel shares time between sessions, one of them would have a single share.
    busy = [sys.executable, "-S", "-c", "while True: pass"]
    load = [subprocess.Popen(busy, start_new_session=True) for _ in range(6 * (os.cpu_count() or 1))]
    try:
        time.sleep(0.2)
        result = run_tests(BURN, [{"call": "f", "args": [0.5], "expected": 1}], Limits(cpu_s=4.0, wall_s=0.6), pool)
    finally:
        for process in load:
            process.kill()
            process.wait()
    assert (result.passed, result.status) == ([True], "ok")
    assert result.wall_s > 0.6


PAUSED = """
import os, sys, threading
from rewards.sandbox import Limits, Pool, run_tests
pool = Pool(workers=1, tier=int(sys.argv[1]))
code = "import time\\ndef f(x):\\n    time.sleep(0.05)\\n    return x"
pool.tier
print("ready", flush=True)
tests = [{"call": "f", "args": [i], "expected": i} for i in range(8)]
checked = [{"assert": f"got = f({i})\\nassert got == {i}"} for i in range(8)]
scripts = [{"stdin": "", "stdout": "1"}] * 8
print(run_tests(code, tests, Limits(wall_s=1.0), pool).passed, flush=True)
print(run_tests(code, checked, Limits(wall_s=1.0), pool).passed, flush=True)
print(run_tests("import time\\ntime.sleep(0.05)\\nprint(1)", scripts, Limits(wall_s=1.0), pool).passed, flush=True)
pool.close()
"""


@pytest.mark.medium
def test_a_pause_of_the_judge_loses_nothing(shared_pool):
    command = [sys.executable, "-c", PAUSED, str(shared_pool.tier)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as judge:
        assert judge.stdout.readline() == "ready\n"
        for _ in range(3):
            time.sleep(0.2)
            judge.send_signal(signal.SIGSTOP)
            time.sleep(1.5)
            judge.send_signal(signal.SIGCONT)
        assert judge.stdout.read() == f"{[True] * 8}\n" * 3


@pytest.mark.medium
def test_a_judge_whose_interpreter_is_held_loses_nothing(pool):
    held = threading.Thread(target=lambda: sum(range(40_000_000)))  # one call in C
    held.start()
    tests = [{"call": "f", "args": [i], "expected": i} for i in range(5)]
    assert run_tests("def f(x): return x", tests, Limits(wall_s=0.2), pool).passed == [True] * 5
    held.join()


REPLAY = """
import random, string
def encode(text): return text[::-1]
def decode(text):
    drawn = "".join(random.choice(string.ascii_lowercase) for _ in range(12))
    return drawn
"""
DRAWN = """
import random, string
def check(candidate):
    for _ in range(3):
        text = "".join(random.choice(string.ascii_lowercase) for _ in range(12))
        assert candidate(text[::-1]) == text
check(decode)
"""


def test_a_program_cannot_draw_what_the_test_draws(pool):
    honest = "def decode(text): return text[::-1]"
    for seeding in ("", "random.seed(0)\n", "random.seed()\n", "random.setstate(random.Random(0).getstate())\n"):
        assert run_tests(REPLAY + seeding, [{"assert": DRAWN}], pool=pool).passed == [False]
    assert run_tests(honest, [{"assert": DRAWN}], pool=pool).passed == [True]


def test_every_program_meets_the_same_draws_of_a_test_and_other_processes_other_ones(pool):
    test = {"assert": "import random\ndrawn = random.random()\nassert f() == drawn, drawn"}
    code = "import random\ndef f(): return random.random()"
    drawn = {run_tests(code, [test], pool=p).detail for p in (pool, pool)}
    other = "from rewards.sandbox import run_tests\nprint(run_tests('def f(): return 1', [{}], pool=None).detail)"
    command = [sys.executable, "-c", other.format(test)]
    assert len(drawn) == 1
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip() not in drawn


def test_a_pool_of_one_worker_gives_a_right_program_the_same_verdict_every_time():
    pool = Pool(workers=1)
    tests = [{"call": "f", "args": [i], "expected": i} for i in range(3)]
    verdicts = [run_tests("def f(x): return x", tests, pool=pool).passed for _ in range(50)]
    pool.close()
    assert verdicts == [[True] * 3] * 50

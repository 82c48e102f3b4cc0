"""Programs that take too much. Each ends in time, says why, and leaves nothing behind (the `pool` fixture looks)."""

import os
import subprocess
import sys
import time

import pytest

from rewards.sandbox import Limits, run_tests

SLACK_S = 0.1
NOISE_S = 3.0  # what a busy machine may add to the slack; benchmarks/bench_sandbox.py measures the quiet one

SLOW = {
    "sleeping": "import time\ndef f(): time.sleep(60)",
    "sleeping at load": "import time\ntime.sleep(60)\ndef f(): pass",
    "swallowing alarms and exceptions": "import signal, time\ndef f():\n"
    "    signal.signal(signal.SIGALRM, lambda *a: 1)\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n    while True:\n        try: time.sleep(60)\n"
    "        except BaseException: pass",
    "ignoring every signal": "import signal, time\ndef f():\n    for s in set(signal.Signals) - {9, 19}:\n"
    "        signal.signal(s, signal.SIG_IGN)\n    while True: time.sleep(60)",
    "stopping itself": "import os, signal, time\ndef f():\n    os.kill(os.getpid(), 19)\n    time.sleep(60)",
    "waiting for its channel": "import os\ndef f():\n    while True: os.read(3, 1)",
    "waiting in threads": "import threading\ndef f():\n    t = threading.Thread(target=threading.Event().wait)\n"
    "    t.start(); t.join()",
}


@pytest.mark.medium
@pytest.mark.parametrize("name", SLOW)
def test_a_program_is_stopped_at_the_wall_limit_when(name, answer):
    result = answer(SLOW[name], wall_s=0.3)
    assert (result.passed, result.status) == ([False], "timeout")
    assert 0.3 <= result.wall_s < 0.3 + SLACK_S + NOISE_S


BUSY = {
    "looping": "def f():\n    while True: pass",
    "looping at load": "while True: pass",
    "looping and catching everything": "def f():\n    while True:\n        try:\n            while True: pass\n"
    "        except BaseException: pass",
    "computing a huge power": "def f(): return 9 ** 9 ** 9 ** 9",
    "backtracking in a regular expression": "import re\ndef f(): return re.match('(a+)+$', 'a' * 60 + 'b')",
    "compiling for ever": "def f(): return compile('-' * 10 ** 6 + '1', 'x', 'eval') and f()",
}


@pytest.mark.medium
@pytest.mark.parametrize("name", BUSY)
def test_a_program_is_stopped_at_the_cpu_limit_when(name, answer):
    result = answer(BUSY[name], cpu_s=0.3, wall_s=20.0)
    assert result.passed == [False]
    assert result.status in ("timeout", "memory", "error")
    assert result.cpu_s < 0.3 + SLACK_S + NOISE_S


def test_a_program_that_holds_the_interpreter_lock_is_stopped_as_well(answer):
    result = answer("def f(): return sum(range(10 ** 12))", cpu_s=0.3)
    assert (result.passed, result.status) == ([False], "timeout")


MEMORY = {
    "one huge list": "def f(): return len([0] * 10 ** 10)",
    "a growing list": "def f():\n    x = []\n    while True: x.append(bytearray(10 ** 6))",
    "a mapping": "import mmap\ndef f(): return len(mmap.mmap(-1, 10 ** 10))",
    "a doubled string": "def f():\n    s = 'x'\n    while True: s += s",
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_bounded_for(name, answer):
    result = answer(MEMORY[name], memory_mb=128)
    assert result.passed == [False]
    assert result.status in ("memory", "error")


def test_a_program_within_its_memory_is_not_disturbed(answer):
    assert answer("def f(): return len(bytearray(100 << 20))", memory_mb=256, expected=100 << 20).passed == [True]


OUTPUT = {
    "600 MB of standard output": "import sys\ndef f():\n    for _ in range(600): sys.stdout.write('x' * 10 ** 6)",
    "600 MB of standard error": "import os\ndef f():\n    for _ in range(600): os.write(2, b'x' * 10 ** 6)",
    "a huge answer": "def f(): return 'x' * 10 ** 8",
    "a flood of frames": "import os\ndef f():\n    while True: os.write(3, b'\\0\\0\\0\\4true' * 1000)",
    "a frame without end": "import os\ndef f():\n    os.write(3, b'\\x7f' * 4)\n"
    "    while True: os.write(3, b'x' * 4096)",
}


@pytest.mark.medium
@pytest.mark.parametrize("name", OUTPUT)
def test_output_is_bounded_for(name, answer):
    result = answer(OUTPUT[name], output_kb=256, cpu_s=2.0)
    assert result.passed == [False]
    assert result.status in ("output", "error", "timeout")
    assert max(len(result.stdout), len(result.stderr), len(result.detail)) <= 2000


ODD = {
    "endless recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n=0): return f(n + 1)",
    "recursion in C": "import sys\nsys.setrecursionlimit(10 ** 9)\nclass A:\n"
    "    def __repr__(self): return repr(self)\ndef f(): return repr(A())",
    "a deeply nested answer": "def f():\n    x = []\n    for _ in range(10 ** 5): x = [x]\n    return x",
    "a deep pickle": "import pickle\ndef f(): return pickle.loads(b'(' * 10 ** 6 + b'.')",
    "deeply nested source": "def f(): return eval('(' * 10 ** 5 + ')' * 10 ** 5)",
    "an answer that contains itself": "def f():\n    x = []\n    x.append(x)\n    return x",
    "an answer with lone surrogates": "def f(): return '\\ud800'",
    "a number of a million digits": "def f(): return 10 ** 10 ** 6",
    "a broken text of an exception": "class E(Exception):\n    def __str__(self): raise self\ndef f(): raise E",
    "a crash": "import ctypes\ndef f(): return ctypes.string_at(0)",
    "source with a null byte": "def f(): pass\n\0",
    "source with a lone surrogate": "def f(): return '\ud800'",
    "no source that Python reads": "\x80\x03)(*&^%",
    "an exception group without an end": "def f():\n    e = ValueError()\n    e.__context__ = e\n    raise e",
}


@pytest.mark.medium
@pytest.mark.parametrize("name", ODD)
def test_the_judge_survives(name, answer):
    result = answer(ODD[name], expected="never", cpu_s=1.0)
    assert result.passed == [False]


def test_a_fork_bomb_does_not_fork(answer):
    code = "import os\ndef f():\n    try: return os.fork()\n    except BlockingIOError: return 'no'"
    assert answer(code, expected="no").passed == [True]


FORKING = {
    "a fork bomb": "import os\ndef f():\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "a daemon that forks twice": "import os, time\ndef f():\n    if os.fork() == 0:\n        if os.fork() == 0:\n"
    "            while True: time.sleep(1)\n        os._exit(0)\n    os.wait()\n    return 'left'",
    "zombies": "import os\ndef f():\n    for _ in range(5):\n        if os.fork() == 0: os._exit(0)\n    return 'left'",
    "a child that holds the output": "import os, time\ndef f():\n    if os.fork() == 0:\n        time.sleep(60)\n"
    "    return 'left'",
}


@pytest.mark.medium
@pytest.mark.parametrize("name", FORKING)
def test_where_processes_are_allowed_nothing_is_left_of(name, answer, pool):
    with pool.worker() as worker:
        if worker.tier == 2 and os.getuid() != 0 and name == "a fork bomb":
            pytest.skip("without an identity of its own nothing counts a program's processes")
    result = answer(FORKING[name], processes=8, wall_s=1.0, cpu_s=1.0, expected="left")
    assert result.passed == [name != "a fork bomb"]
    assert result.wall_s < 1.0 + SLACK_S + NOISE_S


def test_a_thread_bomb_is_bounded(answer):
    code = """
import threading
def f():
    stop, started = threading.Event(), 0
    threading.stack_size(65536)
    try:
        for _ in range(10000):
            threading.Thread(target=stop.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        stop.set()
    return started < 100
"""
    result = answer(code, expected=True, threads=16)
    assert result.passed == [True] or result.status == "error"


def test_threads_within_the_limit_work(answer):
    code = """
from concurrent.futures import ThreadPoolExecutor
def f():
    with ThreadPoolExecutor(8) as pool: return list(pool.map(lambda i: i * i, range(20)))
"""
    assert answer(code, expected=[i * i for i in range(20)]).passed == [True]


def test_descriptors_are_bounded(answer):
    code = """
import os
def f():
    opened = 0
    try:
        while opened < 10000: os.dup(0); opened += 1
    except OSError: pass
    return opened < 100
"""
    assert answer(code, expected=True).passed == [True]


def test_the_scratch_directory_is_writable_and_bounded(answer):
    code = """
import os, tempfile
def f():
    with open("note", "w") as note: note.write("hello")
    with tempfile.TemporaryFile() as other: other.write(b"x")
    try:
        for i in range(100):
            with open(f"big{i}", "wb") as big: big.write(b"x" * 10 ** 6)
    except OSError: return open("note").read()
"""
    result = answer(code, expected="hello", files_mb=4)
    assert result.passed == [True] or result.status == "disk"


def test_a_program_that_fills_the_disk_is_stopped(answer):
    code = """
def f():
    i = 0
    while True:
        i += 1
        with open(str(i), "wb") as big: big.write(b"x" * 10 ** 5)
"""
    result = answer(code, files_mb=4, wall_s=5.0)
    assert result.passed == [False]
    assert result.status in ("disk", "error")


def test_what_one_program_leaves_the_next_does_not_see(pool):
    writer = """
import os
def f(x):
    os.makedirs("a/b/c"); open("a/b/c/left", "w").write("x"); os.symlink("/", "a/way")
    open(".hidden", "w").write("x")
    return sorted(os.listdir("."))
"""
    reader = "import os\ndef f(x): return os.listdir('.')"
    wrote = run_tests(writer, [{"call": "f", "args": [0], "expected": [".hidden", "a"]}], pool=pool)
    assert (wrote.passed, wrote.detail) == ([True], "")
    assert run_tests(reader, [{"call": "f", "args": [0], "expected": []}], pool=pool).passed == [True]


DEEP = """
import os
def f(x):
    made = 0
    try:
        while made < 3000:
            os.mkdir("deep"); os.chdir("deep"); made += 1
            open("file", "w").close()
    except OSError: pass
    return made > 10
"""


def test_directories_too_deep_for_a_path_are_removed_as_well(pool):
    run_tests(DEEP, [{"call": "f", "args": [0], "expected": True}], Limits(files=1000), pool=pool)
    locked = "import os\ndef f(x):\n    os.makedirs('a/b')\n    for d in ('a/b/c', 'd'): os.mkdir(d, 0)\n    return 1"
    assert run_tests(locked, [{"call": "f", "args": [0], "expected": 1}], pool=pool).passed == [True]
    reader = "import os\ndef f(x): return os.listdir('.')"
    assert run_tests(reader, [{"call": "f", "args": [0], "expected": []}], pool=pool).passed == [True]


def test_changes_to_the_interpreter_do_not_reach_the_next_program(pool):
    vandal = "import builtins, sys, math\nmath.pi = 3\nbuiltins.len = lambda x: 0\nsys.path.clear()\ndef f(x): return 0"
    victim = "import math, statistics\ndef f(x): return [len([1]), math.pi > 3.1]"
    run_tests(vandal, [{"call": "f", "args": [0], "expected": 0}], pool=pool)
    assert run_tests(victim, [{"call": "f", "args": [0], "expected": [1, True]}], pool=pool).passed == [True]


@pytest.mark.medium
def test_the_cpu_limit_decides_even_when_the_machine_is_busy(pool):
    code = "def f(x):\n    total = 0\n    for i in range(3_000_000): total += i\n    return total"
    tests = [{"call": "f", "args": [0], "expected": 4499998500000}]
    load = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(3 * (os.cpu_count() or 1))
    ]
    try:
        time.sleep(0.1)
        verdicts = [run_tests(code, tests, Limits(cpu_s=3.0, wall_s=60.0), pool=pool).passed for _ in range(3)]
    finally:
        for process in load:
            process.kill()
            process.wait()
    assert verdicts == [[True]] * 3


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("cpu_s", 0, "Limits.cpu_s=0: a positive number is allowed"),
        ("wall_s", float("nan"), "Limits.wall_s=nan: a positive number is allowed"),
        ("memory_mb", "512", "Limits.memory_mb='512': a positive number is allowed"),
        ("processes", 1.5, "Limits.processes=1.5: a whole number is allowed"),
        ("threads", True, "Limits.threads=True: a positive number is allowed"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(limit, value, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.") + "$"):
        Limits(**{limit: value})

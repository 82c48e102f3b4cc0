"""The reward `code`: extraction of the program, the fraction, and what raises."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from code_answers import rollout

from rewards.builtin.code_tests import code_tests, extract_program
from rewards.sandbox import Pool
from rewards.sandbox import pool as pool_module

RIGHT = "def double(x):\n    return x * 2\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("x = 1", "x = 1"),
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("```python\nx = 1\n```\nBetter:\n```python\nx = 2\n```", "x = 2"),
        ("```py\nx = 1\n```\n```text\nx = 2\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```\n```Python3\nx = 2\n```\n```\nx = 3\n```", "x = 2"),
        ("```python\nx = 1\ny = 2", "x = 1\ny = 2"),
        ("1. so:\n   ```python\n   x = 1\n   ```", "   x = 1"),
        ("```python\ns = 'a ``` b'\n```", "s = 'a ``` b'"),
        ("```python\n```", ""),
        ("```python\nx = 1\n```\n```python", "x = 1"),
        ("```python\nx = 1\n```python\nx = 2", "x = 1"),
        ("````\nx = 1\n```", "````\nx = 1\n```"),
        ("", ""),
        ("  \n ", ""),
    ],
)
def test_the_program_is_the_last_python_block_or_the_whole_text(text, program):
    assert extract_program(text) == program


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (RIGHT, 1.0),
        (f"I think so:\n```python\n{RIGHT}```\nIt doubles.", 1.0),
        ("def double(x):\n    return x + x if isinstance(x, (int, float)) else x", 0.5),
        ("def double(x):\n    return 4", 0.25),
        ("def double(x:", 0.0),
        ("", 0.0),
        ("I cannot.", 0.0),
        ("import os\nos._exit(0)", 0.0),
    ],
)
def test_the_score_is_the_fraction_of_tests_passed(answer, score):
    assert code_tests(rollout(answer)) == score


@pytest.mark.medium
def test_a_program_that_hangs_scores_zero_within_its_limits():
    assert code_tests(rollout("while True: pass"), cpu_s=0.2, wall_s=2.0) == 0.0


def test_a_problem_without_tests_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="problem 'p7' has no tests"):
        code_tests(rollout(RIGHT, tests=(), problem_id="p7"))


def test_a_problem_with_a_malformed_test_is_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"problem 'p8': tests\[0\]: keys \['call'\]"):
        code_tests(rollout(RIGHT, tests=({"call": "double"},), problem_id="p8"))


def test_with_reuse_a_program_runs_once_on_the_same_tests():
    clock = "import time\ndef double(x):\n    return time.time_ns()\n"
    seen = ({"call": "double", "args": [1], "expected": 0},)
    with_clock = rollout(clock, seen)
    assert code_tests(with_clock, reuse=True) == 0.0
    begun = time.perf_counter()
    for _ in range(200):
        code_tests(with_clock, reuse=True)
    assert time.perf_counter() - begun < 0.2  # a run of its own takes 5 ms at the very least
    assert code_tests(rollout(RIGHT), reuse=True) == 1.0
    assert code_tests(rollout(RIGHT, seen), reuse=True) == 0.0
    with pytest.raises(ValueError, match="problem 'p1'"):
        code_tests(rollout(RIGHT, ({"nothing": 1},)), reuse=True)


@pytest.mark.medium
@pytest.mark.parametrize("all_workers", [False, True], ids=["a worker", "the whole pool"])
def test_a_killed_worker_and_a_killed_pool_cost_no_verdict(all_workers, monkeypatch):
    """What a machine out of memory does: workers are killed while their programs run and while they wait."""
    pool = Pool(workers=2)
    monkeypatch.setitem(pool_module._state, "pool", pool)
    slow = "import time\ndef double(x):\n    time.sleep(0.3)\n    return x * 2"
    tests = ({"call": "double", "args": [1], "expected": 2}, {"call": "double", "args": [1], "expected": 3})
    with pool.worker() as one, pool.worker() as other:
        workers = [one, other][: 2 if all_workers else 1]
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(code_tests, rollout(slow, tests)) for _ in range(4)]
        time.sleep(0.2)
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
        assert [future.result() for future in futures] == [0.5] * 4
    for worker in pool._idle:
        os.kill(worker.pid, signal.SIGKILL)
        worker._process.wait()
    assert code_tests(rollout(slow, tests)) == 0.5
    pool.close()

"""One pool of one worker per tier that this machine has; every test that takes `pool` runs on each of them."""

import os
from pathlib import Path

import pytest
from sandbox_helpers import TRIVIAL, descendants_of

from rewards.sandbox import Limits, Pool, SandboxUnavailable, run_tests


@pytest.fixture(scope="session", params=[1, 2], ids=["tier1", "tier2"])
def shared_pool(request):
    pool = Pool(workers=1, tier=request.param)
    try:
        pool.tier  # noqa: B018 - starts the worker
    except SandboxUnavailable as error:
        pytest.skip(f"tier {request.param} is not available here: {error}")
    yield pool
    pool.close()


@pytest.fixture
def pool(shared_pool):
    """The worker must come out of every test unharmed: no process left below it, and the next program passes."""
    yield shared_pool
    with shared_pool.worker() as worker:
        assert descendants_of(worker.pid) == []
        assert worker.scratch == "" or os.listdir(worker.scratch) == []
    after = run_tests(TRIVIAL, [{"call": "f", "args": [2], "expected": 3}], pool=shared_pool)
    assert (after.passed, after.status) == ([True], "ok")


@pytest.fixture
def answer(pool):
    """Run a program's `f(*args)` and return the result of comparing it with `expected`."""

    def run(code, *args, expected=None, **limits):
        test = {"call": "f", "args": list(args), "expected": expected}
        return run_tests(code, [test], Limits(**{"cpu_s": 5.0, "wall_s": 10.0, **limits}), pool=pool)

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder wait for processes: `make test-quick` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.medium)

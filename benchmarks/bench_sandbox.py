"""Programs per second of the sandbox beside a bare Python subprocess per program, on one core.

Method: one trivial program with one test, by tier and test form, with one worker, this process and all its children on
one core; the peer runs the same program and check by `python -I -S -c`, without any isolation. Rounds alternate between
all cases and the median round counts, since other work on the machine moves all of them. `load` is the load average
at the start: 0 on a quiet machine. Not covered: programs that compute for long, where the sandbox adds nothing.

    python benchmarks/bench_sandbox.py --json out.json [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from rewards.sandbox import Limits, Pool, SandboxUnavailable, run_tests
from rewards.sandbox.landlock import version as landlock_version

PROGRAM = "def f(x):\n    return x + 1\n"
SCRIPT = "print(int(input()) + 1)\n"
TESTS = {
    "call": (PROGRAM, {"call": "f", "args": [2], "expected": 3}),
    "assert": (PROGRAM, {"assert": "assert f(2) == 3"}),
    "stdin": (SCRIPT, {"stdin": "2\n", "stdout": "3\n"}),
}


def _sandboxed(pool: Pool, form: str) -> Callable[[], bool]:
    code, test = TESTS[form]
    return lambda: run_tests(code, [test], pool=pool).passed == [True]


def _bare() -> bool:
    interpreter = getattr(sys, "_base_executable", sys.executable)
    command = [interpreter, "-I", "-S", "-c", PROGRAM + "assert f(2) == 3"]
    return subprocess.run(command, env={}, check=False).returncode == 0


def _overshoot_ms(run: Callable[[], object], limit_s: float) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start - limit_s) * 1000


def _sleeper(pool: Pool, limit_s: float) -> Callable[[], object]:
    code, limits = "import time\ndef f(x): time.sleep(60)", Limits(wall_s=limit_s)
    return lambda: run_tests(code, [TESTS["call"][1]], limits, pool)


def _bare_sleeper(limit_s: float) -> None:
    command = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-c", "import time; time.sleep(60)"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, env={}, check=False, timeout=limit_s)


def _rate(run: Callable[[], bool], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        if not run():
            raise RuntimeError("the trivial program failed its test")
    return count / (time.perf_counter() - start)


def measure(rounds: int, count: int) -> list[dict[str, object]]:
    """One row per tier and form that this machine has."""
    cases: dict[str, Callable[[], bool]] = {}
    pools = []
    for tier in (1, 2):
        pool = Pool(workers=1, tier=tier)
        try:
            pool.tier  # noqa: B018 - starts the worker
        except SandboxUnavailable:
            continue
        pools.append(pool)
        cases |= {f"tier {tier} {form}": _sandboxed(pool, form) for form in TESTS}
    rates: dict[str, list[float]] = {name: [] for name in ["bare", *cases]}
    for _ in range(rounds):
        rates["bare"].append(_rate(_bare, max(count // 4, 5)))
        for name, run in cases.items():
            rates[name].append(_rate(run, count))
    overshoots = _measure_overshoot(pools, rounds)
    for pool in pools:
        pool.close()
    peer = statistics.median(rates["bare"])
    ours = {name: statistics.median(rates[name]) for name in cases}
    return [
        {"case": f"{name}, programs/s", "ours": round(rate, 1), "peer": round(peer, 1), "ratio": round(rate / peer, 2)}
        for name, rate in ours.items()
    ] + overshoots


def _measure_overshoot(pools: list[Pool], rounds: int) -> list[dict[str, object]]:
    limit_s, rows = 0.2, []
    for pool in pools:
        ours = statistics.median(_overshoot_ms(_sleeper(pool, limit_s), limit_s) for _ in range(rounds))
        peer = statistics.median(_overshoot_ms(lambda: _bare_sleeper(limit_s), limit_s) for _ in range(rounds))
        case = f"tier {pool.tier} verdict on a sleeper after its wall limit, ms"
        rows.append({"case": case, "ours": round(ours, 1), "peer": round(peer, 1), "ratio": round(ours / peer, 2)})
    return rows


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the rows here")
    parser.add_argument("--quick", action="store_true", help="a few seconds instead of half a minute")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    load = round(os.getloadavg()[0], 1)
    rows = measure(*((5, 30) if arguments.quick else (9, 100)))
    for row in rows:
        print(f"{row['case']:52} {row['ours']:>8} peer {row['peer']:>8} ratio {row['ratio']:>6}")
    report = {
        "rows": rows,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used",
        "load": load,
        "versions": {"python": platform.python_version(), "kernel": platform.release(), "landlock": landlock_version()},
    }
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()

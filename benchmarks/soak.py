"""A long run, many sandbox programs, and kills: does memory, do descriptors, do processes grow?

    python benchmarks/soak.py --json FILE [--minutes 30] [--programs 100000] [--kills 6]

Method. `training`: scripts/train.py on the embedded world with a small model, as a process of its own, for so many
minutes; each rollout is judged by a program in the sandbox, each 25th step writes a checkpoint, each 50th evaluates.
`programs`: one pool of the sandbox judges so many programs: right, wrong, raising, printing without end, allocating too
much, leaving processes behind. Every two seconds the process tree is measured; slopes are least squares on the means of
20 stretches of time after the first fifth, with their 95 % intervals (means of long stretches, since neighbouring
samples are not independent). `kills`: the training goes on from its checkpoints and is killed with SIGKILL at random
moments; the checkpoints in the folder are counted after each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from rewards.sandbox import Limits, Pool, run_tests  # noqa: E402
from rollout.types import Rollout  # noqa: E402

TEST = {"call": "f", "args": [2], "expected": 3}
PROGRAMS = {
    "right": "def f(x): return x + 1",
    "wrong": "def f(x): return x",
    "raises": "def f(x): raise ValueError(x)",
    "prints": "def f(x):\n    print('y' * 10**6)\n    return x + 1",
    "allocates": "def f(x): return len(bytearray(2**34))",
    "leaves": "import os\ndef f(x):\n    try:\n        if os.fork() == 0:\n            while True: pass\n"
    "    except OSError: pass\n    return x + 1",
}
STRETCHES = 20
T_95 = 2.101  # Student's t for 18 degrees of freedom


def program_reward(rollout: Rollout) -> float:
    """A reward plug-in: whether a program in the sandbox is right; which one follows from the response's length."""
    kind = list(PROGRAMS)[len(rollout.completion_ids) % len(PROGRAMS)]
    return float(run_tests(PROGRAMS[kind], [TEST], Limits(wall_s=2.0)).passed == [True])


def measured(root: psutil.Process) -> dict[str, float]:
    """Resident MiB, descriptors, threads and processes of a process and all below it."""
    total = {"rss MiB": 0.0, "descriptors": 0.0, "threads": 0.0, "processes": 0.0}
    for process in [root, *root.children(recursive=True)]:
        try:
            with process.oneshot():
                found = (process.memory_info().rss / 2**20, process.num_fds(), process.num_threads(), 1)
        except psutil.Error:  # it has ended meanwhile
            continue
        for name, value in zip(total, found, strict=True):
            total[name] += value
    return total


class Watch:
    """Measures a process tree every two seconds, in a thread, while it is open."""

    def __init__(self, pid: int, every_s: float = 2.0) -> None:
        self.root, self.every_s = psutil.Process(pid), every_s
        self.samples: list[tuple[float, dict[str, float]]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Watch:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(self.every_s):
            try:
                self.samples.append((time.monotonic() - self._started, measured(self.root)))
            except psutil.Error:
                return

    def rows(self, phase: str) -> list[dict[str, Any]]:
        """One row a quantity: its level, its slope an hour with a 95 % interval, the growth while it was watched."""
        return [
            {"case": f"{phase}, {name}", **slope([(t, values[name]) for t, values in self.samples])}
            for name in measured(psutil.Process())
        ]


def slope(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Least squares through the means of 20 stretches after the first fifth. `growth` is that line's over the time
    from there on; `low` and `high` bound the slope with 95 % confidence. Seconds in, hours out."""
    kept = [point for point in points if point[0] >= points[-1][0] / 5] if points else []
    if len(kept) < 2 * STRETCHES:
        return {"samples": len(kept), "slope_per_hour": None}
    size = len(kept) / STRETCHES
    parts = [kept[round(k * size) : round((k + 1) * size)] for k in range(STRETCHES)]
    xs = [statistics.mean(t for t, _ in part) / 3600 for part in parts]
    ys = [statistics.mean(y for _, y in part) for part in parts]
    line = statistics.linear_regression(xs, ys)
    residual = sum((y - line.slope * x - line.intercept) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = sum((x - statistics.mean(xs)) ** 2 for x in xs)
    half = T_95 * (residual / (STRETCHES - 2) / spread) ** 0.5
    found = {
        "level": statistics.mean(ys),
        "most": max(y for _, y in points),
        "slope_per_hour": line.slope,
        "low": line.slope - half,
        "high": line.slope + half,
        "growth": line.slope * (xs[-1] - xs[0]),
    }
    minutes = round((kept[-1][0] - kept[0][0]) / 60, 1)
    return {name: round(value, 3) for name, value in found.items()} | {"minutes": minutes, "samples": len(kept)}


def training_command(folder: Path) -> list[str]:
    """A run that would last for days."""
    raw = {
        "run_dir": str(folder / "run"),
        "data": {"shares": {"1": 0.5, "3": 0.5}, "train_size": 2000, "test_size": 50},
        "rollout": {
            "group_size": 8,
            "max_new_tokens": 48,
            "max_prompt_tokens": 40,
            "save_every": 10,
            "forced": {"minimum": 1},
        },
        "rewards": [{"name": "judge"}, {"name": "math"}, {"name": f"{HERE / 'soak.py'}:program_reward", "weight": 0.1}],
        "trainer": {"steps": 10**6, "prompts_per_step": 2, "learning_rate": 1e-5, "save_every": 25},
        "evaluation": {"every": 50, "probe": 20, "problems": 20, "max_new_tokens": 48},
        "wandb": {"mode": "disabled"},
    }
    file = folder / "soak.json"
    file.write_text(json.dumps(raw))
    return [sys.executable, str(HERE.parent / "scripts" / "train.py"), str(file)]


def started(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """The training as a process group of its own, with a folder for temporary files of its own."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    log = (folder / "log.txt").open("ab")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def steps_done(folder: Path) -> int:
    """Records of the run so far."""
    file = folder / "run" / "metrics.jsonl"
    return sum(1 for _ in file.open()) if file.is_file() else 0


def train_for(minutes: float, folder: Path) -> list[dict[str, Any]]:
    """The phase `training`. Raises `RuntimeError` where it ends by itself."""
    process = started(training_command(folder), folder)
    try:
        while process.poll() is None and steps_done(folder) < 2:
            time.sleep(0.5)
        end = time.monotonic() + minutes * 60
        with Watch(os.getpid()) as watch:
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.5)
        if process.poll() is not None:
            raise RuntimeError(f"the training ended by itself: {(folder / 'log.txt').read_text()[-2000:]}")
    finally:
        _killed(process)
    return [*watch.rows("training"), {"case": "training, steps", "count": steps_done(folder)}]


def _killed(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the training alone: what it started must notice by itself."""
    process.kill()
    process.wait()


def run_programs(count: int, most_minutes: float) -> list[dict[str, Any]]:
    """The phase `programs`; on a busy machine fewer than `count`, which the row says."""
    pool, kinds, verdicts = Pool(workers=1), list(PROGRAMS), dict.fromkeys(PROGRAMS, 0)
    begun, unlike = time.monotonic(), 0
    with Watch(os.getpid(), min(2.0, count / 5000)) as watch:
        done = 0
        for number in range(count):
            if time.monotonic() - begun > most_minutes * 60:
                break
            done = number + 1
            # Most programs are quick; one in a thousand is of each kind that costs the sandbox more.
            kind = kinds[number % 1000] if number % 1000 < len(kinds) else kinds[number % 2]
            passed = run_tests(PROGRAMS[kind], [TEST], Limits(wall_s=2.0, memory_mb=256), pool).passed == [True]
            verdicts[kind] += passed
            unlike += kind in ("right", "wrong") and passed != (kind == "right")
    seconds = time.monotonic() - begun
    pool.close()
    told = {"case": "programs, judged", "count": done, "asked": count, "wrong_verdicts": unlike, "passed": verdicts}
    return [*watch.rows("programs"), {**told, "per_second": round(done / seconds, 1)}]


def kill_often(kills: int, folder: Path, keep: int = 2) -> list[dict[str, Any]]:
    """The phase `kills`: checkpoints in the folder after each, of which one may be half written; and after a last start
    that has made another one."""
    command, rng, counts = training_command(folder), random.Random(0), []
    checkpoints = folder / "run" / "checkpoints"

    def there() -> list[Path]:
        return list(checkpoints.glob("checkpoint-*"))

    for _ in range(kills):
        process, before = started(command, folder), steps_done(folder)
        _wait(lambda before=before: steps_done(folder) != before, process)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 20))
        _killed(process)
        counts.append(len(there()))
    process, known = started(command, folder), {path.name for path in there()}
    _wait(lambda: any(p.name not in known and (p / "complete.json").is_file() for p in there()), process)
    time.sleep(3)
    last = [path for path in there() if (path / "complete.json").is_file()]
    _killed(process)
    told = {"case": "kills, checkpoints left", "after_each": counts, "allowed": keep + 1}
    return [{**told, "complete_at_the_end": len(last), "keep_checkpoints": keep}]


def _wait(done: Callable[[], bool], process: subprocess.Popen[bytes], most_s: float = 300) -> None:
    end = time.monotonic() + most_s
    while not done() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)


def main() -> None:
    """The phases one after the other; what is finished is written at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows, the machine and the versions here")
    parser.add_argument("--minutes", type=float, default=30, help="of training; 0: none")
    parser.add_argument("--programs", type=int, default=100_000, help="for the sandbox; 0: none")
    parser.add_argument("--program-minutes", type=float, default=600, help="the most minutes that the sandbox gets")
    parser.add_argument("--kills", type=int, default=6, help="of the training; 0: none")
    options = parser.parse_args()
    options.only = ""
    from common import finish  # here, because the training loads this file too

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        phases: list[Callable[[], list[dict[str, Any]]]] = []
        phases += [lambda: train_for(options.minutes, folder)] if options.minutes else []
        phases += [lambda: kill_often(options.kills, folder)] if options.kills else []
        phases += [lambda: run_programs(options.programs, options.program_minutes)] if options.programs else []
        for phase in phases:
            found = phase()
            rows += found
            for row in found:
                print(json.dumps(row), flush=True)
            finish(rows, options)


if __name__ == "__main__":
    main()

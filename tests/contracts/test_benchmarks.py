"""The benchmarks of rollouts and updates on their smallest cases: they run, and write what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from small_runs import ROOT, environment

ROWS = {
    "step": ["step s, 0.1M, half and half, 16 rows of 2 or 38", "peak MiB, 0.1M, half and half, 16 rows of 2 or 38"],
    "memory": ["peak MiB, 0.1M, half and half, 16 rows of 2 or 38"],
    "rollout": ["tokens/s, 0.1M, half and half, 16 rows of 4 or 38"],
    "ahead": ["step s, 0.1M, 16 rows of 30"],
    "padding": ["padded over real, half think, 16 rows by 4"],
    "scaling": [
        "exponent in group size, 0.1M",
        "exponent in thought tokens, 0.1M",
        "exponent in prompts, 0.1M",
    ],
    "scoring": [
        "rollouts and rewards s, code, 0.1M, 32 rows of 20",
        "rollouts and rewards s, code, 0.1M, 32 rows of 20, side by side",
        "rollouts and rewards s, math, 0.1M, 32 rows of 20",
        "rollouts and rewards s, math, 0.1M, 32 rows of 20, side by side",
    ],
}


RUNNER = """
import runpy, sys
folder, output, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    sys.argv = [name, "--smallest", "--json", f"{output}/{name}.json"]
    sys.argv += ["--plot", f"{output}/{name}.png"] if name == "scaling" else []
    runpy.run_path(f"{folder}/bench_{name}.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them in one process, which imports torch once."""
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-c", RUNNER, str(ROOT / "benchmarks"), str(folder), *ROWS]
    done = subprocess.run(
        command, env=environment(), cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return folder


def measured(row: dict) -> list[float]:
    """What a row has measured; an exponent fitted to one round a point may have either sign, its seconds may not."""
    if "points" in row:
        return [value for point in row["points"] for value in point]
    return [row["ours"], row["peer"], row["ratio"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_benchmark_writes_its_rows_the_machine_and_the_versions(name, results):
    report = json.loads((results / f"{name}.json").read_text())
    assert [row["case"] for row in report["rows"]] == ROWS[name]
    assert all(value > 0 for row in report["rows"] for value in measured(row))
    assert report["machine"]["device"]
    assert report["versions"]["trl"] == metadata.version("trl")


@pytest.mark.slow
def test_the_growth_is_drawn(results):
    assert (results / "scaling.png").read_bytes().startswith(b"\x89PNG")

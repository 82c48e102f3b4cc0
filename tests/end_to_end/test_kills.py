"""The demo and a comparison killed again and again, at any moment, end as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small_runs import ROOT, environment, metrics, save_policy, settings, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def raw(tmp_path: Path, run: str) -> dict[str, Any]:
    save_policy(tmp_path / "policy")
    return settings(
        tmp_path / run,
        tmp_path / "policy",
        rollout={"max_new_tokens": 40},
        cold_start={"steps": 40, "batch": 8, "problems": 20, "max_length": 64, "save_every": 5, "learning_rate": 1e-2},
        evaluation={"problems": 6},
        trainer={"steps": 8, "save_every": 1, "learning_rate": 1e-2},
    )


def start(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "scripts" / script), *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True, stdout=quiet, stderr=quiet)


def run_with_kills(kills: int, longest: float, seed: int, script: str, *arguments: str) -> int:
    """Start the command and kill it within so many seconds, as often as this; then let it end. The kills that hit."""
    rng, hit = random.Random(seed), 0
    for _ in range(kills):
        process = start(script, *arguments)
        try:
            process.wait(rng.uniform(min(3, longest / 2), longest))
        except subprocess.TimeoutExpired:
            hit += 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(script, *arguments).wait(600) == 0
    return hit


def results(run: Path) -> tuple[Any, ...]:
    found = [json.loads((run / name).read_text()) for name in ("eval_before.json", "eval.json")]
    texts = [{key: value for key, value in result.items() if key != "seconds"} for result in found]
    weights = [(run / name / "model.safetensors").read_bytes() for name in ("cold_start/model", "model")]
    return texts, weights, metrics(run)


def test_a_demo_killed_at_any_moment_gives_the_weights_and_the_table_of_an_unbroken_one(tmp_path):
    whole, broken = (write_config(tmp_path / f"{run}.json", raw(tmp_path, run)) for run in ("whole", "broken"))
    began = time.monotonic()
    assert start("demo.py", str(whole)).wait(600) == 0
    assert run_with_kills(4, 0.5 * (time.monotonic() - began), 1, "demo.py", str(broken)) > 2
    assert results(tmp_path / "broken") == results(tmp_path / "whole")
    weights = results(tmp_path / "whole")[1]
    assert weights[0] != weights[1]


def test_a_comparison_killed_at_any_moment_gives_the_cells_of_an_unbroken_one(tmp_path):
    for run in ("whole", "broken"):
        write_config(tmp_path / f"{run}.json", raw(tmp_path, run))
    cells = ["--algorithms", "step_srpo,grpo", "--seeds", "0"]
    began = time.monotonic()
    assert start("compare.py", str(tmp_path / "whole.json"), *cells).wait(600) == 0
    whole_s = time.monotonic() - began
    assert run_with_kills(4, 0.8 * whole_s, 2, "compare.py", str(tmp_path / "broken.json"), *cells) > 1
    for name in ("step_srpo", "grpo"):
        found = [
            json.loads((tmp_path / run / "data" / "seed0" / name / "cell.json").read_text())
            for run in ("whole", "broken")
        ]
        for spent in ("seconds", "train_seconds", "cpu_seconds"):
            assert [cell.pop(spent) > 0 for cell in found] == [True, True]
        assert found[0] == found[1]


def test_a_demo_told_to_end_in_its_cold_start_and_in_rl_saves_and_says_what_goes_on(tmp_path):
    config, run = write_config(tmp_path / "c.json", raw(tmp_path, "run")), tmp_path / "run"
    places = ("cold_start/**/checkpoint-*/trainer_state.json", "checkpoints/checkpoint-*/complete.json")
    command = [sys.executable, "scripts/demo.py", str(config)]
    for number, place in enumerate(places):
        with (tmp_path / f"out{number}").open("w") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=out)
            while process.poll() is None and not list(run.glob(place)):
                time.sleep(0.02)
            process.terminate()  # the demo alone, as a container's manager does
            assert process.wait(300) == 0
        told = [line for line in (tmp_path / f"out{number}").read_text().splitlines() if "To go on: " in line]
        assert told[-1].endswith(f"To go on: python scripts/demo.py {config}")
        assert not (run / ("model" if number else "cold_start/model")).exists()
    assert start("demo.py", str(config)).wait(600) == 0
    assert [record["step"] for record in metrics(run)] == [*range(1, 9)]
    assert (run / "report.html").is_file()

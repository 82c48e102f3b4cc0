"""`scripts/gpu_check.py`: its parts keep to their shares of the time, and nothing that was measured is lost."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import ROOT, environment

SCRIPT = ROOT / "scripts" / "gpu_check.py"


@pytest.fixture(scope="module")
def gpu_check():
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module
    spec.loader.exec_module(module)
    return module


WRITE = (
    "import json, sys, time; json.dump({'rows': [%s]}, open(sys.argv[1], 'w')); time.sleep(%s); raise SystemExit(%s)"
)


def part(module, name, *, share=1.0, row="", sleep=0.0, code=0, missing=""):
    """A part that writes one row, sleeps and ends with a code."""

    def commands(place):
        return [[sys.executable, "-c", WRITE % (row, sleep, code), str(place.folder / f"{name}.json")]]

    return module.Part(
        name, share, commands, lambda place: module._json(place.folder / f"{name}.json"), lambda _: missing
    )


def run(module, folder: Path, seconds: float, *parts):
    """The verdict and the report on disk."""
    check = module.Check(module.Place(folder, "cpu", True), folder / "report.json", seconds)
    good = check.run(parts)
    return good, json.loads((folder / "report.json").read_text())


ROW = "{'case': 'c', 'ratio': 0.5}"


@pytest.mark.medium
def test_a_part_that_passes_its_share_is_ended_and_keeps_its_rows_and_the_next_one_runs(gpu_check, tmp_path):
    started = time.monotonic()
    long = part(gpu_check, "long", row=ROW, sleep=60)
    good, report = run(gpu_check, tmp_path, 8.0, long, part(gpu_check, "short", row=ROW))
    assert time.monotonic() - started < 20
    assert good
    assert report["parts"]["long"]["status"] == "cut"
    assert report["parts"]["long"]["rows"] == [{"case": "c", "ratio": 0.5}]
    assert 3.5 < report["parts"]["long"]["seconds"] < 6.0
    assert report["parts"]["short"]["status"] == "done"


@pytest.mark.medium
def test_what_a_part_leaves_of_its_share_the_next_one_may_use(gpu_check, tmp_path):
    parts = [part(gpu_check, "quick"), part(gpu_check, "slow", sleep=4.5)]
    assert [p["status"] for p in run(gpu_check, tmp_path, 8.0, *parts)[1]["parts"].values()] == ["done", "done"]


@pytest.mark.medium
def test_a_part_that_cannot_run_says_why_and_leaves_its_share(gpu_check, tmp_path):
    parts = [part(gpu_check, "slow", sleep=2.0), part(gpu_check, "absent", share=9.0, missing="no such thing")]
    good, report = run(gpu_check, tmp_path, 8.0, *parts)
    assert good
    assert report["parts"]["slow"]["status"] == "done"
    assert report["parts"]["absent"] == {"status": "not run", "why": "no such thing", "seconds": 0.0}


def test_a_failed_part_is_told_with_its_output_and_the_others_run(gpu_check, tmp_path):
    good, report = run(gpu_check, tmp_path, 20.0, part(gpu_check, "bad", code=3), part(gpu_check, "next"))
    assert not good
    assert report["parts"]["bad"]["status"] == "failed"
    assert "3" in report["parts"]["bad"]["why"]
    assert report["parts"]["next"]["status"] == "done"


def test_a_measured_value_that_is_not_allowed_fails_the_check(gpu_check, tmp_path):
    wrong = "{'case': 'gap', 'value': 0.7, 'allowed': 0.1, 'ok': False}"
    assert not run(gpu_check, tmp_path, 20.0, part(gpu_check, "gap", row=wrong))[0]


def test_the_default_stays_below_six_minutes_and_has_every_part(gpu_check):
    assert [p.name for p in gpu_check.PARTS] == ["agreement", "step", "rollout", "demo", "engine"]
    assert sum(p.share for p in gpu_check.PARTS) <= 330


ENDED = """
import sys; sys.path.insert(0, sys.argv[1])
import gpu_check, pathlib, signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
folder = pathlib.Path(sys.argv[2])
write = "import json, os, sys, time; json.dump({'rows': [{'pid': os.getpid()}]}, open(sys.argv[1], 'w'))"
write += "; time.sleep(60)"
file = folder / "p.json"
part = gpu_check.Part("p", 1.0, lambda _: [[sys.executable, "-c", write, str(file)]], lambda _: gpu_check._json(file))
gpu_check.Check(gpu_check.Place(folder, "cpu", True), folder / "report.json", 60).run([part])
"""


@pytest.mark.medium
def test_ending_the_check_from_outside_keeps_what_was_measured_and_leaves_no_process(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ENDED, str(SCRIPT.parent), str(tmp_path)])
    report = tmp_path / "report.json"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and '"pid"' not in (report.read_text() if report.is_file() else ""):
        time.sleep(0.1)
    assert json.loads(report.read_text())["parts"]["p"]["status"] == "running"
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 143
    state = json.loads(report.read_text())["parts"]["p"]
    assert state["status"] == "ended"
    with pytest.raises(ProcessLookupError):
        os.kill(state["rows"][0]["pid"], 0)


@pytest.mark.medium
def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    command = [sys.executable, str(SCRIPT), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(
        command, env=environment(CUDA_VISIBLE_DEVICES=""), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "GPU" in done.stderr
    assert not (tmp_path / "report.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_part_runs_in_small_on_a_cpu(tmp_path):
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--small", "--seconds", "2000"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "report.json")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.returncode == 0, report
    status = {name: state["status"] for name, state in report["parts"].items()}
    assert status == {"agreement": "done", "step": "done", "rollout": "done", "demo": "done", "engine": "not run"}
    assert all(row["ok"] for row in report["parts"]["agreement"]["rows"])
    for name in ("step", "rollout"):
        assert report["parts"][name]["machine"]["dtype"] == "bfloat16"
        assert len(report["parts"][name]["planned"]) == 1
    assert report["parts"]["demo"]["steps"] == 2
    assert set(report["parts"]["demo"]["evaluation"]) == {"think", "no_think", "auto"}

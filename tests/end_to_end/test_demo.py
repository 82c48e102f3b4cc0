"""The main job from end to end on a reduced world (one and three operations), against the full demo's thresholds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import ROOT, environment

from rl.reports.goals import goals

ALLOWED_S = 660
pytestmark = [pytest.mark.slow, pytest.mark.timeout(ALLOWED_S + 30)]  # the first test waits for the run

REDUCED = (
    "data.shares={1: 0.66, 3: 0.34}",
    'data.hard=["3"]',
    "data.test_size=600",
    "evaluation.problems=600",
    "cold_start.steps=800",
    "trainer.steps=70",
    "wandb.mode=disabled",
)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`scripts/demo.py` on one and three operations only, in a process of its own."""
    folder = tmp_path_factory.mktemp("reduced-demo")
    command = [sys.executable, "scripts/demo.py", "configs/demo.yaml", f"run_dir={folder}", *REDUCED]
    log = folder / "log.txt"
    with log.open("w") as output:
        done = subprocess.run(
            command, cwd=ROOT, stdout=output, stderr=output, env=environment(), timeout=ALLOWED_S, check=False
        )
    assert done.returncode == 0, log.read_text()[-2000:]
    return folder


def read(folder: Path, name: str):
    return json.loads((folder / name).read_text())


def test_the_reduced_demo_meets_every_goal_of_the_full_one(run_folder):
    verdicts = goals(read(run_folder, "eval_before.json"), read(run_folder, "eval.json"))
    assert [(name, detail) for name, passed, detail in verdicts if not passed] == []
    assert len(verdicts) == 12


def test_the_run_folder_holds_what_a_user_looks_at(run_folder):
    assert len((run_folder / "metrics.jsonl").read_text().splitlines()) == 70
    assert read(run_folder, "eval.json")["n"] == 600
    report = (run_folder / "report.html").read_text()
    assert "data:image/png;base64," in report
    assert "forced think" in report.lower()
    assert (run_folder / "model" / "model.safetensors").is_file()

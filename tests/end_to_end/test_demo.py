"""The main job from end to end on a reduced world (one and three operations), against the full demo's thresholds."""

import json
from pathlib import Path

import pytest

from rl.reports.goals import goals

pytestmark = pytest.mark.timeout(690)  # above ALLOWED_S: the first test waits for the run

ALLOWED_S = 660


@pytest.fixture(scope="module")
def run_folder(reduced_demo):
    return reduced_demo.wait(ALLOWED_S)


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

"""The main job from end to end: `make demo` meets its goals, and leaves what a user looks at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import ROOT, environment

from rl.reports.goals import goals

ALLOWED_S = 600
pytestmark = [pytest.mark.slow, pytest.mark.timeout(ALLOWED_S + 30)]  # the first test waits for the run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`scripts/demo.py configs/demo.yaml` in a process of its own."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "scripts/demo.py", "configs/demo.yaml", f"run_dir={folder}", "wandb.mode=disabled"]
    log = folder / "log.txt"
    with log.open("w") as output:
        done = subprocess.run(
            command, cwd=ROOT, stdout=output, stderr=output, env=environment(), timeout=ALLOWED_S, check=False
        )
    assert done.returncode == 0, log.read_text()[-2000:]
    return folder


def read(folder: Path, name: str):
    return json.loads((folder / name).read_text())


def test_the_demo_meets_every_goal(run_folder):
    verdicts = goals(read(run_folder, "eval_before.json"), read(run_folder, "eval.json"))
    assert [(name, detail) for name, passed, detail in verdicts if not passed] == []
    assert len(verdicts) == 13


def test_the_run_folder_holds_what_a_user_looks_at(run_folder):
    config = read(run_folder, "config.json")
    assert len((run_folder / "metrics.jsonl").read_text().splitlines()) == config["trainer"]["steps"] + 1
    assert read(run_folder, "eval.json")["n"] == 2000
    report = (run_folder / "report.html").read_text()
    assert "data:image/png;base64," in report
    assert "forced think" in report.lower()
    assert (run_folder / "model" / "model.safetensors").is_file()


def test_the_demo_ends_by_naming_three_commands_that_exist(run_folder):
    _, _, after = (run_folder / "log.txt").read_text().rpartition("What to do next:")
    commands = [line.split("#")[0].split() for line in after.splitlines() if line.strip() and line.strip()[0] != "#"]
    assert len(commands) == 3
    assert commands[0] == ["make", "smollm2"]
    assert "\nsmollm2:" in (ROOT / "Makefile").read_text()
    for command in commands[1:]:
        assert all((ROOT / word).is_file() for word in command[1:3])

"""benchmarks/field.py from its first stage to its last, in a checkout of its own, with few worlds, seeds and tokens."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FEW = """
import runpy, sys
from rl.worlds import worlds
worlds.DEVELOPMENT = tuple(world for world in worlds.DEVELOPMENT if world.name == "walk")
worlds.TEST = tuple(world for world in worlds.TEST if world.name == "domains")
from rl.comparison import field
field.MAIN, field.OTHERS, field.PUBLISHED = field.MAIN[:4], ("dr_grpo",), ("grpo@published",)
field.TEST_SEEDS = (0, 1)
field.reached_target = lambda cells: len(cells) == 12
sys.argv[0] = "benchmarks/field.py"
runpy.run_path("benchmarks/field.py", run_name="__main__")
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with short runs and a small grid, without the results of this one."""
    for part in ("rl", "rollout", "rewards", "configs", "scripts", "benchmarks"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    (tmp_path / "benchmarks/results").mkdir()
    for name in ("frozen.json", "tuned.json", "tuned.yaml"):
        (tmp_path / "benchmarks" / name).unlink()
    config = yaml.safe_load((tmp_path / "configs/compare.yaml").read_text())
    config["trainer"]["token_budget"], config["evaluation"]["every"] = 1500, 4
    (tmp_path / "configs/compare.yaml").write_text(yaml.safe_dump(config))
    grid = {"all": {"trainer.learning_rate": [3e-4, 6e-4]}, "step_srpo": {}, "adaptthink": {}, "degrpo": {}, "grpo": {}}
    (tmp_path / "benchmarks/tuning.yaml").write_text(yaml.safe_dump(grid))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path)
    return tmp_path


def commit(folder):
    (folder / ".gitignore").write_text("runs/\n__pycache__/\n")
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    name = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", *name, "commit", "-qm", "stage"], cwd=folder, check=True)


def stage(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", FEW, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


def cells(folder, name):
    return json.loads((folder / "benchmarks/results" / name).read_text())["cells"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_field_goes_from_its_worlds_to_its_tables_and_a_second_start_makes_nothing_anew(checkout):
    for name in ("worlds", "tune"):
        done = stage(checkout, name)
        assert done.returncode == 0, done.stderr[-3000:]
    tried = json.loads((checkout / "benchmarks/tuned.json").read_text())["tried"]
    assert sorted(len(row["runs"]) for row in tried) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert "changes that no commit has: " in stage(checkout, "freeze").stderr  # the tuned settings
    commit(checkout)
    assert "frozen: " in stage(checkout, "freeze").stdout
    for name in ("test", "rest"):
        done = stage(checkout, name)
        assert done.returncode == 0, done.stderr[-3000:]
    test, rest = cells(checkout, "field.json"), cells(checkout, "field_rest.json")
    # Two seeds for all, and one that the rule added for those that it compares.
    assert sorted({cell["seed"] for cell in test}) == [0, 1, 2]
    assert (len(test), len(rest)) == (12, 6)
    assert all(cell["spent"] < 6000 for cell in test)
    known = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in checkout.glob("runs/**/*.json")}
    assert stage(checkout, "test").returncode == 0
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in known} == known
    assert cells(checkout, "field.json") == test
    assert "measured domains: " in stage(checkout, "estimate").stdout
    (checkout / "rl/__init__.py").write_text("changed = 1\n")
    done = stage(checkout, "test")
    assert done.returncode == 2
    assert "rl/__init__.py changed since" in done.stderr

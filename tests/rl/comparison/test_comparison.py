"""The command that compares algorithms, in small."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest
from small_runs import script, settings, started, write_config

from rl.comparison.runs import Plan
from rl.comparison.tuning import read_settings
from rl.config.schema import ConfigError


def test_starts_are_taken_in_turn_and_bring_their_data(tmp_path):
    plan = Plan(str(small(tmp_path)), [], tmp_path, {}, (10, 20))
    configs = {seed: plan.settings("kind", seed, "grpo") for seed in (0, 1, 2)}
    assert [config.data.seed for config in configs.values()] == [10, 20, 10]
    assert [config.seed for config in configs.values()] == [0, 1, 2]
    assert configs[2].model.path == str(tmp_path / "kind" / "seed10" / "cold_start" / "model")
    assert configs[0].algorithm == {"name": "grpo"}
    mine = Plan(str(small(tmp_path)), ["algorithm={name: step_srpo, kappa: 2.0}"], tmp_path, {})
    assert mine.settings("kind", 0, "step_srpo").algorithm == {"name": "step_srpo", "kappa": 2.0}
    assert mine.settings("kind", 0, "grpo").algorithm == {"name": "grpo"}
    tuned = {"grpo": {"trainer.kl": 0.5, "trainer.iterations": 2}}
    preset = Plan(str(small(tmp_path)), [], tmp_path, tuned).settings("kind", 0, "grpo@published")
    assert preset.algorithm == {"name": "grpo", "preset": "published"}
    assert (preset.trainer.iterations, preset.trainer.kl) == (2, None)  # the preset has a KL of its own
    mine = Plan(str(small(tmp_path)), ["algorithm={name: step_srpo, kappa: 2.0}"], tmp_path, {})
    assert mine.settings("kind", 0, "step_srpo@default").algorithm == {"name": "step_srpo", "preset": "own"}
    with pytest.raises(ConfigError, match="algorithm 'grpo@paper' ends with @paper; allowed: @default, @published"):
        mine.settings("kind", 0, "grpo@paper")
    nameless = Plan(str(small(tmp_path)), ["algorithm={anchor: 0.0}"], tmp_path, {})
    assert nameless.settings("kind", 0, "step_srpo").algorithm == {"anchor": 0.0}
    same = Plan(str(small(tmp_path)), ["data.seed=3"], tmp_path, {})
    assert [same.settings("kind", 2, name).data.seed for name in ("", "grpo")] == [3, 3]
    own = Plan(str(small(tmp_path)), [], tmp_path, {}).settings("kind", 2, "grpo")
    assert (own.data.seed, own.model.path) == (2, str(tmp_path / "kind" / "seed2" / "cold_start" / "model"))


def small(tmp_path):
    """A comparison of seconds: two steps of cold start, a budget of a few steps."""
    raw = settings(
        tmp_path / "runs",
        tmp_path,
        data={"shares": {}, "train_size": 40, "test_size": 12},
        model={"path": "tiny:32x1"},
        protocol={"name": "one_token", "think": "<think>", "no_think": "<no_think>"},
        cold_start={"steps": 2, "batch": 8, "problems": 20, "max_length": 64},
        trainer={"steps": 50, "token_budget": 400},
        evaluation={"problems": 12, "every": 1, "probe": 6},
    )
    return write_config(tmp_path / "config.json", raw)


@pytest.mark.medium
def test_a_comparison_runs_each_cell_once_and_writes_its_tables(tmp_path):
    arguments = (str(small(tmp_path)), "--algorithms", "step_srpo,grpo", "--seeds", "3", "--worlds", "kind")
    done = script("compare.py", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[2/2] kind seed 3 grpo" in done.stdout
    runs = tmp_path / "runs"
    cells = json.loads((runs / "comparison.json").read_text())["cells"]
    assert [(c["algorithm"], c["seed"], c["world"]) for c in cells] == [("step_srpo", 3, "kind"), ("grpo", 3, "kind")]
    assert cells[0]["always_think"] == cells[1]["always_think"]  # the same cold start
    assert all(c["spent"] >= 400 and len(c["curve"]) == c["steps"] + 1 < 50 for c in cells)
    assert json.loads((runs / "kind" / "seed3" / "grpo" / "config.json").read_text())["algorithm"] == {"name": "grpo"}
    assert "| grpo | 1 | " in (runs / "comparison.md").read_text()
    assert (runs / "kind.png").read_bytes().startswith(b"\x89PNG")
    new = ("always_think_utility", "random_utility", "change_think", "drift", "train_seconds", "cpu_seconds")
    assert all(cells[0][key] is not None for key in new)
    # Once the hours are spent no run begins; what is there stays in the tables.
    less = script("compare.py", *arguments[:2], "step_srpo,bpo,grpo", *arguments[3:], "--hours", "0.000001")
    assert less.returncode == 0, less.stderr
    assert "core-hours spent of 1e-06: 1 runs left out" in less.stdout
    assert not (runs / "kind" / "seed3" / "bpo").exists()
    assert json.loads((runs / "comparison.json").read_text())["cells"] == cells
    # A call for other algorithms leaves the tables of before.
    assert script("compare.py", *arguments[:2], "grpo", *arguments[3:]).returncode == 0
    assert len(json.loads((runs / "comparison.json").read_text())["cells"]) == 1
    (older,) = (runs / "old").glob("*/comparison.json")
    assert json.loads(older.read_text())["cells"] == cells
    # Started again with one cell missing, only that one runs.
    (runs / "kind" / "seed3" / "grpo" / "cell.json").unlink()
    kept = (runs / "kind" / "seed3" / "step_srpo" / "cell.json").stat().st_mtime_ns
    assert script("compare.py", *arguments).returncode == 0
    assert json.loads((runs / "comparison.json").read_text())["cells"][0] == cells[0]
    assert (runs / "kind" / "seed3" / "step_srpo" / "cell.json").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_two_jobs_share_a_cold_start_and_make_the_cells_that_one_job_makes(tmp_path):
    def cells_of(jobs):
        folder = tmp_path / jobs
        folder.mkdir()
        made = small(folder)
        done = script(
            "compare.py", str(made), "--algorithms", "grpo,bpo", "--seeds", "3", "--worlds", "kind", *jobs.split()
        )
        assert done.returncode == 0, done.stderr[-3000:]
        cells = json.loads((folder / "runs" / "comparison.json").read_text())["cells"]
        return [{k: v for k, v in cell.items() if "seconds" not in k} for cell in cells]

    assert cells_of("--jobs 2") == cells_of("--jobs 1")


@pytest.mark.medium
def test_a_grid_is_tried_and_its_best_written_with_every_run(tmp_path):
    grid, tuned = tmp_path / "grid.yaml", tmp_path / "tuned.yaml"
    grid.write_text("all: {trainer.learning_rate: [1.0e-4, 3.0e-4]}\ngrpo: {}\n")
    arguments = (
        "--algorithms",
        "grpo",
        "--seeds",
        "100",
        "--worlds",
        "kind",
        "--tune",
        str(grid),
        "--tuned",
        str(tuned),
    )
    done = script("compare.py", str(small(tmp_path)), *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    tried = json.loads(tuned.with_suffix(".json").read_text())["tried"]
    assert [row["settings"]["trainer.learning_rate"] for row in tried] == [1e-4, 3e-4]
    assert [[(run["world"], run["seed"]) for run in row["runs"]] for row in tried] == [[("kind", 100)]] * 2
    assert read_settings(tuned)["grpo"] in [row["settings"] for row in tried]


@pytest.mark.medium
def test_the_worth_of_judging_is_shown_for_each_world_and_start(tmp_path):
    done = script("compare.py", str(small(tmp_path)), "--routers", "--seeds", "3", "--worlds", "kind")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "kind seed 3: router " in done.stdout
    (row,) = json.loads((tmp_path / "runs" / "worlds.json").read_text())["worlds"]
    assert set(row["levels"]) <= {"void", "moves"}
    assert row["worth"] == pytest.approx(row["router"] - max(row["think"], row["no_think"]))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--routers", "--algorithms", "grpo"), "--algorithms is for training; allowed: without it"),
        (("--routers", "--hours", "1"), "--hours is for training; allowed: without it"),
        (("--algorithms", "grpo", "seed=3"), "seed is given beside --seeds"),
        (("--algorithms", "grpo", "--seeds", "3-1"), "names no seeds"),
        (("--algorithms", "step_srp"), "algorithm.name is 'step_srp'; did you mean 'step_srpo'?"),
        (("--algorithms", "grpo", "--worlds", "kindd"), "no world 'kindd'; did you mean 'kind'?"),
        (("--algorithms", "grpo", "--worlds", " , "), "' , ' names nothing"),
        (("--algorithms", "grpo", "--tuned", "no.yaml"), "no settings file 'no.yaml'"),
        (
            ("--algorithms", "bpo@published"),
            "algorithm.preset is 'published' with 'bpo'; allowed: own, none, or published",
        ),
        ((), "no algorithms to compare"),
    ],
)
def test_a_comparison_that_cannot_run_is_one_line(tmp_path, arguments, message):
    done = script("compare.py", str(small(tmp_path)), "--seeds", "0", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_comparison_that_is_ended_leaves_no_worker_behind(tmp_path, number):
    asked = ("--algorithms", "grpo,bpo", "--seeds", "3", "--worlds", "kind", "--jobs", "2")
    with started(
        "compare.py", str(small(tmp_path)), *asked, "trainer.token_budget=4000000", "trainer.steps=100000"
    ) as run:
        parent = psutil.Process(run.processes[0].pid)

        def workers():
            return [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]

        assert run.wait_until(lambda: len(workers()) == 2)
        assert run.wait_until(lambda: len(list(tmp_path.glob("runs/kind/seed3/*/metrics.jsonl"))) == 2)
        left = workers()
        os.kill(parent.pid, number)
        (done,) = run.ended(30)
        _, alive = psutil.wait_procs(left, timeout=10)
        assert (alive, done.returncode) == ([], {signal.SIGINT: 130, signal.SIGTERM: 0}.get(number, -9))
        assert "Traceback" not in done.stderr

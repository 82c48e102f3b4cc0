"""What an earlier version wrote is read, or goes on, as it was meant: tests/fixtures/earlier."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from small_runs import ROOT, script

from rewards.registry import build_rewards
from rewards.score import score_groups
from rl.cold_start.examples import labelled_example, labelled_pair, labelled_rows
from rl.config.read import load_config, parse_config
from rl.data import load_problems
from rl.files.run_log import read_metrics
from rl.reports.browser import sample
from rl.reports.run_folder import read_run
from rl.training.checkpoints import last_complete
from rollout.types import group_rollouts, rollout_from_json, rollout_to_json

EARLIER = ROOT / "tests" / "fixtures" / "earlier"


@pytest.fixture
def earlier(tmp_path, monkeypatch) -> Path:
    """A copy to work in."""
    folder = Path(shutil.copytree(EARLIER, tmp_path / "earlier"))
    monkeypatch.chdir(folder)
    return folder


def bytes_of(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "lock"]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def rollouts_of(step: int) -> list[dict]:
    lines = (EARLIER / "run" / "rollouts" / f"step_{step:06d}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_configuration_with_a_value_in_every_section_is_read():
    config = load_config(EARLIER / "config.yaml")
    assert (config.run_dir, config.seed, config.resume) == ("run", 5, "auto")
    assert config.data.shares == {"1": 0.6, "3": 0.4}
    assert config.cold_start.learning_rate == 0.01
    assert config.cold_start.gate.min_accuracy == {"think": 0.0}
    assert config.rollout.forced.minimum == 1
    assert (config.rollout.temperature, config.rollout.top_p) == (0.9, 0.95)
    assert config.algorithm == {"name": "step_srpo", "judge_weight": 0.2}
    assert (config.trainer.kl, config.trainer.keep_checkpoints) == (0.1, 2)
    assert config.evaluation.every == 2


def test_the_resolved_configuration_of_a_run_is_read_back_as_the_same_one():
    saved = json.loads((EARLIER / "run" / "config.json").read_text())
    assert parse_config(saved).trainer == load_config(EARLIER / "config.yaml").trainer


def test_rewards_of_a_user_score_recorded_rollouts_as_they_did(earlier):
    rewards = build_rewards(load_config(earlier / "config.yaml").rewards)
    recorded = [rollout_from_json(row) for row in rollouts_of(4)]
    groups = score_groups(group_rollouts(recorded), rewards, step=3)
    scored = [r for group in groups for r in group.rollouts]
    names = ("last_digit", "brevity", "shortest", "varied", "later", "format", "correct", "answer_reward")
    for new, old in zip(scored, recorded, strict=True):
        assert {n: new.scores[n] for n in names} == pytest.approx({n: old.scores[n] for n in names})
    assert {r.scores["brevity"] for r in scored} == {1 - 2 / 6}


def test_recorded_rollouts_are_read_and_written_as_they_were_but_for_the_mode_that_was_forced():
    for step in (1, 2, 3, 4):
        rows = rollouts_of(step)
        assert len(rows) == 8
        for row in rows:
            again = json.loads(json.dumps(rollout_to_json(rollout_from_json(row))))
            assert {key: again[key] for key in row} == {**row, "forced": row["mode"] if row["forced"] else None}
            assert again["schema"] == 2


def test_labels_are_a_data_file_and_examples_to_learn_from(earlier):
    rows = labelled_rows("run/labels.jsonl")
    assert len(rows) == 12
    assert sum(labelled_pair(row) is not None for row in rows) == 2
    (example,) = [one for row in rows if (one := labelled_example(row, "think")) and row["id"] == "1005-4"]
    assert example.problem.prompt == next(row["prompt"] for row in rows if row["id"] == "1005-4")
    config = load_config("config.yaml", ["data.train=run/labels.jsonl", "data.test=run/selected.jsonl"])
    problems = load_problems(config, "train")
    assert [p.necessity for p in problems].count("think") == 4
    assert len(problems) == 12


def test_a_run_folder_is_reported_with_nothing_missing(earlier):
    run = read_run(earlier / "run")
    assert run.missing == []
    found = sample(earlier / "run", missing := [])
    assert {entry["step"] for entry in json.loads(found.data)} == {1, 2, 3, 4}
    assert missing == []
    assert [record["step"] for record in read_metrics(earlier / "run")] == [1, 2, 3, 4]


@pytest.mark.medium
def test_a_killed_run_goes_on_from_an_earlier_checkpoint_with_the_rollouts_of_an_unbroken_one(earlier):
    """What follows from the checkpoint alone: weights, random states, prompt order and history."""
    for name in ("checkpoints/checkpoint-4", "model", "stages"):
        shutil.rmtree(earlier / "run" / name)
    assert last_complete(earlier / "run" / "checkpoints") == earlier / "run" / "checkpoints" / "checkpoint-2"
    data = ("data.train=run/selected.jsonl", "data.format=problems")  # as the pipeline has it
    done = script("train.py", "config.yaml", *data, folder=earlier)
    assert done.returncode == 0, done.stderr
    assert "resuming from run/checkpoints/checkpoint-2" in done.stdout + done.stderr
    assert [record["step"] for record in read_metrics(earlier / "run")] == [1, 2, 3, 4]
    written = [json.loads(line) for line in (earlier / "run/rollouts/step_000003.jsonl").read_text().splitlines()]
    for key in ("completion_ids", "mode"):
        assert [row[key] for row in written] == [row[key] for row in rollouts_of(3)]
    assert [row["forced"] is not None for row in written] == [row["forced"] for row in rollouts_of(3)]
    assert [row["problem"]["id"] for row in written] == [row["problem"]["id"] for row in rollouts_of(3)]


@pytest.mark.medium
def test_a_finished_pipeline_is_finished_and_not_a_byte_changes(earlier):
    """All but the report, which was left out of these files."""
    before = bytes_of(earlier)
    done = script("pipeline.py", "config.yaml", folder=earlier)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(done)") == 6
    after = bytes_of(earlier)
    assert {name: after[name] for name in before} == before
    new = {str(Path(name).relative_to(earlier / "run")) for name in after.keys() - before.keys()}
    assert {name for name in new if not name.startswith("plots/")} == {"report.html", "report.html.settings.json"}
    again = script("pipeline.py", "config.yaml", folder=earlier)
    assert again.stdout.count("(done)") == 7
    assert bytes_of(earlier) == after
    refused = script("pipeline.py", "config.yaml", "trainer.learning_rate=0.5", folder=earlier)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "trainer.learning_rate 0.001, now 0.5" in refused.stderr


@pytest.mark.medium
def test_finished_labels_are_not_measured_again(earlier):
    before = bytes_of(earlier)
    command = ("label_necessity.py", "config.yaml", "--out", "run/labels.jsonl", "label.model=run/cold_start/model")
    done = script(*command, folder=earlier)
    assert done.returncode == 0, done.stderr
    assert "labels: 12, mean complexity" in done.stdout
    assert bytes_of(earlier) == before
    refused = script(*command, "label.samples=5", folder=earlier)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "samples" in refused.stderr
    assert bytes_of(earlier) == before


@pytest.mark.medium
def test_a_finished_cell_of_a_comparison_is_taken_as_it_is(earlier):
    before = bytes_of(earlier / "comparison" / "chain")
    cells = ["--algorithms", "step_srpo", "--seeds", "0", "--worlds", "chain"]
    done = script("compare.py", "compare.yaml", *cells, folder=earlier)
    assert done.returncode == 0, done.stderr
    assert "[1/1] chain seed 0 step_srpo (14 s): U -0.200 of -0.200, not reached" in done.stdout
    assert bytes_of(earlier / "comparison" / "chain") == before
    assert os.path.isfile("comparison/comparison.md")

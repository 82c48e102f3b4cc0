"""A killed run goes on and ends as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_runs import ROOT, environment, metrics, save_policy, script, settings, write_config

from rl.training.checkpoints import COMPLETE, check_readable, last_complete, mark_complete, remove_incomplete
from rollout.errors import UserError

SHAPE = {"steps": 8, "prompts_per_step": 4, "learning_rate": 1e-3, "save_every": 2}


def start(config: Path, run_dir: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "scripts/train.py"), str(config), f"run_dir={run_dir}"]
    return subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_run_killed_in_its_sixth_step_gives_the_metrics_of_an_unbroken_one(tmp_path):
    policy = save_policy(tmp_path / "policy")
    config = write_config(tmp_path / "config.json", settings(tmp_path / "unused", policy, trainer=SHAPE))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert script("train.py", str(config), f"run_dir={whole}").returncode == 0
    process = start(config, broken)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if (broken / "metrics.jsonl").is_file() and len((broken / "metrics.jsonl").read_text().splitlines()) >= 5:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # What a process killed while it saves leaves behind.
    (broken / "checkpoints" / "checkpoint-7").mkdir()
    done = script("train.py", str(config), f"run_dir={broken}")
    assert done.returncode == 0, done.stderr
    assert "resuming from" in done.stdout + done.stderr
    assert metrics(broken) == metrics(whole)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (broken, whole)]
    assert weights[0] == weights[1]
    assert not (broken / "checkpoints" / "checkpoint-7").exists()


def test_only_a_checkpoint_with_its_end_mark_counts(tmp_path):
    for step, complete in ((2, True), (10, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if complete:
            (folder / COMPLETE).write_text("{}")
    assert last_complete(tmp_path) == tmp_path / "checkpoint-10"
    remove_incomplete(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-2"]


def test_without_checkpoints_a_run_starts_at_the_beginning(tmp_path):
    assert last_complete(tmp_path / "nothing") is None


@pytest.mark.parametrize("name", ["optimizer.pt", "run_state.json", "model.safetensors"])
def test_a_checkpoint_that_was_damaged_is_named_with_the_way_on(tmp_path, name):
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    (folder / "run_state.json").write_text('{"step": 4}')
    torch.save({"a": torch.zeros(64)}, folder / "optimizer.pt")
    save_file({"a": torch.zeros(64)}, folder / "model.safetensors")
    check_readable(folder)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-5])
    with pytest.raises(
        UserError, match=rf"checkpoint-4/{name} cannot be read .*checkpoint-4 removed, and the run goes on"
    ):
        check_readable(folder)


@pytest.mark.medium
def test_a_state_that_is_no_runs_is_named_with_the_way_on(tmp_path):
    policy = save_policy(tmp_path / "policy")
    config = write_config(tmp_path / "config.json", settings(tmp_path / "run", policy, trainer={**SHAPE, "steps": 2}))
    assert script("train.py", str(config)).returncode == 0
    file = tmp_path / "run/checkpoints/checkpoint-2/run_state.json"
    size = file.stat().st_size
    for content in ('{"skips": [1]}', "[1, 2]"):
        file.write_text(content.ljust(size))
        done = script("train.py", str(config), "trainer.steps=4")
        assert done.returncode == 2, done.stderr
        assert "checkpoint-2 is no run's" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["optimizer.pt", "parts/training_args.bin"])
def test_a_file_that_a_finished_checkpoint_has_lost_is_named(tmp_path, name):
    folder = tmp_path / "checkpoint-4"
    (folder / "parts").mkdir(parents=True)
    torch.save({"a": torch.zeros(64)}, folder / "optimizer.pt")
    (folder / "parts" / "training_args.bin").write_bytes(b"1234")
    mark_complete(folder, 4)
    check_readable(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"checkpoint-4/{name} "):
        check_readable(folder)


def test_a_file_of_a_finished_checkpoint_that_was_cut_is_named(tmp_path):
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    (folder / "training_args.bin").write_bytes(b"1234")
    mark_complete(folder, 4)
    (folder / "training_args.bin").write_bytes(b"12")
    with pytest.raises(UserError, match=r"training_args\.bin .*2 bytes instead of 4"):
        check_readable(folder)

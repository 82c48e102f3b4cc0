"""Real faults in real runs: a full disk, a rank that dies or freezes, a checkpoint half written. One line, nothing that
was finished is lost, and the same command ends as an unbroken run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from small_runs import metrics, save_policy, script, settings, started, write_config

from rl.cli import outside_error
from rl.reports.report import write_report

TRAINER = {"steps": 6, "save_every": 2, "learning_rate": 1e-2, "keep_checkpoints": 2}
FULL = "No space left on device"


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "plug_in.py").write_text("def varied(rollout):\n    return sum(rollout.completion_ids) % 7 / 7\n")
    rewards = [{"name": "judge"}, {"name": "math"}, {"name": f"{folder}/plug_in.py:varied"}]
    raw = settings(folder / "run", save_policy(folder / "policy"), rewards=rewards, trainer=TRAINER)
    return write_config(folder / "config.json", raw)


def ends(folder: Path) -> tuple[bytes, list[dict[str, float]]]:
    return (folder / "model" / "model.safetensors").read_bytes(), metrics(folder)


@pytest.fixture(scope="module")
def whole(config) -> Path:
    run = config.parent / "whole"
    assert script("train.py", str(config), f"run_dir={run}").returncode == 0
    return run


def train(config: Path, run: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script("train.py", str(config), f"run_dir={run}", *arguments)


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    (line,) = [line for line in done.stderr.splitlines() if "error: " in line]
    assert "Traceback" not in done.stderr
    return line[line.index("error: ") :]


@pytest.mark.medium
def test_a_disk_that_is_full_for_the_metrics_ends_the_run_in_one_line_and_it_goes_on(tmp_path, config, whole):
    run = tmp_path / "run"
    kept, full = tmp_path / "kept.jsonl", tmp_path / "full"
    full.symlink_to("/dev/full")
    with started("train.py", str(config), f"run_dir={run}") as process:
        assert process.wait_until(lambda: (run / "checkpoints/checkpoint-2/complete.json").is_file())
        os.link(run / "metrics.jsonl", kept)
        full.rename(run / "metrics.jsonl")
        (done,) = process.ended()
    assert FULL in error_line(done)
    kept.replace(run / "metrics.jsonl")
    assert train(config, run).returncode == 0
    assert ends(run) == ends(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rollouts/step_000003.jsonl", "checkpoints/checkpoint-4/run_state.json"])
def test_a_disk_that_is_full_for_rollouts_or_a_checkpoint_ends_the_run_and_it_goes_on(tmp_path, config, whole, name):
    run = tmp_path / "run"
    place = run / f"{name}.part"
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/full")
    # Something of ours is there, or the folder would be taken for another program's.
    shutil.copy(whole / "model.settings.json", run / "model.settings.json")
    with started("train.py", str(config), f"run_dir={run}") as process:
        # A half-written checkpoint is cleared away at the start: it is there again, and full, once that is over.
        if process.wait_until(lambda: (run / "metrics.jsonl").is_file()) and not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to("/dev/full")
        (done,) = process.ended()
    assert FULL in error_line(done)
    place.unlink()
    again = train(config, run)
    assert again.returncode == 0, again.stderr
    if "checkpoint" in name:
        assert "checkpoint-4 was not written to its end: nothing of it is read" in again.stdout
        assert "resuming from" in again.stdout
        assert "checkpoint-2" in again.stdout
    assert ends(run) == ends(whole)


@pytest.mark.medium
def test_a_disk_that_is_full_for_the_report_leaves_the_report_of_before(tmp_path, whole):
    run = shutil.copytree(whole, tmp_path / "run")
    write_report(run)
    before = (run / "report.html").read_bytes()
    (run / "report.html.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=FULL) as caught:
        write_report(run)
    assert outside_error(caught.value).startswith(f"{FULL}: ")
    assert (run / "report.html").read_bytes() == before


@pytest.mark.slow
def test_wherever_a_small_disk_fills_up_the_run_ends_in_one_line_and_goes_on_with_room(tmp_path, config, whole):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no rights to mount a small disk")
    failed = 0
    try:
        for size in (64, 200, 300, 400, 500, 600, 800, 1000, 1200, 1500, 2000, 8000):
            subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
            done = train(config, disk / "run")
            if done.returncode == 0:
                break
            error_line(done)
            failed += 1
        assert failed >= 3
        assert ends(disk / "run") == ends(whole)
    finally:
        subprocess.run(["umount", disk], check=False)


@pytest.fixture(scope="module")
def whole_of_two(config) -> Path:
    run = config.parent / "whole2"
    with started("train.py", str(config), f"run_dir={run}", ranks=2) as process:
        assert [rank.returncode for rank in process.ended()] == [0, 0]
    return run


@pytest.mark.slow
@pytest.mark.parametrize(("number", "dead"), [(signal.SIGKILL, 0), (signal.SIGKILL, 1), (signal.SIGSTOP, 1)])
def test_where_a_rank_dies_or_freezes_the_other_ends_with_a_line(tmp_path, config, whole_of_two, number, dead):
    run = tmp_path / "run"
    arguments = ("train.py", str(config), f"run_dir={run}", "trainer.rank_timeout=8")
    with started(*arguments, ranks=2) as process:
        assert process.wait_until(lambda: (run / "checkpoints/checkpoint-2/complete.json").is_file())
        process.send(number, [dead])
        began = time.monotonic()
        process.processes[1 - dead].join(60)
        seconds = time.monotonic() - began
        assert process.processes[1 - dead].exitcode == 2
        told = process.files[1 - dead][1].read_text()
        process.send(signal.SIGKILL)
    assert seconds < 30
    assert "error: another rank is gone" in told
    assert "Traceback" not in told
    with started(*arguments, ranks=2) as process:
        assert [rank.returncode for rank in process.ended()] == [0, 0]
    assert ends(run) == ends(whole_of_two)


@pytest.mark.medium
def test_a_reward_that_hangs_without_a_limit_is_named_before_the_run(tmp_path, config):
    done = train(config, tmp_path / "run", "--dry-run")
    assert "reward 'varied' has no timeout_s" in done.stdout
    assert json.loads(config.read_text())["rewards"][2].get("timeout_s") is None
    assert not os.path.exists(tmp_path / "run" / "model")

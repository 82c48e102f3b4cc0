"""W&B unreachable, slow, full, killed or frozen: the files are complete, and nobody waits for long."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import LOADED, ROOT, environment
from wandb_jobs import KEY, KILL, STOP, log_steps, server

from rl.files.run_log import read_metrics

LIMIT_S = 4
HELPERS = f"{ROOT}:{ROOT / 'tests' / 'helpers'}"


def logged(folder: Path, mode: str, **environment: str) -> tuple[float, str]:
    """Seconds and output of a process that logs five steps; all of them are in its file."""
    began = time.monotonic()
    process = LOADED.Process(target=log_steps, args=(folder, mode, environment, 5, 0, LIMIT_S))
    process.start()
    process.join(120)
    assert process.exitcode == 0, (process.exitcode, (folder / "err").read_text())
    assert [record["step"] for record in read_metrics(folder / "run")] == [1, 2, 3, 4, 5]
    return time.monotonic() - began, (folder / "out").read_text() + (folder / "err").read_text()


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["gone", pytest.param("slow", marks=pytest.mark.slow), "full"])
def test_where_the_server_does_not_take_it_the_run_is_recorded_offline_and_the_key_is_nowhere(tmp_path, kind):
    with server(kind) as url:
        seconds, told = logged(tmp_path, "online", WANDB_BASE_URL=url, WANDB_API_KEY=KEY)
    assert seconds < 60
    assert "W&B cannot be reached" in told
    assert f"wandb sync {tmp_path}/run/wandb/offline-run-*-" in told
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_symlink() or not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert KEY not in told


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [KILL, STOP], ids=["killed", "frozen"])
def test_where_its_process_is_killed_or_frozen_the_run_logs_on_and_ends(tmp_path, trouble):
    job = f"from wandb_jobs import *; log_steps(Path({str(tmp_path)!r}), 'offline', {{}}, 3000, {trouble}, {LIMIT_S})"
    # A process as a user starts it, so that what W&B does at its end is part of it.
    subprocess.run([sys.executable, "-c", job], check=True, timeout=100, env=environment(PYTHONPATH=HELPERS))
    assert [record["step"] for record in read_metrics(tmp_path / "run")] == [*range(1, 3001)]
    assert "the run goes on with metrics.jsonl" in (tmp_path / "err").read_text()


@pytest.mark.slow
def test_where_the_disk_is_full_for_wandb_alone_the_run_logs_on_and_ends(tmp_path):
    disk = tmp_path / "run" / "wandb"
    disk.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no rights to mount a small disk")
    job = f"from wandb_jobs import *; log_steps(Path({str(tmp_path)!r}), 'offline', {{}}, 3000, 0, {LIMIT_S})"
    try:
        subprocess.run([sys.executable, "-c", job], check=True, timeout=100, env=environment(PYTHONPATH=HELPERS))
        assert [record["step"] for record in read_metrics(tmp_path / "run")] == [*range(1, 3001)]
        assert "the run goes on with metrics.jsonl" in (tmp_path / "err").read_text()
    finally:
        subprocess.run(["umount", disk], check=False)

"""The launchers on a cluster that only writes down what it is told: which ranks, which server, which addresses."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import ROOT

CONFIG = "configs/recipes/qwen3-8b-4-and-4.yaml"
TOLD = """#!/bin/sh
echo "$(basename "$0") $*" >> "$TOLD"
[ "$(basename "$0")" = curl ] && exec grep -q "vllm serve" "$TOLD"
[ "$(basename "$0")" = scontrol ] && [ "$1" = show ] && echo "$NODES" | tr ' ' '\\n'
case "$*" in *train.py*) until [ -z "$WAITS" ] || grep -q scancel "$TOLD"; do sleep 0.05; done ;; esac
exit 0
"""

pytestmark = pytest.mark.medium


def launched(
    script: str, folder: Path, *arguments: str, ends_at: str = "", **environment: str
) -> tuple[list[str], str, int]:
    """Run a launcher with Slurm's commands replaced; what they were told, what it printed, its exit code. It gets
    SIGTERM once they were told `ends_at`, and its ranks train until it cancels them."""
    for name in ("srun", "scontrol", "scancel", "curl"):
        (folder / name).write_text(TOLD)
        (folder / name).chmod(0o755)
    told = folder / "told"
    told.touch()
    settings = {"TOLD": str(told), "PATH": f"{folder}:{os.environ['PATH']}", "PYTHON": sys.executable, **environment}
    command = ["bash", str(ROOT / "scripts" / "cluster" / script), CONFIG, *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "WAITS": ends_at, **settings}, **streams) as process:
        while ends_at and ends_at not in told.read_text() and process.poll() is None:
            time.sleep(0.05)
        if ends_at:
            process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=120)
    return told.read_text().splitlines(), text, process.returncode


def slurm(nodes: str) -> dict[str, str]:
    return {"NODES": nodes, "SLURM_JOB_NODELIST": "n[1-9]", "SLURM_JOB_ID": "77", "SLURM_SUBMIT_DIR": str(ROOT)}


def test_one_node_of_several_serves_and_the_others_train(tmp_path):
    told, text, code = launched(
        "train_and_serve.sbatch", tmp_path, "seed=3", RUN_DIR=str(tmp_path), **slurm("n1 n2 n3")
    )
    assert code == 0, text
    (server,) = [line for line in told if line.startswith("srun --nodelist=n3 ")]
    assert "vllm serve Qwen/Qwen3-8B" in server
    assert "--max-model-len 8704 --tensor-parallel-size 8" in server
    (train,) = [line for line in told if line.startswith("srun --nodelist=n1,n2 ")]
    assert "--nodes=2 --ntasks=16 --ntasks-per-node=8" in train
    assert f"{CONFIG} seed=3 run_dir={tmp_path} rollout.vllm.server_url=http://n3:8000" in train
    assert "curl -sf http://n3:8000/health" in told


def test_the_server_is_that_of_the_settings_beside_the_configuration(tmp_path):
    longer = ("model.path=other/model", "rollout.max_new_tokens=16384")
    told, text, code = launched("train_and_serve.sbatch", tmp_path, *longer, RUN_DIR=str(tmp_path), **slurm("n1 n2 n3"))
    assert code == 0, text
    (server,) = [line for line in told if line.startswith("srun --nodelist=n3 ")]
    assert "vllm serve other/model" in server
    assert "--max-model-len 16896" in server


def test_a_job_queues_itself_again_until_the_model_is_written(tmp_path):
    told, text, code = launched("train.sbatch", tmp_path, RUN_DIR=str(tmp_path), **slurm("n1"))
    assert (code, told[-1]) == (0, "scontrol requeue 77"), text
    (tmp_path / "model").mkdir()
    (tmp_path / "told").unlink()
    # A run folder named as any other setting is the one that is looked at.
    named, text, code = launched("train.sbatch", tmp_path, f"run_dir={tmp_path}", **slurm("n1"))
    assert code == 0, text
    assert [line for line in named if "requeue" in line] == []
    (tmp_path / "told").unlink()
    told, text, code = launched("train.sbatch", tmp_path, RUN_DIR=str(tmp_path), **slurm("n1"))
    assert code == 0, text
    assert [line for line in told if "requeue" in line] == []


def test_before_its_time_is_over_the_ranks_save_while_the_server_still_answers_them(tmp_path):
    told, text, code = launched(
        "train_and_serve.sbatch", tmp_path, ends_at="train.py", RUN_DIR=str(tmp_path), **slurm("n1 n2")
    )
    assert (code, told[-2:]) == (0, ["scancel --signal=TERM 77.1", "scontrol requeue 77"]), text
    # The signal comes to the script alone: to every step it would end the server, and the step under way with it.
    assert "#SBATCH --signal=B:TERM@300" in (ROOT / "scripts/cluster/train_and_serve.sbatch").read_text()


def test_one_node_cannot_do_both(tmp_path):
    _, text, code = launched("train_and_serve.sbatch", tmp_path, **slurm("n1"))
    assert code == 2
    assert "allowed: two or more" in text


def test_by_ssh_a_machine_is_shared_between_server_and_ranks(tmp_path):
    _, text, code = launched("ssh.sh", tmp_path, "run_dir=a b", PRINT="1", SERVER_GPUS="4")
    assert code == 0, text
    server, ranks = text.splitlines()
    assert server.startswith("localhost: CUDA_VISIBLE_DEVICES=4,5,6,7 ")
    assert "--tensor-parallel-size 4" in server
    words = shlex.split(ranks)
    assert words[1] == "CUDA_VISIBLE_DEVICES=0,1,2,3"
    assert "--nproc_per_node=4" in words
    assert words[-3:] == [CONFIG, "run_dir=a b", "rollout.vllm.server_url=http://localhost:8000"]


def test_by_ssh_a_host_of_several_serves(tmp_path):
    _, text, code = launched("ssh.sh", tmp_path, PRINT="1", SERVER_GPUS="8", HOSTS="a b c")
    assert code == 0, text
    assert [line.partition(":")[0] for line in text.splitlines()] == ["c", "a", "b"]
    assert "--nnodes=2 --node_rank=1 --nproc_per_node=8 --master_addr=a" in text.splitlines()[2]
    _, text, code = launched("ssh.sh", tmp_path, PRINT="1", SERVER_GPUS="4", HOSTS="a b c")
    assert code == 2
    assert "SERVER_GPUS is 4; allowed: 8" in text

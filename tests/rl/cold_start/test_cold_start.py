"""The cold start as a command: killed and started again, on two ranks, dry."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_runs import ROOT, environment, save_policy, script, settings, write_config
from transformers import AutoModelForCausalLM

from rl.cold_start.gears import cold_start
from rl.config.read import parse_config
from rl.files.row_store import read_rows
from rl.training.checkpoints import COMPLETE, last_complete
from rollout.errors import UserError

GEARS = {"manual_steps": 30, "automatic_steps": 2, "manual_share": 0.5}
START = {"problems": 60, "batch": 8, "learning_rate": 1e-2, "warmup_steps": 2, "max_length": 64, "save_every": 5}
# Any well-formed answer is right: what a policy of seconds can reach.
EASY = "def right(rollout):\n    return 1.0 if rollout.status == 'ok' else 0.0\n"


def raw_config(tmp_path: Path, **start) -> dict:
    save_policy(tmp_path / "policy")
    (tmp_path / "easy.py").write_text(EASY)
    return settings(
        tmp_path / "run",
        tmp_path / "policy",
        protocol={"tags": {"think": ";", "no_think": "="}},
        rollout={"max_new_tokens": 40, "max_prompt_tokens": 20},
        label={"samples": 2, "batch": 4},
        rewards=[{"name": "judge"}, {"name": f"{tmp_path}/easy.py:right"}],
        cold_start={**START, **start},
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder / "cold_start" / "model").state_dict()


def test_a_damaged_checkpoint_is_named_before_anything_is_loaded(tmp_path):
    config = parse_config(raw_config(tmp_path))
    checkpoint = tmp_path / "run" / "cold_start" / "checkpoints" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / COMPLETE).write_text("{}")
    (checkpoint / "model.safetensors").write_bytes((tmp_path / "policy" / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"checkpoint-5/model\.safetensors cannot be read .* removed"):
        cold_start(config)


def test_a_checkpoint_that_nothing_tells_of_is_not_gone_on_from(tmp_path):
    """It may be another task's: a folder that was copied, or whose record was removed."""
    config = parse_config(raw_config(tmp_path))
    checkpoint = tmp_path / "run" / "cold_start" / "checkpoints" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / COMPLETE).write_text("{}")
    (checkpoint / "model.safetensors").write_bytes((tmp_path / "policy" / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="checkpoint-5 is there"):
        cold_start(config)
    assert not (tmp_path / "run" / "cold_start" / "model").exists()
    assert checkpoint.is_dir()


def kill_when(config: Path, run_dir: Path, reached) -> None:
    """Start the command and SIGKILL it as soon as `reached()`."""
    command = [sys.executable, str(ROOT / "scripts/cold_start.py"), str(config), f"run_dir={run_dir}"]
    process = subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None and not reached():
        time.sleep(0.01)
    assert reached()
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_cold_start_killed_in_each_stage_ends_as_an_unbroken_one_and_keeps_its_rows(tmp_path):
    raw = raw_config(tmp_path, gears=GEARS)
    config, broken = write_config(tmp_path / "config.json", raw), tmp_path / "broken"
    manual, answers = broken / "cold_start" / "manual", broken / "cold_start" / "automatic-0.jsonl"
    kill_when(config, broken, lambda: last_complete(manual / "checkpoints") is not None)
    assert not (manual / "model").exists()
    (manual / "checkpoints" / "checkpoint-29").mkdir()  # what a process killed while it saves leaves behind
    kill_when(config, broken, lambda: len(read_rows(answers)) >= 3)
    kept = answers.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert 3 <= len(kept.splitlines()) < 40
    done = script("cold_start.py", str(config), f"run_dir={broken}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "manual gear: already finished" in done.stdout
    assert answers.read_bytes().startswith(kept)
    assert len(read_rows(answers)) == 40
    # In a process of its own too: the same threads, so the same sums to the last bit.
    done = script("cold_start.py", str(config), f"run_dir={tmp_path / 'whole'}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert answers.read_bytes() == (tmp_path / "whole" / "cold_start" / "automatic-0.jsonl").read_bytes()
    whole, resumed = weights(tmp_path / "whole"), weights(broken)
    for name in whole:
        torch.testing.assert_close(whole[name], resumed[name], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_two_ranks_train_what_one_trains_and_share_the_sampling(tmp_path):
    raw = raw_config(tmp_path, gears={**GEARS, "manual_steps": 20}, save_every=3)
    config = write_config(tmp_path / "config.json", raw)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "scripts/cold_start.py"), str(config), f"run_dir={tmp_path / 'two'}"]
    done = subprocess.run(
        command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.count("cold start: ") == 1  # the last line, from the main rank alone
    rows = [read_rows(tmp_path / "two" / "cold_start" / f"automatic-{rank}.jsonl") for rank in (0, 1)]
    assert [len(one) for one in rows] == [20, 20]
    assert len({row["id"] for one in rows for row in one}) == 40
    one = parse_config({**raw, "run_dir": str(tmp_path / "one")})
    cold_start(one, manual_only=True)
    first, second = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name / "cold_start" / "manual" / "model").state_dict()
        for name in ("one", "two")
    )
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "policy").state_dict()
    assert max((first[name] - start[name]).abs().max().item() for name in first) > 1e-2
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=2e-5)


@pytest.mark.medium
def test_a_cold_start_that_fails_its_gate_ends_with_code_1_and_keeps_its_model(tmp_path):
    raw = raw_config(tmp_path, steps=1, save_every=0, gate={"problems": 4, "min_accuracy": {"think": 0.9}})
    done = script("cold_start.py", str(write_config(tmp_path / "config.json", raw)))
    assert done.returncode == 1
    assert "gate failed: accuracy of think is 0.000; allowed: 0.9 or more; try" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "cold_start" / "model" / "config.json").is_file()

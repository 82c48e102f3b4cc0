"""Two ranks do what one does: gloo, and DeepSpeed ZeRO-2 and ZeRO-3, on the same recorded rollouts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import (
    ROOT,
    environment,
    metrics,
    recorded_groups,
    recorded_rollout,
    save_policy,
    settings,
    write_config,
    write_rollouts,
)
from transformers import AutoModelForCausalLM

from rollout.types import Problem

STEPS = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributed")
    policy = save_policy(folder / "policy")
    replay = write_rollouts(folder / "recorded.jsonl", recorded_groups())
    trainer = {"steps": STEPS, "prompts_per_step": 4, "micro_batch": 4, "learning_rate": 1e-3, "save_every": 2}
    raw = settings(folder / "run", policy, rollout={"replay": str(replay)}, trainer=trainer)
    return write_config(folder / "config.json", raw)


def launch(config: Path, name: str, ranks: int, *overrides: str) -> Path:
    run_dir = config.parent / name
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    command += [str(ROOT / "scripts/train.py"), str(config), f"run_dir={run_dir}", *overrides]
    done = subprocess.run(
        command,
        env=environment(DS_ACCELERATOR="cpu"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return run_dir


@pytest.fixture(scope="module")
def one_rank(config: Path) -> Path:
    return launch(config, "one", 1)


def assert_same_update(config: Path, one: Path, two: Path) -> None:
    start = AutoModelForCausalLM.from_pretrained(config.parent / "policy").state_dict()
    a = AutoModelForCausalLM.from_pretrained(one / "model").state_dict()
    b = AutoModelForCausalLM.from_pretrained(two / "model").state_dict()
    moved = max((a[name] - start[name]).abs().max().item() for name in a)
    assert moved > 1e-3
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=2e-5)


@pytest.mark.medium
def test_two_ranks_give_the_update_and_the_metrics_of_one(config, one_rank):
    two = launch(config, "two", 2)
    assert_same_update(config, one_rank, two)
    assert len(metrics(two)) == STEPS
    for one_record, two_record in zip(metrics(one_rank), metrics(two), strict=True):
        for key in ("reward/answer", "reward/judge", "advantage/judge_abs", "tokens/total", "history/problems"):
            assert one_record[key] == pytest.approx(two_record[key])
        assert one_record["grad_norm"] == pytest.approx(two_record["grad_norm"], rel=1e-4)


@pytest.mark.slow
def test_balanced_by_length_two_ranks_give_the_update_of_two_unbalanced_ones(config):
    """Thoughts of 9 to 66 tokens beside direct answers of 5, the longest all on the second rank."""
    folder = config.parent / "unequal"
    folder.mkdir()
    (folder / "policy").symlink_to(config.parent / "policy")
    problems = [Problem(f"p{i}", f"1{i} + 22", "math", answer=f"3{i}") for i in range(4)]
    groups = [
        [
            recorded_rollout(problem, "think", f"3{i}", forced=True, thinking="1+1" * 5 * (i + 1)),
            recorded_rollout(problem, "think", f"9{i}", thinking="2" * (i + 1)),
            recorded_rollout(problem, "no_think", f"3{i}", forced=True),
            recorded_rollout(problem, "no_think", f"3{i}"),
        ]
        for i, problem in enumerate(problems)
    ]
    replay = write_rollouts(folder / "recorded.jsonl", groups)
    raw = {**json.loads(config.read_text()), "algorithm": {"name": "step_srpo"}}
    raw["rollout"]["replay"] = str(replay)
    raw["trainer"]["micro_batch"] = 2
    unequal = write_config(folder / "config.json", raw)
    balanced, plain = (launch(unequal, str(on), 2, f"trainer.balance={on}") for on in ("true", "false"))
    assert_same_update(unequal, balanced, plain)
    for ours, theirs in zip(metrics(balanced), metrics(plain), strict=True):
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_deepspeed_gives_the_update_of_one_rank(config, one_rank, stage):
    two = launch(config, stage, 2, f"trainer.deepspeed={ROOT}/configs/deepspeed/{stage}.json")
    assert_same_update(config, one_rank, two)
    assert len(metrics(two)) == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["", "zero2", "zero3"], ids=["gloo", "zero2", "zero3"])
def test_cut_by_tokens_two_ranks_give_the_update_of_one(config, one_rank, stage):
    settings = [f"trainer.deepspeed={ROOT}/configs/deepspeed/{stage}.json"] if stage else []
    two = launch(config, f"cut{stage}", 2, "trainer.micro_tokens=60", "trainer.micro_batch=0", *settings)
    assert_same_update(config, one_rank, two)
    for ours, theirs in zip(metrics(two), metrics(one_rank), strict=True):
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["", "zero3"], ids=["gloo", "zero3"])
def test_the_kl_on_two_ranks_is_that_of_one_and_begins_at_zero(config, stage):
    one = launch(config, f"kl_one_{stage}", 1, "trainer.kl=0.5")
    sharded = [f"trainer.deepspeed={ROOT}/configs/deepspeed/{stage}.json"] if stage else []
    two = launch(config, f"kl_two_{stage}", 2, "trainer.kl=0.5", *sharded)
    assert_same_update(config, one, two)
    found, expected = ([record["kl"] for record in metrics(run)] for run in (two, one))
    assert found[0] == pytest.approx(0.0, abs=1e-9)
    assert found[1] == pytest.approx(expected[1], rel=1e-3)
    assert expected[1] > 1e-7


@pytest.mark.slow
def test_two_ranks_with_engines_beside_them_go_on_with_the_round_in_flight(config):
    raw = json.loads(config.read_text())
    raw["rollout"] |= {"replay": "", "engine": "hf_process", "ahead": 1}
    raw["trainer"] |= {"steps": 4, "keep_checkpoints": 9}
    drawn = write_config(config.parent / "ahead.json", raw)
    whole = launch(drawn, "ahead", 2)
    assert [record["engine/staleness"] for record in metrics(whole)] == [0, 1, 1, 1]
    broken = config.parent / "ahead-broken"
    shutil.copytree(whole, broken)
    shutil.rmtree(broken / "model")
    shutil.rmtree(broken / "checkpoints" / "checkpoint-4")
    launch(drawn, "ahead-broken", 2)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (broken, whole)]
    assert weights[0] == weights[1]
    assert metrics(broken) == metrics(whole)

"""Two ranks do what one does: gloo, and DeepSpeed ZeRO-1 to ZeRO-3, full and with adapters, on the same recorded
rollouts; checkpoints on another number of ranks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
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

from rl.curriculum.rehearsal import IGNORE, keep_rehearsal
from rollout.types import Problem

STEPS = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributed")
    policy = save_policy(folder / "policy")
    groups = recorded_groups()
    replay = write_rollouts(folder / "recorded.jsonl", groups)
    whole = [((*r.prompt_ids, *r.completion_ids), len(r.prompt_ids)) for group in groups for r in group]
    rows = [{"input_ids": ids, "labels": (*[IGNORE] * prompt, *ids[prompt:])} for ids, prompt in whole]
    keep_rehearsal(policy, rows, seed=0)
    trainer = {"steps": STEPS, "prompts_per_step": 4, "micro_batch": 4, "learning_rate": 1e-3, "save_every": 2}
    raw = settings(folder / "run", policy, rollout={"replay": str(replay)}, trainer=trainer)
    return write_config(folder / "config.json", raw)


def start(config: Path, name: str, ranks: int, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    command += [str(ROOT / "scripts/train.py"), str(config), f"run_dir={config.parent / name}", *overrides]
    quiet = environment(DS_ACCELERATOR="cpu")
    return subprocess.run(command, env=quiet, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


def launch(config: Path, name: str, ranks: int, *overrides: str) -> Path:
    done = start(config, name, ranks, *overrides)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return config.parent / name


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
        for key in (
            "reward/answer",
            "reward/judge",
            "advantage/judge_abs",
            "tokens/total",
            "history/problems",
            "rehearsal/loss",
        ):
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


@pytest.fixture(scope="module")
def one_rank_with_adapters(config: Path) -> Path:
    return launch(config, "one_lora", 1, "model.lora.rank=4")


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [0, 4], ids=["full", "lora"])
@pytest.mark.parametrize("stage", ["", "zero1", "zero2", "zero3"], ids=["gloo", "zero1", "zero2", "zero3"])
def test_two_ranks_give_the_update_of_one_full_and_with_adapters(request, config, stage, adapters):
    one = request.getfixturevalue("one_rank_with_adapters" if adapters else "one_rank")
    sharded = [f"trainer.deepspeed={ROOT}/configs/deepspeed/{stage}.json"] if stage else []
    two = launch(config, f"{stage}-{adapters}", 2, f"model.lora.rank={adapters}", *sharded)
    assert_same_update(config, one, two)
    assert len(metrics(two)) == STEPS
    assert sorted(file.name for file in (two / "model").glob("*.safetensors")) == ["model.safetensors"]


SPOILED = """
import numpy as np

def advantages(group):
    value = np.nan if group.progress == 0 and group.lengths_G.max() > 20 else 1.0
    return value * np.sign(group.rewards_G - 0.5), np.zeros(len(group.modes))
"""


@pytest.fixture(scope="module")
def spoiled(config) -> tuple[str, Path]:
    """An algorithm whose loss is no number in the first step for the longest problem alone, and one rank with it."""
    (config.parent / "spoiled.py").write_text(SPOILED)
    algorithm = f"algorithm={{name: {config.parent}/spoiled.py:advantages}}"
    return algorithm, launch(config, "spoiled_one", 1, algorithm)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["", "zero2", "zero3"], ids=["gloo", "zero2", "zero3"])
def test_a_loss_that_is_not_finite_on_one_rank_is_an_update_of_none(config, spoiled, stage):
    algorithm, one = spoiled
    sharded = [f"trainer.deepspeed={ROOT}/configs/deepspeed/{stage}.json"] if stage else []
    two = launch(config, f"spoiled_{stage}", 2, algorithm, *sharded)
    for run in (one, two):
        assert [record["update/skipped"] for record in metrics(run)] == [1, 1]
        assert [record["step"] for record in metrics(run) if "loss" in record] == [2]
    assert_same_update(config, one, two)


def texts(run: Path, step: int) -> list[tuple[str, list[int]]]:
    lines = (run / "rollouts" / f"step_{step:06d}.jsonl").read_text().splitlines()
    return [(row["problem"]["id"], row["completion_ids"]) for row in map(json.loads, lines)]


@pytest.mark.slow
def test_rollouts_under_sharded_weights_are_those_under_whole_ones(config):
    sampled = ("rollout.replay=", "trainer.steps=1", "trainer.save_every=1")
    plain = launch(config, "sampled", 2, *sampled)
    sharded = launch(config, "sampled3", 2, *sampled, f"trainer.deepspeed={ROOT}/configs/deepspeed/zero3.json")
    assert texts(sharded, 1) == texts(plain, 1)
    assert len({tuple(ids) for _, ids in texts(plain, 1)}) > 4


@pytest.mark.slow
def test_a_checkpoint_goes_on_with_another_number_of_ranks_and_says_what_that_means(config):
    """Problems, history and moments go on where they were; what is drawn from there on is drawn otherwise."""
    sampled = ("rollout.replay=", "trainer.steps=4", "trainer.save_every=2")
    whole = launch(config, "world", 2, *sampled)
    run = config.parent / "fewer"
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns("checkpoint-4", "model"))
    done = start(config, run.name, 1, *sampled)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ranks is 1 now, 2 before" in done.stdout
    assert "bit for bit what an unbroken run gives up to there, and not from there on" in done.stdout
    for step in (1, 2):
        assert texts(run, step) == texts(whole, step)
    for step in (3, 4):
        asked = [{name for name, _ in texts(folder, step)} for folder in (run, whole)]
        assert asked[0] == asked[1]
    histories = [
        json.loads((folder / "checkpoints/checkpoint-4/pass_history.json").read_text()) for folder in (run, whole)
    ]
    assert set(histories[0]) == set(histories[1])
    moments = torch.load(run / "checkpoints/checkpoint-4/optimizer.pt", weights_only=True)["state"]
    assert {int(moment["step"]) for moment in moments.values()} == {4}
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "checkpoints" / "checkpoint-4")
    assert "ranks is 2 now, 1 before" in start(config, run.name, 2, *sampled).stdout


@pytest.mark.slow
def test_zero_parts_of_another_number_of_ranks_are_refused_with_the_command_that_makes_them_whole(config, tmp_path):
    zero = f"trainer.deepspeed={ROOT}/configs/deepspeed/zero2.json"
    run = launch(config, "parts", 2, zero)
    shutil.rmtree(run / "model")
    refused = start(config, "parts", 1, zero, "trainer.steps=3")
    assert refused.returncode != 0
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    checkpoint = run / "checkpoints" / "checkpoint-2"
    command = f"python {checkpoint}/zero_to_fp32.py {checkpoint} DIR"
    assert "ZeRO parts of 2 ranks, and this is 1 rank(s)" in line
    assert command in line
    told = command.replace("python ", f"{sys.executable} ").replace(" DIR", f" {tmp_path}/whole")
    subprocess.run(told.split(), env=environment(DS_ACCELERATOR="cpu"), check=True, capture_output=True, timeout=280)
    made = torch.load(tmp_path / "whole" / "pytorch_model.bin", weights_only=True)
    saved = load_file(checkpoint / "model.safetensors")
    assert all(torch.equal(made[name], saved[name]) for name in saved)


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

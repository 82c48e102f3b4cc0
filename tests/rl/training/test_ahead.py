"""One round ahead: which weights draw a round, what a checkpoint holds of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from small_runs import metrics, save_policy, script, settings, small_config, write_config
from trainer_setups import quiet_setup
from transformers import AutoModelForCausalLM

from rl.algorithms.configured import configured_algorithm
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.training.ahead import ahead_lines
from rl.training.checkpoints import AHEAD
from rl.training.run import train
from rollout.types import Rollout, rollout_from_json

# A random policy is always wrong; this reward differs from row to row, so that every update moves the weights.
VARIETY = """
def variety(rollout):
    return len(set(rollout.completion_ids)) / 16
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def run(folder: Path, policy: Path, **sections) -> Path:
    """A finished run of five steps that all move."""
    plug_in = policy / "variety.py"
    plug_in.write_text(VARIETY)
    rewards = [{"name": "judge"}, {"name": "math"}, {"name": f"{plug_in}:variety", "step": "answer"}]
    rollout = {"ahead": 1, **sections.pop("rollout", {})}
    trainer = {"steps": 5, "learning_rate": 2e-2, **sections.pop("trainer", {})}
    train(quiet_setup(small_config(folder, policy, rewards=rewards, rollout=rollout, trainer=trainer, **sections)))
    return folder


def cut_off(whole: Path, broken: Path, step: int) -> None:
    """What a run that was killed after the checkpoint of `step` had left."""
    shutil.copytree(whole, broken)
    shutil.rmtree(broken / "model")
    for checkpoint in (broken / "checkpoints").glob("checkpoint-*"):
        if checkpoint.name != f"checkpoint-{step}":
            shutil.rmtree(checkpoint)


def rollouts_of(run: Path, step: int) -> list[Rollout]:
    lines = (run / "rollouts" / f"step_{step:06d}.jsonl").read_text().splitlines()
    return [rollout_from_json(json.loads(line)) for line in lines]


def gap(weights: Path, rollouts: list[Rollout]) -> float:
    """Mean absolute difference between the recorded log-probabilities and those of a forward pass of these weights."""
    model, gaps = AutoModelForCausalLM.from_pretrained(weights).eval(), []
    for rollout in rollouts:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]])).logits[0]
        logp = logits[len(rollout.prompt_ids) - 1 : -1].log_softmax(-1)
        taken = logp.gather(1, torch.tensor(rollout.completion_ids).unsqueeze(1)).squeeze(1)
        gaps.append((taken - torch.tensor(rollout.logprobs)).abs().mean().item())
    return sum(gaps) / len(gaps)


@pytest.fixture(scope="module")
def whole(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("ahead") / "run", policy, trainer={"save_every": 1, "keep_checkpoints": 9})


@pytest.mark.medium
def test_each_round_is_drawn_from_the_weights_before_the_last_update(whole, policy):
    after = [policy, *(whole / "checkpoints" / f"checkpoint-{step}" for step in (1, 2, 3))]
    gaps = [[gap(weights, rollouts_of(whole, step)) for weights in after] for step in (1, 2, 3, 4)]
    drew = [[round(value, 4) == 0 for value in row] for row in gaps]
    assert drew == [
        [True, False, False, False],
        [True, False, False, False],
        [False, True, False, False],
        [False, False, True, False],
    ]


@pytest.mark.medium
def test_staleness_and_what_the_correction_bridges_are_logged(whole):
    records = metrics(whole)
    assert [record["engine/staleness"] for record in records] == [0, 1, 1, 1, 1]
    assert records[0]["engine/logprob_gap"] < 1e-5
    assert all(record["engine/logprob_gap"] > 1e-3 for record in records[1:])


@pytest.mark.medium
def test_a_checkpoint_holds_the_round_in_flight_and_the_last_one_none(whole):
    stored = json.loads((whole / "checkpoints" / "checkpoint-2" / AHEAD).read_text())
    assert (stored["version"], stored["forced_share"]) == (1, 0.75)
    assert len(stored["rollouts"]) == 16
    third = [(r.problem.id, r.completion_ids, r.logprobs) for r in rollouts_of(whole, 3)]
    found = [rollout_from_json(record) for record in stored["rollouts"]]
    assert [(r.problem.id, r.completion_ids, r.logprobs) for r in found] == third
    assert not (whole / "checkpoints" / "checkpoint-5" / AHEAD).exists()


def compare(whole: Path, broken: Path) -> None:
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (broken, whole)]
    assert weights[0] == weights[1]
    assert metrics(broken) == metrics(whole)


@pytest.mark.medium
def test_a_run_that_goes_on_trains_on_the_stored_round_and_ends_as_an_unbroken_one(whole, policy, tmp_path):
    broken = tmp_path / "run"
    cut_off(whole, broken, 2)
    run(broken, policy, trainer={"save_every": 1, "keep_checkpoints": 9})
    compare(whole, broken)


@pytest.mark.medium
def test_so_does_one_whose_order_follows_what_was_observed_with_two_updates_a_round_and_phases(policy, tmp_path):
    sections = {
        "history": {"resample": "srpo"},
        "stages": [{"steps": 4}, {"steps": 4, "max_new_tokens": 12, "forced_share": 0.5}],
        "data": {"train_size": 8},
        "guard": {"action": "floor", "patience": 1},
    }
    shape = {"steps": 8, "iterations": 2, "save_every": 2, "keep_checkpoints": 9}
    whole = run(tmp_path / "whole" / "run", policy, trainer=shape, **sections)
    staleness = [record.get("engine/staleness") for record in metrics(whole)]
    assert staleness == [0, None, 2, None, 2, None, 2, None]
    assert {len(r.completion_ids) <= 12 for r in rollouts_of(whole, 5)} == {True}
    broken = tmp_path / "broken" / "run"
    cut_off(whole, broken, 4)
    run(broken, policy, trainer=shape, **sections)
    compare(whole, broken)


@pytest.mark.slow
@pytest.mark.parametrize("lora", [0, 4], ids=["full", "lora"])
def test_so_does_one_whose_engine_has_a_process_of_its_own(policy, tmp_path, lora):
    sections = {"model": {"path": str(policy), "lora": {"rank": lora}}, "rollout": {"engine": "hf_process"}}
    trainer = {"save_every": 2, "keep_checkpoints": 9}
    whole = run(tmp_path / "whole" / "run", policy, trainer=trainer, **sections)
    assert [record["engine/staleness"] for record in metrics(whole)] == [0, 1, 1, 1, 1]
    broken = tmp_path / "broken" / "run"
    cut_off(whole, broken, 2)
    run(broken, policy, trainer=trainer, **sections)
    compare(whole, broken)


KILLER = """
import os
from pathlib import Path

def killer(rollout):
    if Path(__file__).with_name("armed").exists():
        for pid in {p for f in Path("/proc/self/task").glob("*/children") for p in f.read_text().split()}:
            if b"process_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), 9)
    return 0.0
"""


@pytest.mark.slow
def test_an_engine_that_dies_ends_the_run_with_a_line_and_the_same_command_goes_on(policy, tmp_path):
    plug_in = tmp_path / "killer.py"
    plug_in.write_text(KILLER)
    rewards = [{"name": "judge"}, {"name": "math"}, {"name": f"{plug_in}:killer", "step": "answer"}]
    sections = {"rewards": rewards, "rollout": {"engine": "hf_process", "ahead": 1}}
    config = write_config(tmp_path / "config.json", settings(tmp_path / "run", policy, **sections))
    (tmp_path / "armed").touch()
    died = script("train.py", str(config))
    assert died.returncode == 2
    (line,) = [line for line in died.stderr.splitlines() if line.startswith("error:")]
    assert "ended by SIGKILL" in line
    (tmp_path / "armed").unlink()
    again = script("train.py", str(config))
    assert again.returncode == 0, again.stderr
    assert [record["step"] for record in metrics(tmp_path / "run")] == [1, 2, 3]


def test_what_cannot_go_with_a_round_ahead_is_refused():
    with pytest.raises(ConfigError, match=r"rollout\.ahead is 1 with rollout\.replay"):
        parse_config({"rollout": {"ahead": 1, "replay": "rollouts.jsonl"}})
    with pytest.raises(ConfigError, match=r"rollout\.ahead is 1 with rollout\.vllm\.sleep"):
        parse_config({"rollout": {"ahead": 1, "engine": "vllm", "vllm": {"sleep": True}}})
    with pytest.raises(ConfigError, match=r"rollout\.ahead is 2; allowed: .*0 to 1"):
        parse_config({"rollout": {"ahead": 2}})
    importance = parse_config(
        {"rollout": {"ahead": 1}, "algorithm": {"name": "step_srpo", "forced_switch": "importance"}}
    )
    with pytest.raises(ConfigError, match=r"forced_switch is 'importance' with rollout\.ahead 1"):
        configured_algorithm(importance)


def test_an_engine_that_is_no_copy_says_that_nothing_overlaps(tmp_path):
    told = {
        engine: ahead_lines(parse_config(settings(tmp_path, tmp_path, rollout={"engine": engine, "ahead": 1})))
        for engine in ("hf", "hf_process")
    }
    assert ["nothing overlaps" in line for line in told["hf"]] == [True]
    assert ["nothing overlaps" in line for line in told["hf_process"]] == [False]
    assert ahead_lines(parse_config(settings(tmp_path, tmp_path))) == []

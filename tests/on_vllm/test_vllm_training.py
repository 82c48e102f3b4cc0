"""`scripts/train.py` with the vLLM engine: three steps whose rollouts come from the weights of the step before."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from small_runs import metrics, save_policy, script, settings, write_config
from transformers import AutoModelForCausalLM

from rollout.types import rollout_from_json


def logprob_gap(model, rollouts) -> float:
    """Mean absolute difference between the recorded log-probabilities and those of a forward pass of `model`."""
    gaps = []
    for rollout in rollouts:
        ids = torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]])
        with torch.no_grad():
            logp = model(input_ids=ids).logits[0, len(rollout.prompt_ids) - 1 : -1].log_softmax(-1)
        taken = logp.gather(1, torch.tensor(rollout.completion_ids).unsqueeze(1)).squeeze(1)
        gaps += (taken - torch.tensor(rollout.logprobs)).abs().tolist()
    return sum(gaps) / len(gaps)


VARIETY = """
def variety(rollout):
    return len(set(rollout.completion_ids)) / 16
"""


def trained(tmp_path, policy, lora=0, **rollout):
    """A run of three steps; its records, and the rollouts of the third."""
    plug_in = tmp_path / "variety.py"
    plug_in.write_text(VARIETY)  # a random policy is always wrong; this differs from row to row
    raw = settings(
        tmp_path / "run",
        policy,
        model={"lora": {"rank": lora}},
        rewards=[{"name": "judge"}, {"name": "math"}, {"name": f"{plug_in}:variety", "step": "answer"}],
        rollout={"engine": "vllm", "vllm": {"eager": True}, **rollout},
        trainer={"learning_rate": 2e-2, "save_every": 1, "keep_checkpoints": 3},
    )
    done = script("train.py", str(write_config(tmp_path / "config.json", raw)), timeout=2000)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    records = metrics(tmp_path / "run")
    assert [record["step"] for record in records] == [1, 2, 3]
    lines = (tmp_path / "run" / "rollouts" / "step_000003.jsonl").read_text().splitlines()
    third = [rollout_from_json(json.loads(line)) for line in lines]
    assert len(third) == 16
    return records, third


def test_a_round_ahead_is_sampled_in_a_process_of_its_own_from_the_weights_before_the_last_update(tmp_path):
    policy = save_policy(tmp_path / "policy", hidden=128)
    records, third = trained(tmp_path, policy, ahead=1)
    assert [record["engine/staleness"] for record in records] == [0, 1, 1]
    checkpoints = [tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" for step in (1, 2)]
    gaps = [logprob_gap(AutoModelForCausalLM.from_pretrained(folder).eval(), third) for folder in checkpoints]
    assert gaps[0] < 1e-4
    assert gaps[1] > 0.01


@pytest.mark.parametrize("lora", [0, 4], ids=["full", "lora"])
def test_three_steps_are_sampled_from_the_policy_of_the_step_before(tmp_path, lora):
    policy = save_policy(tmp_path / "policy", hidden=128)
    records, third = trained(tmp_path, policy, lora)
    assert all(record["engine/logprob_gap"] < 1e-4 and record["engine/ratio_cut"] == 0 for record in records)
    start = AutoModelForCausalLM.from_pretrained(policy).eval()
    assert logprob_gap(start, third) > 0.01
    second = tmp_path / "run" / "checkpoints" / "checkpoint-2"
    before = PeftModel.from_pretrained(start, second) if lora else AutoModelForCausalLM.from_pretrained(second)
    assert logprob_gap(before.eval(), third) < 1e-4

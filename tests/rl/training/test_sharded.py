"""torch's `fully_shard`, which `trainer.fsdp` uses on GPUs, on a CPU mesh of two processes: the loss and its gradient,
the rollouts, the weights that an engine is sent and the final model are those of the whole model."""

from __future__ import annotations

import json

import pytest
from small_runs import LOADED, free_port, save_policy, script, settings, write_config
from transformers import AutoModelForCausalLM


@pytest.mark.slow
def test_a_sharded_model_scores_decodes_and_is_saved_as_the_whole_one(tmp_path):
    from sharded_jobs import sharded

    policy, port = save_policy(tmp_path / "policy"), free_port()
    ranks = [LOADED.Process(target=sharded, args=(rank, port, tmp_path, policy)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(200)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert {name: found[name] for name in ("sharded", "smaller", "rows", "read")} == dict.fromkeys(
            ("sharded", "smaller", "rows", "read"), True
        )
        assert found["gradient"] < 1e-6 < found["largest"]
    before, after = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("policy", "model"))
    assert all(before[name].equal(after[name]) for name in before)


@pytest.mark.medium
def test_without_a_gpu_fsdp_is_refused_in_one_line(tmp_path):
    raw = settings(tmp_path / "run", save_policy(tmp_path / "policy"), trainer={"fsdp": True})
    done = script("train.py", str(write_config(tmp_path / "config.json", raw)))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    for part in ("trainer.fsdp is true", "no GPU", "allowed: false, or trainer.deepspeed"):
        assert part in done.stderr
    assert not (tmp_path / "run").exists()

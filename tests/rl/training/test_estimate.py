"""A dry run says how long a run takes and how much it needs."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from small_runs import save_policy, small_config
from trainer_setups import quiet_setup

from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.training.estimate import Timed, checkpoint_bytes, estimate, time_lines
from rl.training.run import train

# 8 rollouts with prompts of 10 tokens and responses of 20: 2 s of decoding, 1 s of rewards, 3 s of update.
TIMED = Timed(rows=8, prompt=10, response=20, rollout=2.0, reward=1.0, update=3.0)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


def test_decoding_grows_with_the_responses_and_the_update_with_whole_rows():
    assert TIMED.at(80) == Timed(rows=8, prompt=10, response=80, rollout=8.0, reward=1.0, update=9.0)


def test_hours_of_all_stages_by_hand():
    config = parse_config(
        {
            "rollout": {"max_new_tokens": 80, "max_prompt_tokens": 20},
            "trainer": {"steps": 100, "iterations": 2, "save_every": 2},
            "cold_start": {"steps": 50, "batch": 16},
            "evaluation": {"problems": 100},
            "label": {"samples": 4, "problems": 30},
        }
    )
    short, full, total = time_lines(config, TIMED, 1000)
    assert short.startswith(
        "a step of 8 rollouts: 6.0 s at 20 tokens a response (rollouts 2.0, rewards 1.0, update 3.0)"
    )
    assert full == "a step with every response at its cap of 80 tokens: 18.0 s"
    # RL 50 x 9 s + 100 x 9 s; cold start 50 x 16 rows of 9/8 s; 600 answers and 240 labels of 1 s.
    assert total == (
        "at most: RL 22.5 minutes (100 steps), cold start 15.0 minutes (50 steps), evaluations 10.0 "
        "minutes, labels of the pipeline 4.0 minutes, together 51.5 minutes"
    )


def test_the_probes_of_a_run_are_part_of_its_hours():
    config = parse_config(
        {
            "rollout": {"max_new_tokens": 80, "max_prompt_tokens": 20},
            "trainer": {"steps": 100},
            "evaluation": {"problems": 100, "every": 25, "probe": 10},
        }
    )
    # 600 answers, and 30 each of the probes at 0, 25, 50, 75, 100 and the end, 1 s an answer.
    assert "evaluations 13.0 minutes" in time_lines(config, TIMED, 1000)[2]


@pytest.mark.medium
def test_a_round_and_an_update_are_timed_and_nothing_is_left(tmp_path, policy):
    lines: list[str] = []
    estimate(quiet_setup(small_config(tmp_path / "run", policy)), lines.append)
    assert [line.split(":")[0] for line in lines] == [
        "checkpoints",
        "a step of 16 rollouts",
        "a step with every response at its cap of 16 tokens",
        "at most",
        "peak memory",
    ]
    assert not (tmp_path / "run").exists()


def test_a_disk_without_room_for_the_checkpoints_is_told(tmp_path, policy):
    setup = quiet_setup(small_config(tmp_path / "run", policy, trainer={"keep_checkpoints": 10**12}))
    with pytest.raises(ConfigError, match=r"checkpoints need .* GiB are free; allowed: another run_dir"):
        estimate(setup, lambda line: None)


def test_the_bytes_of_checkpoints_by_hand(tmp_path, policy):
    setup = quiet_setup(small_config(tmp_path / "run", policy))
    weights = sum(p.numel() for p in setup.model.parameters())
    # keep_checkpoints is 2: three at most with weights of 4 bytes and two moments of 4, and the final weights.
    assert checkpoint_bytes(setup.config, setup.model) == 3 * 12 * weights + 4 * weights


@pytest.mark.medium
def test_the_checkpoints_of_adapters_are_small_and_fit_the_estimate(tmp_path, policy):
    config = small_config(tmp_path / "run", policy, model={"path": str(policy), "lora": {"rank": 2}})
    setup = quiet_setup(config)
    told = checkpoint_bytes(setup.config, setup.model)
    weights = sum(p.numel() for p in setup.model.parameters())
    matrices = [tuple(p.shape) for p in setup.model.parameters() if p.ndim == 2]
    (embeddings,) = {p.shape for p in (setup.model.get_input_embeddings().weight, setup.model.lm_head.weight)}
    adapters = sum(2 * (rows + columns) for rows, columns in matrices)
    assert told == 3 * (12 * adapters + 4 * embeddings.numel()) + 4 * weights
    train(setup)
    checkpoints = list((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))
    written = [tensor for folder in checkpoints for tensor in load_file(folder / "adapter_model.safetensors").values()]
    written += load_file(tmp_path / "run" / "model" / "model.safetensors").values()
    for folder in checkpoints:
        state = torch.load(folder / "optimizer.pt")["state"].values()
        written += [moments[name] for moments in state for name in ("exp_avg", "exp_avg_sq")]
    assert told / 2 < sum(tensor.nbytes for tensor in written) <= told

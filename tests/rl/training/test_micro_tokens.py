"""`trainer.micro_tokens`: the same update with fewer tokens at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_runs import recorded_groups, save_policy
from trainer_setups import replay_setup
from transformers import AutoModelForCausalLM

from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.training import scoring
from rl.training.run import build_trainer
from rollout.errors import UserError


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def trained(folder: Path, policy: Path, **settings):
    """Two rounds of two updates each by plain descent; the weights after them, and what happened in which order."""
    folder.mkdir()
    update = {"steps": 4, "iterations": 2, "save_every": 4, "kl": 0.1, "max_grad_norm": 1e9, "learning_rate": 0.3}
    algorithm = {"name": "step_srpo", "judge_replay": 0}
    setup = replay_setup(folder, policy, recorded_groups(), trainer={**update, **settings}, algorithm=algorithm)
    trainer = build_trainer(setup, 1)
    trainer.args.optim = "sgd"
    events: list[tuple[int, int] | str] = []
    backward = trainer.accelerator.backward

    def going_back(loss, **options):
        events.append("back")
        backward(loss, **options)

    def going_forth(module, arguments, named):
        if torch.is_grad_enabled():
            events.append(tuple(named["input_ids"].shape))

    trainer.accelerator.backward = going_back
    trainer.model.base_model.register_forward_pre_hook(going_forth, with_kwargs=True)
    trainer.train()
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}, events, trainer.state


@pytest.mark.medium
def test_cut_by_tokens_the_update_is_that_of_all_rows_at_once(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(scoring, "FORWARD_PRICE", {"cpu": 10**6})
    whole, at_once, whole_state = trained(tmp_path / "whole", policy)
    cut, in_turns, cut_state = trained(tmp_path / "cut", policy, micro_tokens=100)
    both, two_by_two, _ = trained(tmp_path / "both", policy, micro_tokens=100, micro_batch=8)
    start = AutoModelForCausalLM.from_pretrained(policy).state_dict()
    moved = max((whole[name] - start[name]).abs().max().item() for name in whole)
    assert moved > 1e-3
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name], rtol=0, atol=1e-5)
        torch.testing.assert_close(both[name], whole[name], rtol=0, atol=1e-5)
    assert len(at_once) == 8  # one pass forth and one back a step
    assert at_once[0][0] == 16
    passes = [event for event in in_turns if event != "back"]
    assert in_turns == [event for shape in passes for event in (shape, "back")]
    assert sum(rows for rows, _ in passes) == 4 * 16
    assert all(rows * columns <= 100 or rows == 1 for rows, columns in passes + [e for e in two_by_two if e != "back"])
    for ours, theirs in zip(cut_state.log_history[:-1], whole_state.log_history[:-1], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4, abs=1e-6)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


def test_a_router_loss_over_all_rows_refuses_fewer_at_once():
    with pytest.raises(UserError, match=r"trainer\.micro_tokens is 64 .*allowed: 0"):
        scoring.check_router(None, 64)


def test_tokens_are_counted_in_rows_of_like_length_only():
    with pytest.raises(ConfigError, match=r"trainer\.micro_tokens is 64 with trainer\.balance false"):
        parse_config({"trainer": {"micro_tokens": 64, "balance": False}})

"""A step whose loss or gradient is not finite: nothing moves, it is counted, and too many in a row end the run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from small_runs import metrics, save_policy
from trainer_setups import replay_setup

from rl.training import run as training_run
from rl.training.run import build_trainer, train
from rl.training.skips import Skips
from rollout.errors import UserError


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def spoiled(trainer, steps, what):
    """The trainer, whose loss or whose gradient (of one parameter) is no number in these steps."""
    compute, parameter = trainer._compute_loss, next(trainer.model.parameters())

    def loss(model, inputs):
        value = compute(model, inputs)
        return value * math.nan if what == "loss" and trainer.state.global_step + 1 in steps else value

    def gradient(grad):
        bad = torch.full_like(grad, math.inf)
        return bad if what == "gradient" and trainer.state.global_step + 1 in steps else grad

    trainer._compute_loss = loss
    parameter.register_hook(gradient)
    return trainer


@pytest.mark.medium
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_moves_no_weight_and_no_moment(tmp_path, policy, what):
    setup = replay_setup(tmp_path, policy, trainer={"steps": 3, "learning_rate": 1e-2, "weight_decay": 0.1})
    trainer = spoiled(build_trainer(setup, 1), {2}, what)
    seen = []

    def keep(step):
        moments = [state["exp_avg"].clone() for state in trainer.optimizer.state.values()]
        weights = [p.detach().clone() for p in trainer.model.parameters()]
        seen.append((weights, moments, {int(s["step"]) for s in trainer.optimizer.state.values()}))

    step_end = trainer.callback_handler.on_log
    trainer.callback_handler.on_log = lambda *rest: (keep(0), step_end(*rest))[1]
    trainer.train()
    first, second, third = seen[:3]
    for one, two in ((first[0], second[0]), (first[1], second[1])):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert [counts for _, _, counts in seen[:3]] == [{1}, {1}, {2}]
    assert any(not torch.equal(a, b) for a, b in zip(second[0], third[0], strict=True))
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
    assert trainer.rounds.state.skips.state_dict() == {"total": 1, "in_row": 0}


@pytest.fixture
def spoiled_run(tmp_path, policy, monkeypatch):
    """`train` on recorded rollouts, spoiled in these steps."""

    def made(steps, **trainer):
        build = training_run.build_trainer
        setup = replay_setup(tmp_path, policy, trainer={"steps": 6, "save_every": 6, **trainer})
        with monkeypatch.context() as patch:
            patch.setattr(training_run, "build_trainer", lambda *a: spoiled(build(*a), steps, "loss"))
            return train(setup)

    return made


@pytest.mark.medium
def test_skipped_steps_are_counted_and_told_and_their_loss_is_not_made_up(tmp_path, spoiled_run, capfd):
    spoiled_run({2, 4, 5}, max_skipped=3)
    records = metrics(tmp_path / "run")
    assert [record["update/skipped"] for record in records] == [0, 1, 1, 2, 3, 3]
    assert [record["step"] for record in records if "loss" in record and "grad_norm" in record] == [1, 3, 6]
    told = [line for line in capfd.readouterr().out.splitlines() if "no update was made" in line]
    assert ["(1 in a row, 1 in all" in told[0], "(2 in a row, 3 in all" in told[2], len(told)] == [True, True, 3]


@pytest.mark.medium
def test_so_many_in_a_row_end_the_run_in_one_line_with_a_checkpoint_and_it_may_try_again(tmp_path, spoiled_run):
    with pytest.raises(UserError, match=r"not finite in 2 steps in a row, the last of them step 4; .*max_skipped"):
        spoiled_run({3, 4}, max_skipped=2)
    assert not (tmp_path / "run" / "model").exists()
    state = json.loads((tmp_path / "run/checkpoints/checkpoint-4/run_state.json").read_text())
    assert state["skips"] == {"total": 2, "in_row": 2}
    assert (spoiled_run(set(), max_skipped=2) / "model.safetensors").is_file()
    assert metrics(tmp_path / "run")[-1]["update/skipped"] == 2


def test_a_run_that_ended_for_its_skips_begins_to_count_anew():
    skips = Skips(2)
    assert [skips.observe(step, bad) for step, bad in ((1, True), (2, False), (3, True))][-1] == {"update/skipped": 2.0}
    assert skips.stopped == ""
    again = Skips(2)
    again.load_state_dict(skips.state_dict())
    again.observe(4, True)
    assert again.stopped
    third = Skips(2)
    third.load_state_dict(again.state_dict())
    third.observe(5, True)
    assert (third.total, third.in_row, third.stopped) == (4, 1, "")

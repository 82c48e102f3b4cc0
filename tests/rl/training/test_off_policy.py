"""The weight between the trainer's policy and an engine's: its values, and its gradient against weighted advantages."""

from __future__ import annotations

import math

import pytest
import torch
from small_runs import save_policy
from trainer_setups import generation_batch, replay_setup

from rl.training.off_policy import scale_gradient, truncated_ratio


def test_the_ratio_is_exp_of_the_difference_up_to_the_cap():
    old = torch.log(torch.tensor([[0.5, 0.2, 0.9]])).requires_grad_()
    engine = torch.log(torch.tensor([[0.25, 0.4, 0.1]]))
    ratio = truncated_ratio(old, engine, 4.0)
    torch.testing.assert_close(ratio, torch.tensor([[2.0, 0.5, 4.0]]))
    assert not ratio.requires_grad


def test_scaling_a_gradient_leaves_the_values():
    values = torch.tensor([3.0, -1.0], requires_grad=True)
    scaled = scale_gradient(values, torch.tensor([2.0, 0.5]))
    (scaled**2).sum().backward()
    assert scaled.tolist() == [3.0, -1.0]
    assert values.grad.tolist() == [12.0, -1.0]  # 2 · 3 · 2 and 2 · −1 · 0.5


def gradients(trainer, batch):
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer, its batch, its own log-probabilities of it, and the known factors by which an engine's are off."""
    folder = tmp_path_factory.mktemp("off_policy")
    trainer, batch = generation_batch(replay_setup(folder, save_policy(folder / "policy")))
    with torch.no_grad():
        own_BT, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1),
            batch["completion_ids"].size(1),
        )
    factors_BT = torch.ones_like(own_BT)
    factors_BT[:, 0::3], factors_BT[:, 1::3] = 0.5, 10.0
    return trainer, batch, own_BT, factors_BT


def test_the_gradient_is_that_of_advantages_times_the_truncated_ratio(trained):
    trainer, batch, own_BT, factors_BT = trained
    trainer.engine_ratio_cap = 3.0
    ours = gradients(trainer, {**batch, "sampling_per_token_logps": own_BT - factors_BT.log()})
    weighted = {**batch, "advantages": batch["advantages"] * factors_BT.clamp(max=3.0)}
    theirs, plain = gradients(trainer, weighted), gradients(trainer, batch)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.allclose(ours[name], plain[name], rtol=1e-2) for name in plain)


def test_the_recorded_old_policy_is_compared_where_there_is_one(trained):
    trainer, batch, own_BT, factors_BT = trained
    trainer.engine_ratio_cap = 3.0
    old_BT = own_BT - math.log(1.1)
    ours = gradients(
        trainer, {**batch, "old_per_token_logps": old_BT, "sampling_per_token_logps": old_BT - factors_BT.log()}
    )
    weighted = {
        **batch,
        "old_per_token_logps": old_BT,
        "advantages": batch["advantages"] * factors_BT.clamp(max=3.0),
    }
    for name, expected in gradients(trainer, weighted).items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-4, atol=1e-6)


def test_an_engine_that_agrees_changes_nothing_and_the_gap_is_logged(trained):
    trainer, batch, own_BT, _ = trained
    plain = gradients(trainer, batch)
    trainer._metrics["train"].clear()
    ours = gradients(trainer, {**batch, "sampling_per_token_logps": own_BT})
    for name in plain:
        torch.testing.assert_close(ours[name], plain[name], rtol=1e-5, atol=1e-7)
    assert trainer._metrics["train"]["engine/logprob_gap"] == [pytest.approx(0.0, abs=1e-6)]
    assert trainer._metrics["train"]["engine/ratio_cut"] == [0.0]

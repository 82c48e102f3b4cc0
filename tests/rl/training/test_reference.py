"""The starting model that the KL holds the policy to: exactly the policy at the start, unmoved, and known again."""

from __future__ import annotations

import json

import pytest
import torch
from small_runs import metrics, recorded_groups, save_policy, small_config, write_rollouts
from trainer_setups import generation_batch, gradients, quiet_setup, replay_setup
from transformers import AutoTokenizer

from rl.training.checkpoints import REFERENCE
from rl.training.reference import weights_hash
from rl.training.run import train
from rl.worlds.model import build_model, build_tokenizer
from rollout.errors import UserError

KL = {"kl": 0.5, "steps": 3, "prompts_per_step": 4, "micro_batch": 8, "learning_rate": 1e-2, "save_every": 1}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.mark.medium
@pytest.mark.parametrize("lora", [0, 4], ids=["full", "adapters"])
def test_the_kl_is_exactly_zero_at_the_start_and_grows(tmp_path, policy, lora):
    train(replay_setup(tmp_path, policy, model={"path": str(policy), "lora": {"rank": lora}}, trainer=KL))
    found = [record["kl"] for record in metrics(tmp_path / "run")]
    assert found[0] == 0.0
    assert found[1] > 1e-7
    assert found[2] > found[1]


@pytest.mark.parametrize("lora", [0, 4], ids=["full", "adapters"])
def test_the_reference_stays_at_the_start_while_the_policy_moves(tmp_path, policy, lora):
    setup = replay_setup(tmp_path, policy, model={"path": str(policy), "lora": {"rank": lora}}, trainer=KL)
    trainer, batch = generation_batch(setup)
    start_BT = batch.reference_BT
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    again = trainer._micro_batches(trainer.round.batch)[0]
    assert torch.equal(again.reference_BT, start_BT)
    with torch.no_grad():
        assert (trainer._scores(trainer.model, batch)[0] - start_BT).abs().max() > 0.01


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A model without the switches of one_token: its tokenizer and embeddings grow before RL."""
    folder = tmp_path_factory.mktemp("foreign")
    tokenizer = build_tokenizer()
    build_model(tokenizer, 0, hidden=32, layers=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.medium
@pytest.mark.parametrize("lora", [0, 4], ids=["full", "adapters"])
def test_tokens_added_before_rl_are_in_the_reference_with_their_starting_rows(tmp_path, foreign, lora):
    assert "<no_think>" not in AutoTokenizer.from_pretrained(foreign).get_vocab()
    config = small_config(
        tmp_path / "run",
        foreign,
        model={"path": str(foreign), "lora": {"rank": lora}},
        protocol={"name": "one_token", "add_tokens": True},
        trainer=KL,
    )
    train(quiet_setup(config))
    records = metrics(tmp_path / "run")
    assert records[0]["kl"] == 0.0
    assert len(records) == 3


@pytest.mark.medium
def test_a_model_built_by_code_has_a_reference_too(tmp_path):
    config = small_config(tmp_path / "run", tmp_path, model={"path": "tiny"}, trainer={**KL, "steps": 1})
    train(quiet_setup(config))
    assert metrics(tmp_path / "run")[0]["kl"] == 0.0


def test_without_a_kl_there_is_no_copy_of_the_model(tmp_path, policy):
    trainer, batch = generation_batch(replay_setup(tmp_path, policy))
    assert (trainer.reference, batch.reference_BT) == (None, None)


def test_the_kls_gradient_has_the_reference_as_a_constant(tmp_path, policy):
    trainer, batch = generation_batch(replay_setup(tmp_path, policy, trainer=KL))
    gradients(trainer, batch)
    assert all(p.grad is None and not p.requires_grad for p in trainer.reference.model.parameters())


@pytest.mark.medium
def test_a_resumed_run_takes_the_same_reference_and_refuses_another(tmp_path, policy):
    file = write_rollouts(tmp_path / "recorded.jsonl", recorded_groups())

    def setup(steps, model=policy):
        trainer = {**KL, "steps": steps}
        return quiet_setup(small_config(tmp_path / "run", model, rollout={"replay": str(file)}, trainer=trainer))

    train(setup(2))
    saved = tmp_path / "run" / "checkpoints" / "checkpoint-2" / REFERENCE
    first = setup(3)
    assert json.loads(saved.read_text()) == {"sha256": weights_hash(first.model)}
    with pytest.raises(UserError, match=r"made with other settings: model\.path .* resume=never"):
        train(setup(3, save_policy(tmp_path / "other", seed=1)))
    train(first)
    records = metrics(tmp_path / "run")
    assert [record["step"] for record in records] == [1, 2, 3]
    assert records[2]["kl"] > records[1]["kl"] > 0


def test_the_hash_is_of_names_types_and_values():
    model = torch.nn.Linear(2, 1)
    before = weights_hash(model)
    assert before == weights_hash(model)
    with torch.no_grad():
        model.bias[0] += 1e-3
    assert weights_hash(model) != before
    assert weights_hash(model.bfloat16()) != weights_hash(model.float())

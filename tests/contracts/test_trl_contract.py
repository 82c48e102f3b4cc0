"""Every habit of TRL that the trainer leans on: a new TRL version fails here first (names: test_private_names.py)."""

from __future__ import annotations

import inspect
import itertools

import pytest
import trl
from small_runs import save_policy
from trainer_setups import replay_setup
from trl import GRPOConfig
from trl.generation.vllm_client import VLLMClient
from trl.models.utils import unwrap_model_for_generation

from rl.config.schema import Config, TrainerConfig
from rl.curriculum.sampler import RoundSampler
from rl.models.weights import policy_weights
from rl.training.batch import StepBatch
from rl.training.run import build_trainer, grpo_config


def test_the_version_is_the_probed_one():
    assert trl.__version__ == "1.16.0"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run of two optimizer steps of two micro-batches: what TRL hands to the two replaced methods."""
    folder = tmp_path_factory.mktemp("contract")
    trainer = {"steps": 2, "prompts_per_step": 4, "micro_batch": 8, "save_every": 2}
    made = build_trainer(replay_setup(folder, save_policy(folder / "policy"), trainer=trainer), 1)
    prepared, losses = [], []
    prepare, compute = made._prepare_inputs, made._compute_loss

    def preparing(rows):
        prepared.append((made._step, made.state.global_step, [row["prompt"] for row in rows]))
        return prepare(rows)

    def computing(model, batch):
        losses.append((type(batch), made._buffered_inputs.index(batch), compute(model, batch)))
        return losses[-1][2]

    made._prepare_inputs, made._compute_loss = preparing, computing
    made.train()
    return made, prepared, losses


@pytest.mark.medium
def test_every_forward_pass_asks_for_its_inputs_with_the_rows_of_the_whole_step(watched):
    _, prepared, _ = watched
    assert [(step, update) for step, update, _ in prepared] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert all(len(rows) == 16 and rows == prepared[2 * (k // 2)][2] for k, (_, _, rows) in enumerate(prepared))
    assert all(rows[i : i + 4] == [rows[i]] * 4 for _, _, rows in prepared for i in range(0, 16, 4))


@pytest.mark.medium
def test_the_loss_is_computed_of_what_was_prepared_and_logged_as_the_sum_of_its_parts(watched):
    made, _, losses = watched
    assert [(kind, micro) for kind, micro, _ in losses] == [(StepBatch, 0), (StepBatch, 1)] * 2
    logged = [record["loss"] for record in made.state.log_history if "loss" in record]
    assert logged == pytest.approx(
        [losses[0][2].item() + losses[1][2].item(), losses[2][2].item() + losses[3][2].item()]
    )


def test_the_trainer_says_whether_the_model_has_a_router_loss(watched):
    made, _, _ = watched
    assert (made.aux_loss_enabled, made.router_aux_loss_coef) == (False, 0.0)
    assert made._tokenizer.pad_token_id == made.processing_class.pad_token_id


def test_the_weight_reader_gives_every_weight_under_its_checkpoint_name(watched):
    made, _, _ = watched
    read = dict(policy_weights(made.model, made.accelerator))
    kept = {
        name: tensor for name, tensor in made.model.state_dict().items() if name in dict(made.model.named_parameters())
    }
    assert read.keys() == kept.keys()
    assert all(read[name].equal(tensor) for name, tensor in kept.items())


def test_the_server_client_connects_pushes_and_forgets_prefixes():
    assert {"base_url", "connection_timeout"} <= set(inspect.signature(VLLMClient).parameters)
    assert list(inspect.signature(VLLMClient.init_communicator).parameters) == ["self", "device"]
    assert list(inspect.signature(VLLMClient.update_named_params).parameters)[1:] == ["metadata", "named_params"]
    assert callable(VLLMClient.reset_prefix_cache)


def test_the_dataloader_asks_our_sampler(watched):
    made, _, _ = watched
    assert isinstance(made._get_train_sampler(), RoundSampler)
    rows = [row["prompt"] for batch in made.get_train_dataloader() for row in batch]
    assert rows[:16] == [made.train_dataset[i]["prompt"] for i in itertools.islice(made._get_train_sampler(), 16)]


def test_the_generation_model_is_a_context_manager_over_model_and_accelerator():
    assert list(inspect.signature(unwrap_model_for_generation).parameters)[:2] == ["model", "accelerator"]


def test_trl_makes_no_reference_and_generates_nothing_and_steps_once_a_round_of_micro_batches():
    config = Config(trainer=TrainerConfig(prompts_per_step=4, micro_batch=8, kl=0.5))
    made = grpo_config(config, 1)
    assert (made.beta, made.use_vllm, made.bf16) == (0.0, False, False)
    assert made.steps_per_generation == made.gradient_accumulation_steps == 4
    assert made.max_completion_length == 256
    assert made.report_to == []
    assert isinstance(made, GRPOConfig)

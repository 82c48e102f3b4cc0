"""Every private name and habit of TRL that the trainer leans on: a new TRL version fails here first."""

from __future__ import annotations

import inspect
import re

import pytest
import trl
from trl import GRPOConfig, GRPOTrainer
from trl.distributed import DistributedBackend
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration
from trl.models.utils import unwrap_model_for_generation

from rl.config.schema import Config, TrainerConfig
from rl.training.run import grpo_config


def test_the_version_is_the_probed_one():
    assert trl.__version__ == "1.16.0"


@pytest.mark.parametrize(
    "name",
    [
        "_get_train_sampler",
        "_generate_and_score_completions",
        "_compute_loss",
        "_get_per_token_logps_and_entropies",
        "log",
        "_save_checkpoint",
        "_get_output_dir",
    ],
)
def test_the_overridden_and_called_methods_exist(name):
    assert callable(getattr(GRPOTrainer, name))


def test_the_loss_takes_advantages_of_two_dimensions_and_a_global_normaliser():
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert "if advantages.dim() == 1:" in source
    assert 'inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes' in source
    assert 'mask = completion_mask if "tool_mask" not in inputs else completion_mask * inputs["tool_mask"]' in source


def test_old_log_probabilities_are_taken_from_the_batch_and_ours_are_made_as_theirs():
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert 'old_per_token_logps = inputs.get("old_per_token_logps")' in source
    assert "log_ratio = per_token_logps - old_per_token_logps" in source
    parameters = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert parameters[:6] == ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size"]
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs)" in source
    for key in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"):
        assert f'"{key}": {key},' in source


def test_a_sequence_ratio_is_the_mean_log_ratio_over_the_trained_tokens():
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert "(log_ratio * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)" in source


def test_the_rollout_function_may_pass_a_mask_and_extra_columns():
    source = inspect.getsource(GRPOTrainer._generate)
    assert 'extra_fields.pop("env_mask", None)' in source
    assert "self.rollout_func(prompts, self)" in source
    assert 'required_keys = {"prompt_ids", "completion_ids", "logprobs"}' in source


def test_trained_tokens_are_counted_after_the_mask():
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "loss_mask = completion_mask if tool_mask is None else completion_mask * tool_mask" in source
    assert "num_items_in_batch = self.accelerator.gather(loss_mask.sum()).sum()" in source


def test_the_engines_log_probabilities_reach_the_loss():
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert 'output["sampling_per_token_logps"] = sampling_per_token_logps' in source
    assert 'output["old_per_token_logps"] = old_per_token_logps' in source
    loss = inspect.getsource(GRPOTrainer._compute_loss)
    assert "per_token_logps, entropies, aux_loss = self._get_per_token_logps_and_entropies(" in loss


def test_the_weight_reader_needs_a_model_an_accelerator_and_a_backend_only():
    source = inspect.getsource(VLLMGeneration._iter_named_params)
    assert list(inspect.signature(DistributedBackend).parameters) == ["accelerator"]
    assert set(re.findall(r"self\.(\w+)", source)) == {"model", "_dist", "_iter_fsdp_params", "_fix_param_name_to_vllm"}


def test_the_server_client_connects_pushes_and_forgets_prefixes():
    assert {"base_url", "connection_timeout"} <= set(inspect.signature(VLLMClient).parameters)
    assert list(inspect.signature(VLLMClient.init_communicator).parameters) == ["self", "device"]
    assert list(inspect.signature(VLLMClient.update_named_params).parameters)[1:] == ["metadata", "named_params"]
    assert callable(VLLMClient.reset_prefix_cache)


def test_the_dataloader_asks_our_sampler():
    assert "sampler_fn=self._get_train_sampler" in inspect.getsource(GRPOTrainer.get_train_dataloader)


def test_a_generation_lasts_for_all_its_micro_batches():
    source = inspect.getsource(GRPOTrainer._prepare_inputs)
    assert "generate_every = self.args.steps_per_generation * self.num_iterations" in source


def test_the_generation_model_is_a_context_manager_over_model_and_accelerator():
    assert list(inspect.signature(unwrap_model_for_generation).parameters)[:2] == ["model", "accelerator"]


def test_every_option_that_shapes_the_loss_is_set_by_us():
    config = Config(trainer=TrainerConfig(prompts_per_step=4, micro_batch=8))
    made = grpo_config(config, 1)
    assert (made.loss_type, made.scale_rewards, made.beta, made.epsilon, made.epsilon_high) == (
        "dapo",
        "none",
        0.0,
        0.2,
        0.28,
    )
    assert (made.bf16, made.use_bias_correction_kl, made.mask_truncated_completions) == (False, False, False)
    assert made.steps_per_generation == made.gradient_accumulation_steps == 4
    assert made.max_completion_length == 256
    assert made.report_to == []
    assert isinstance(made, GRPOConfig)

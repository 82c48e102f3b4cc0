"""What is counted on a model without memory is what a real one keeps."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import pytest
import torch
from small_runs import recorded_rollout
from trainer_setups import replay_setup
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig

from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.models.adapters import lora_config
from rl.planning.activations import count_activations
from rl.planning.architecture import on_meta, read_architecture
from rl.planning.memory import measure_model, most, parts
from rl.planning.saved import saved_bytes
from rl.training.run import build_trainer
from rl.worlds.model import build_tokenizer
from rollout.types import Problem

PUBLISHED = {
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000,
}


@pytest.mark.parametrize("path", PUBLISHED)
def test_the_sizes_written_down_give_the_published_number_of_weights(path):
    config = parse_config({"model": {"path": path}})
    architecture, source = read_architecture(config)
    model = on_meta(config, architecture, torch.bfloat16)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[path]
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert source.startswith("sizes written down in configs/architectures/")
    assert "stand-in" not in source


def test_sizes_that_are_not_the_model_s_own_are_called_a_stand_in():
    _, source = read_architecture(parse_config({"model": {"path": "Kwaipilot/KAT-V1-40B"}}))
    assert "a stand-in: Qwen2.5-32B's layers, 80 of them" in source


ARCHITECTURE = Qwen3Config(
    vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=5, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16,
)  # fmt: skip


@pytest.mark.medium
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("rank", [0, 4], ids=["full", "adapters"])
def test_four_small_sizes_give_what_a_real_pass_of_another_size_keeps(bf16, rank):
    config = parse_config({"model": {"lora": {"rank": rank}}, "trainer": {"bf16": bf16}})
    model = AutoModelForCausalLM.from_config(ARCHITECTURE)
    if rank:
        from peft import get_peft_model

        model = get_peft_model(model, lora_config(config, model, None))
    backbone = (model.get_base_model() if rank else model).base_model
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), saved_bytes(model.train()) as kept:
        backbone(input_ids=torch.zeros(3, 200, dtype=torch.long), use_cache=False)
    counted = count_activations(config, ARCHITECTURE, torch.float32).kept(5, 600, checkpointing=False)
    assert kept.bytes > 5_000_000
    assert counted == pytest.approx(kept.bytes, rel=0.01)


def test_keys_and_values_and_what_layers_hand_on_are_counted():
    # Keys and values of 2 heads of 16 numbers, 4 bytes each: 256. 64 numbers between layers: 256.
    found = count_activations(parse_config({}), ARCHITECTURE, torch.float32)
    assert (found.cache, found.boundary) == (256, 256)
    one, five = (found.kept(layers, 100, checkpointing=True) for layers in (1, 5))
    assert five - one == 4 * 100 * 256  # of the other layers their inputs alone


def test_a_mixture_of_experts_is_refused(tmp_path):
    Qwen3MoeConfig(num_experts=4).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"mixture of experts; allowed: a dense model"):
        read_architecture(parse_config({"model": {"path": str(tmp_path)}}))


def test_a_model_that_is_nowhere_is_refused_with_what_is_written_down(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"cannot be had .*qwen3-0\.6b"):
        read_architecture(parse_config({"model": {"path": "nobody/nothing-7b"}}))


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def save_policy(folder):
    """A model whose activations are larger than what else a step allocates."""
    tokenizer = build_tokenizer()
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "head_dim": 32}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **shape, **heads, **ends)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.medium
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("settings", [{}, {"micro_tokens": 2000}], ids=["all rows", "2000 tokens at once"])
def test_the_planned_memory_of_a_step_is_within_fifteen_percent_of_the_measured_one(tmp_path, settings):
    # Freed memory goes back at once: what stays in the allocator's heap is not the step's.
    libc = ctypes.CDLL(None)
    libc.mallopt(-3, 2**16)  # M_MMAP_THRESHOLD
    policy = save_policy(tmp_path / "policy")
    problems = [Problem(f"p{i}", f"1{i} + 22", "math", answer=f"3{i}", difficulty="1") for i in range(4)]
    groups = [
        [recorded_rollout(p, mode, "33", thinking="1" * 150) for mode in ("think", "think")] * 4 for p in problems
    ]
    length = max(len(r.completion_ids) + len(r.prompt_ids) for r in groups[0])
    setup = replay_setup(
        tmp_path, policy, groups,
        rollout={"group_size": 8, "max_new_tokens": length - 20, "max_prompt_tokens": 20},
        trainer={"steps": 2, "prompts_per_step": 4, "save_every": 2, **settings},
        model={"path": str(policy)},
    )  # fmt: skip
    trainer = build_trainer(setup, 1)
    step, peaks = trainer.training_step, []

    def watched(*arguments):
        gc.collect()
        libc.malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        loss = step(*arguments)
        peaks.append(resident("VmHWM") - before)
        return loss

    trainer.training_step = watched
    trainer.train()
    architecture, _ = read_architecture(setup.config)
    model = measure_model(setup.config, architecture)
    planned = parts(setup.config, model, 1, 2**33, device="cpu")
    held = sum(part.bytes for part in planned if part.name in ("weights", "optimizer"))
    assert peaks[-1] > 50 * 2**20
    assert most(planned, "update") - held == pytest.approx(peaks[-1], rel=0.15)

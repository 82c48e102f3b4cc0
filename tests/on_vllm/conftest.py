"""Skipped where vllm is missing; `make test-vllm` makes an environment that has it. One engine for all tests: starting
one takes seconds, and a process can hold one only."""

from __future__ import annotations

import copy
import importlib.util
import os
from pathlib import Path

import pytest
import torch

for name, value in {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}.items():
    os.environ.setdefault(name, value)

HERE = Path(__file__).parent
LENGTH = 256  # two blocks of the cache: prefixes are shared between the rows of a prompt


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("vllm") is None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="vllm is not installed; see make test-vllm"))


def sharpen(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights wide enough that choices depend on the context."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for label, weight in model.named_parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 0.15 if "embed" in label else 0.3, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def sharpened():
    """What gives a model weights wide enough that its choices depend on the context."""
    return sharpen


@pytest.fixture(scope="session")
def model():
    """A random Qwen3 of one layer; heads of 32, the smallest that vLLM's CPU attention knows."""
    from rl.worlds.model import build_model, build_tokenizer

    made = build_model(build_tokenizer(), 0, hidden=128, layers=1)
    made.config.max_position_embeddings = LENGTH
    return sharpen(made, 0)


@pytest.fixture
def updated(model):
    """The same model with other weights."""
    return sharpen(copy.deepcopy(model), 1)


@pytest.fixture(scope="session")
def shared_engine(model, tmp_path_factory):
    from factories import make_protocol

    from rl.models.engines import save_architecture
    from rollout.engines.vllm_local import VLLMEngine

    folder = save_architecture(model, tmp_path_factory.mktemp("architecture"))
    return VLLMEngine(folder, make_protocol(judge_patience=3), max_model_len=LENGTH, dtype="float32", eager=True)


@pytest.fixture
def engine(shared_engine, model):
    """The engine with the weights of `model`."""
    shared_engine.sync(0, model.named_parameters)
    return shared_engine

"""Which engine decodes (`rollout.engine`), and how it gets the policy's weights.

`hf` decodes with the policy itself. The vLLM engines are copies: before each rollout the weights are pushed to them
once an update, the optimizer step being their version. Adapters are merged and shards gathered on the way, one tensor
at a time, by TRL's own reader. Nothing here imports torch before an engine is opened.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rl.config.schema import Config, ConfigError
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol


def engine_name(config: Config) -> str:
    """The configured engine; `auto` is vllm where a GPU and the package are present, else hf."""
    if config.rollout.engine != "auto":
        return config.rollout.engine
    import torch

    return "vllm" if torch.cuda.is_available() and importlib.util.find_spec("vllm") else "hf"


def check_engine(config: Config) -> None:
    """Raises `ConfigError` when the configured engine cannot be had: no package, no server. Quick, without torch."""
    if config.rollout.engine == "vllm" and importlib.util.find_spec("vllm") is None:
        raise ConfigError("rollout.engine is 'vllm', but no package vllm is installed; allowed: auto, hf, vllm_server")
    if config.rollout.engine == "vllm_server":
        from rollout.engines.vllm_server import check_temperature, served_model

        check_temperature(config.rollout.temperature)
        served_model(config.rollout.vllm.server_url)


def open_engine(config: Config, model: Any, protocol: DecisionProtocol, pad_id: int) -> Engine:
    """An engine over a model that does not change."""
    name = engine_name(config)
    if name == "hf":
        from rollout.engines.hf import HFEngine

        return HFEngine(model, protocol, pad_id)
    engine = _copy_of(config, name, model, protocol)
    engine.sync(0, model.named_parameters)
    return engine


class PolicyEngine:
    """The configured engine over the policy that a trainer holds; `apart` says that it is a copy with log-probabilities
    of its own (see rl/training/loss.py)."""

    def __init__(self, config: Config, protocol: DecisionProtocol) -> None:
        self.config, self.protocol, self.name = config, protocol, engine_name(config)
        self.apart = self.name != "hf"
        self._copy: Any = None

    @contextlib.contextmanager
    def open(self, trainer: Any) -> Iterator[Engine]:
        """The engine with the trainer's present weights."""
        if not self.apart:
            from trl.models.utils import unwrap_model_for_generation

            from rollout.engines.hf import HFEngine

            with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
                yield HFEngine(model, self.protocol, trainer.processing_class.pad_token_id)
            return
        if self._copy is None:
            model = trainer.accelerator.unwrap_model(trainer.model)
            self._copy = _copy_of(self.config, self.name, model, self.protocol, trainer.accelerator.is_main_process)
        self._copy.sync(trainer.state.global_step, lambda: policy_weights(trainer.model, trainer.accelerator))
        trainer.accelerator.wait_for_everyone()
        yield self._copy
        self._copy.rest()


def policy_weights(model: Any, accelerator: Any) -> Iterable[tuple[str, Any]]:
    """(checkpoint name, tensor) of every weight, adapters merged and shards gathered. Every rank must iterate to the
    end. The tensors are copies, because a loader may hold on to one after its shards have been let go."""
    from trl.distributed import DistributedBackend
    from trl.generation.vllm_generation import VLLMGeneration

    class Reader(VLLMGeneration):
        """TRL's weight reader without its engine."""

        def __init__(self) -> None:
            self.model, self.accelerator, self._dist = model, accelerator, DistributedBackend(accelerator)

    return ((name, tensor.detach().clone()) for name, tensor in Reader()._iter_named_params())


def save_architecture(model: Any, folder: Path) -> Path:
    """The model's `config.json` alone: all that a vLLM engine needs to be built."""
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    return folder


def model_length(config: Config, model: Any) -> int:
    """Tokens of the longest row that an engine must hold. Raises `ConfigError` when more are asked for than the model
    has positions."""
    rollout, positions = config.rollout, getattr(model.config, "max_position_embeddings", None)
    asked = rollout.vllm.max_model_len
    if positions and asked > positions:
        raise ConfigError(f"rollout.vllm.max_model_len is {asked}; allowed: at most the model's {positions} positions")
    needed = rollout.max_prompt_tokens + max(rollout.max_new_tokens, config.evaluation.max_new_tokens)
    return asked or min(needed, positions or needed)


def _copy_of(config: Config, name: str, model: Any, protocol: DecisionProtocol, is_main: bool = True) -> Any:
    """A vLLM engine without the policy's weights yet."""
    settings = config.rollout.vllm
    if name == "vllm_server":
        from rollout.engines.vllm_server import ServerEngine

        return ServerEngine(
            settings.server_url,
            protocol,
            timeout=settings.timeout,
            patience=settings.patience,
            concurrency=settings.concurrency,
            pushes=is_main,
        )
    from rollout.engines.vllm_local import VLLMEngine

    unwrapped = model.get_base_model() if hasattr(model, "get_base_model") else model
    return VLLMEngine(
        save_architecture(unwrapped, Path(config.run_dir) / "vllm"),
        protocol,
        max_model_len=model_length(config, unwrapped),
        dtype="bfloat16" if config.trainer.bf16 else config.model.dtype,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        sleep=settings.sleep,
        eager=settings.eager,
    )

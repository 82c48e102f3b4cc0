"""Which engine decodes (`rollout.engine`), and how it gets the policy's weights.

`hf` decodes with the policy itself. The others are copies: before each rollout the weights are pushed to them once an
update, the optimizer step being their version (rl/models/weights.py). With `rollout.ahead` they decode beside the
update, vLLM of this process then in one of its own. Nothing here imports torch before an engine is opened.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rl.config.schema import Config, ConfigError, longest_response
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
        raise ConfigError(
            "rollout.engine is 'vllm', but no package vllm is installed; allowed: auto, hf, hf_process, vllm_server"
        )
    if config.rollout.engine == "vllm_server":
        from rollout.engines.vllm_server import check_temperature, served_model

        check_temperature(config.rollout.temperature)
        served_model(config.rollout.vllm.server_url)


def check_sharded(config: Config, ranks: int) -> None:
    """Raises `ConfigError` where ranks would decode with the policy itself while each holds a part of every layer: a
    forward pass needs all of them, and their rows end at different tokens. DeepSpeed gathers the weights instead."""
    if config.trainer.fsdp and ranks > 1 and engine_name(config) == "hf":
        raise ConfigError(
            f"trainer.fsdp is true on {ranks} ranks with rollout.engine hf, which would wait for ever once one rank's "
            "rows have ended; allowed: rollout.engine hf_process, vllm or vllm_server, or trainer.deepspeed"
        )


def open_engine(config: Config, model: Any, protocol: DecisionProtocol, pad_id: int) -> Engine:
    """An engine over a model that does not change."""
    name = engine_name(config)
    if name in ("hf", "hf_process"):
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
        yield self.synced(trainer)
        self._copy.rest()

    def synced(self, trainer: Any) -> Engine:
        """The copy with the trainer's present weights."""
        from rl.models.weights import all_weights, kept_weights

        accelerator = trainer.accelerator
        if self._copy is None:
            model, pad_id = accelerator.unwrap_model(trainer.model), trainer.processing_class.pad_token_id
            self._copy = _copy_of(self.config, self.name, model, self.protocol, accelerator.is_main_process, pad_id)
        read = all_weights if self.name == "hf_process" else kept_weights
        self._copy.sync(trainer.state.global_step, lambda: read(trainer.model, accelerator))
        accelerator.wait_for_everyone()
        return self._copy

    def close(self) -> None:
        """End what runs beside this process."""
        if hasattr(self._copy, "close"):
            self._copy.close()
        self._copy = None


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
    asks = [longest_response(config), config.evaluation.max_new_tokens, config.label.max_new_tokens or 0]
    asks += [teacher.max_tokens for teacher in config.teachers if not teacher.base_url]
    needed = rollout.max_prompt_tokens + max(asks)
    return asked or min(needed, positions or needed)


def _copy_of(
    config: Config, name: str, model: Any, protocol: DecisionProtocol, is_main: bool = True, pad_id: int = 0
) -> Any:
    """An engine that is a copy, without the policy's weights yet."""
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
            folder=Path(config.run_dir) / "vllm" / "weights",
        )
    unwrapped = model.get_base_model() if hasattr(model, "get_base_model") else model
    if name == "hf_process":
        return _process_of(config, unwrapped, protocol, pad_id)
    from rollout.engines.vllm_local import VLLMEngine

    make = partial(
        VLLMEngine,
        save_architecture(unwrapped, Path(config.run_dir) / "vllm"),
        protocol,
        max_model_len=model_length(config, unwrapped),
        dtype="bfloat16" if config.trainer.bf16 else config.model.dtype,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        sleep=settings.sleep,
        eager=settings.eager,
    )
    if not config.rollout.ahead:
        return make()
    from rollout.engines.process import ProcessEngine
    from rollout.engines.process_main import loading

    return ProcessEngine(partial(loading, make), model.device.index)


def _process_of(config: Config, model: Any, protocol: DecisionProtocol, pad_id: int) -> Any:
    """A transformers model in a process of its own."""
    from rollout.engines.process import ProcessEngine
    from rollout.engines.process_main import ModelCopy

    # Before a sharded model's own class comes one that FSDP makes while it runs.
    kind = next(kind for kind in type(model).__mro__ if not kind.__name__.startswith("FSDP"))
    build = partial(
        ModelCopy,
        kind=kind,
        config=copy.deepcopy(model.config),
        protocol=protocol,
        pad_id=pad_id,
        device="cuda:0" if model.device.type == "cuda" else str(model.device),
        bfloat16=config.trainer.bf16,
    )
    return ProcessEngine(build, model.device.index)

"""The bytes of one training GPU, part by part. Sizes of tensors are exact; activations are counted
(rl/planning/activations.py); what libraries keep for themselves is a bound that is said to be one.

    P weights, T trained ones, n ranks      weights        gradients            optimizer
    plain, one rank                         P w            T w                  2 T w
    plain, DDP                              the same, and buckets of T w
    ZeRO, stage s                           P c (/n: 3)    T c (/n: 2) + 4 T/n  12 T / n
    FSDP                                    P w / n        T w / n              2 T w / n

w is the type of `model.dtype`, c that of compute (bfloat16 with `trainer.bf16`). ZeRO: arXiv 1910.02054, with AdamW's
two moments and the float32 weights beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedConfig
from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE
from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

from rl.algorithms.configured import configured_algorithm, configured_loss
from rl.checks.requirements import deepspeed_settings
from rl.config.schema import Config, longest_response
from rl.planning.activations import Activations, count_activations
from rl.planning.architecture import on_meta
from rl.training.run import batch_shape
from rl.training.scoring import HEAD_TILE

# What gathered layers of ZeRO-3 may hold at most (stage3_max_live_parameters), and a bucket of gradients, in numbers.
MOST_LIVE, BUCKET = 10**9, 5 * 10**8
TILES_ON_CPU = 8  # tiles of the head at once, where no Triton kernel folds them
OUTSIDE = 2**30  # of the driver and the libraries on a GPU, a guess

When = Literal["always", "update", "rollout"]


@dataclass(frozen=True)
class Part:
    """Bytes on one GPU: what for, when they are there, and how they are known."""

    name: str
    bytes: int
    when: When
    known: Literal["exact", "counted", "at most", "configured", "a guess"]


@dataclass(frozen=True)
class Model:
    """What a plan knows of a model: numbers and bytes of all its weights and of the trained ones, of the output matrix,
    and its activations."""

    layers: int
    numbers: int
    bytes: int
    trained: int
    trained_bytes: int
    head: tuple[int, int]
    head_trained: bool
    activations: Activations


def measure_model(config: Config, architecture: PreTrainedConfig) -> Model:
    """Sizes from the model on meta, activations counted."""
    stage = zero_stage(config)
    dtype = torch.bfloat16 if stage and config.trainer.bf16 else getattr(torch, config.model.dtype)
    model = on_meta(config, architecture, dtype)
    weights, head = list(model.parameters()), model.get_output_embeddings().weight
    trained = [p for p in weights if p.requires_grad]
    return Model(
        layers=int(architecture.num_hidden_layers),
        numbers=sum(p.numel() for p in weights),
        bytes=sum(p.nbytes for p in weights),
        trained=sum(p.numel() for p in trained),
        trained_bytes=sum(p.nbytes for p in trained),
        head=tuple(head.shape),
        head_trained=head.requires_grad,
        activations=count_activations(config, architecture, dtype),
    )


def zero_stage(config: Config) -> int:
    """DeepSpeed's stage; 0: none."""
    if not config.trainer.deepspeed:
        return 0
    return int(deepspeed_settings(Path(config.trainer.deepspeed))["zero_optimization"].get("stage", 0))


def sharded(config: Config) -> bool:
    """Whether FSDP shards the weights."""
    return bool(getattr(config.trainer, "fsdp", False))


def parts(config: Config, model: Model, gpus: int, gpu_bytes: int, device: str = "cuda") -> list[Part]:
    """All parts on one of `gpus` training ranks. Raises `ConfigError` where the batch cannot be dealt to them."""
    rows = config.trainer.prompts_per_step // gpus * config.rollout.group_size
    batch_shape(config, gpus)
    found = [*_states(config, model, gpus), *_update(config, model, gpus, device)]
    if configured_loss(config, configured_algorithm(config)).kl:
        found.append(
            Part("starting model, for the KL", 0 if config.model.lora.rank else model.bytes, "always", "exact")
        )
    found += _engine(config, model, rows, gpu_bytes, device)
    return [*found, Part("driver and libraries", OUTSIDE if device == "cuda" else 0, "always", "a guess")]


def _states(config: Config, model: Model, gpus: int) -> list[Part]:
    """Weights, gradients and optimizer."""
    stage, width = zero_stage(config), model.trained_bytes
    if stage:
        gradients = width // (gpus if stage >= 2 else 1) + 4 * model.trained // gpus
        found = [
            Part("weights", model.bytes // (gpus if stage == 3 else 1), "always", "exact"),
            Part("gradients", gradients, "update", "exact"),
            Part("optimizer", 12 * model.trained // gpus, "always", "exact"),
            Part("buckets of gradients", min(BUCKET, model.trained) * _compute(config), "update", "at most"),
        ]
        live = min(MOST_LIVE, model.numbers) * _compute(config)
        return [*found, Part("gathered layers", live, "always", "at most")] if stage == 3 else found
    share = gpus if sharded(config) else 1
    found = [
        Part("weights", model.bytes // share, "always", "exact"),
        Part("gradients", width // share, "update", "exact"),
        Part("optimizer", 2 * width // share, "always", "exact"),
    ]
    if share > 1:
        outside = 2 * model.head[0] * model.head[1]
        live = (2 * (model.numbers - outside) // model.layers + outside) * _compute(config)
        return [*found, Part("gathered layers", live, "always", "at most")]
    return [*found, Part("buckets of gradients", width, "update", "at most")] if gpus > 1 else found


def _update(config: Config, model: Model, gpus: int, device: str) -> list[Part]:
    """Activations of the most tokens at once, and the head's own work on them."""
    tokens = tokens_at_once(config, gpus)
    words, width = model.head
    kept = model.activations.kept(model.layers, tokens, config.model.gradient_checkpointing)
    if device == "cuda":
        tile = min(tokens, TOKEN_CHUNK_SIZE) * _CHUNKED_LOGPROB_CHUNK_SIZE * _compute(config)
    else:
        tile = min(min(tokens, TOKEN_CHUNK_SIZE) * words, HEAD_TILE[device]) * 4 * TILES_ON_CPU
    # Hidden states as the head reads them, their gradient, and that of the matrix, both in float32.
    states = tokens * width * (_compute(config) + 4) + (4 * words * width if model.head_trained else 0)
    return [Part("activations", kept, "update", "counted"), Part("head", tile + states, "update", "counted")]


def planned_engine(config: Config, device: str) -> str:
    """The engine on the machine that is planned for, which is not this one: `auto` is vllm on a GPU."""
    if config.rollout.engine != "auto":
        return config.rollout.engine
    return "vllm" if device == "cuda" else "hf"


def _engine(config: Config, model: Model, rows: int, gpu_bytes: int, device: str) -> list[Part]:
    """What decodes. A copy of the weights in vLLM is part of its share."""
    name = planned_engine(config, device)
    if name == "vllm_server":
        return [Part("vLLM, on other GPUs", 0, "rollout", "configured")]
    if name == "vllm":
        share = round(config.rollout.vllm.gpu_memory_utilization * gpu_bytes)
        return [Part("vLLM's share", share, "rollout" if config.rollout.vllm.sleep else "always", "configured")]
    length = config.rollout.max_prompt_tokens + longest_response(config)
    size = round(rows * length * model.activations.cache * model.layers)
    cache = Part("keys and values", size, "always" if config.rollout.ahead else "rollout", "at most")
    return [Part("copy of the weights", model.bytes, "always", "exact"), cache] if name == "hf_process" else [cache]


def tokens_at_once(config: Config, gpus: int) -> int:
    """The most padded tokens whose activations a rank keeps at once: every response at its cap."""
    longest = config.rollout.max_prompt_tokens + longest_response(config)
    rows, _ = batch_shape(config, gpus)
    limit = config.trainer.micro_tokens
    return min(rows * longest, max(limit, longest)) if limit else rows * longest


def _compute(config: Config) -> int:
    """Bytes of a number in products."""
    return 2 if config.trainer.bf16 else int(getattr(torch, config.model.dtype).itemsize)


def most(found: list[Part], when: When) -> int:
    """Bytes that are there together at this time."""
    return sum(part.bytes for part in found if part.when in ("always", when))


def peak(found: list[Part]) -> tuple[int, Any]:
    """(bytes, when) of the larger of update and rollout."""
    return max((most(found, "update"), "update"), (most(found, "rollout"), "rollout"))

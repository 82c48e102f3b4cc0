"""How answers are generated and scored: sampling, engines, broken rewards, the sandbox."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from rl.config.types import SETTINGS, AtLeastZero, Count, Positive, PositiveNumber, Share, number
from rollout.engines.base import Sampling
from rollout.modes import ForcedShare


@dataclass(frozen=True, config=SETTINGS)
class VLLMConfig:
    """The vLLM engines; see docs/engines.md."""

    gpu_memory_utilization: Annotated[float, BeforeValidator(number), Field(ge=0.01, le=1)] = 0.3
    """In-process: the share of GPU memory for weights and cache."""
    max_model_len: Count = 0
    """In-process: the longest sequence; 0: prompt cap + completion cap."""
    sleep: bool = False
    """In-process: give the memory back during updates."""
    eager: bool = False
    """In-process: run without CUDA graphs."""
    server_url: Annotated[str, Field(pattern="^https?://")] = "http://127.0.0.1:8000"
    """Server: its address."""
    timeout: PositiveNumber = 1800.0
    """Server: the seconds that one call may take."""
    patience: AtLeastZero = 300.0
    """Server: the seconds that it may be away, or answer with errors, before the run ends."""
    concurrency: Positive = 128
    """Server: how many calls are open at once."""


@dataclass(frozen=True, config=SETTINGS)
class ForcedConfig(ForcedShare):
    """The share of a group's rollouts whose mode is forced: `start` at step 0, linearly down to `floor` at
    `decay_steps`."""

    start: Share = 1.0
    """The share at step 0."""
    floor: Share = 0.3
    """The share from `decay_steps` on."""
    decay_steps: Count = 20
    """The step at which the floor is reached."""
    minimum: Count = 2
    """The fewest forced rollouts a mode; 0 turns forcing off where the share is 0."""
    minimum_share: Annotated[float, BeforeValidator(number), Field(ge=0, le=0.5)] = 0.0
    """The fewest forced rollouts a mode as a share of the group, rounded up."""
    points: list[list[Share]] = field(default_factory=list)
    """Replaces the line by pieces: pairs [share of the run, forced share], the first at 0."""


@dataclass(frozen=True, config=SETTINGS)
class RolloutConfig:
    """Sampling in training."""

    engine: Literal["auto", "hf", "hf_process", "vllm", "vllm_server"] = "auto"
    """What decodes; auto: vllm where a GPU and the package are present, else hf."""
    ahead: Annotated[int, Field(ge=0, le=1)] = 0
    """1 draws each round from the weights before the last update: while one trains, the next is decoded."""
    group_size: Positive = 8
    """Rollouts of a problem."""
    temperature: Annotated[float, BeforeValidator(number), Field(ge=0.01, le=100)] = 1.0
    """Temperature of sampling."""
    top_p: Annotated[float, BeforeValidator(number), Field(gt=0, le=1)] = 1.0
    """Nucleus sampling; 1 is off."""
    top_k: Count = 0
    """The number of tokens to sample from; 0 is off."""
    max_new_tokens: Positive = 256
    """The most tokens of a response."""
    max_new_tokens_by_mode: dict[str, Positive] = field(default_factory=dict)
    """The most tokens after the switch in a mode, such as {no_think: 64}, against direct answers that reason anyway;
    evaluation does not cut them."""
    max_prompt_tokens: Positive = 512
    """The most tokens of a prompt."""
    forced: ForcedConfig = field(default_factory=ForcedConfig)
    tagged_share: Annotated[float, BeforeValidator(number), Field(ge=0, le=0.5)] = 0.0
    """The share of the prompts that state a mode by `protocol.tags`, each mode in turn: nobody is forced there, the
    reward `judge` is 1 for the stated mode, and what the problem's modes are worth is not learned from them."""
    save_every: Positive = 10
    """Rollouts are saved every so many steps."""
    replay: str = ""
    """A file of recorded rollouts to train on instead of generating."""
    vllm: VLLMConfig = field(default_factory=VLLMConfig)

    def sampling(self) -> Sampling:
        """What the engine is told."""
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens, self.max_new_tokens_by_mode)


@dataclass(frozen=True, config=SETTINGS)
class RewardErrorsConfig:
    """What a broken reward does: an exception, a passed `timeout_s`, no score. A wrong answer is a score of 0."""

    policy: Literal["stop", "drop"] = "stop"
    """stop ends the run; drop leaves the rollout out of baselines, gradient and metrics."""
    max_share: Annotated[AtLeastZero, Field(le=0.99)] = 0.05
    """With drop the run ends when more than this share of a step's rollouts is broken."""


@dataclass(frozen=True, config=SETTINGS)
class SandboxConfig:
    """Where programs of the reward `code` run (docs/sandbox.md)."""

    workers: Positive | None = None
    """Programs at once on each rank; null: one a core."""
    tier: Annotated[int, Field(ge=1, le=3)] | None = None
    """The kind of isolation; null: the best that this machine has."""
    allow_weak: bool = False
    """Accept tier 3, which isolates little."""
    packages: list[str] = field(default_factory=list)
    """Installed packages that programs may import besides the standard library."""

"""How the policy is updated: the optimizer, the curriculum, the guard, control runs."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from rl.config.types import SETTINGS, AtLeastZero, Count, Positive, PositiveNumber, Rate, Share, number, unquoted_off

Schedule = Literal["constant", "constant_with_warmup", "linear", "cosine"]
Beta = Annotated[float, BeforeValidator(number), Field(ge=0, lt=1)]


@dataclass(frozen=True, config=SETTINGS)
class HistoryConfig:
    """What earlier visits to a problem count for, and which problems come again (rl/curriculum/resampling.py)."""

    decay: Share = 0.7
    """What pass counts are multiplied by at each new visit."""
    resample: Annotated[Literal["off", "srpo", "mode_aware"], BeforeValidator(unquoted_off)] = "off"
    """`srpo` leaves out prompts whose rollouts were all correct; `mode_aware` only those whose right mode the policy
    takes already."""
    warmup_visits: Positive = 1
    """mode_aware: the visits before a prompt may be left out."""
    settled: Share = 0.9
    """mode_aware: the probability of the right mode that counts as taken."""
    return_probability: Share = 0.05
    """mode_aware: the probability that a prompt comes back into a pass over the data."""


@dataclass(frozen=True, config=SETTINGS)
class TrainerConfig:
    """The update. `prompts_per_step` prompts with `rollout.group_size` rollouts each, over all ranks, make one
    optimizer step. The run ends after `steps` or once `token_budget` tokens have been generated; a budget also sets the
    pace of a `schedule` that falls."""

    steps: Positive = 100
    """Optimizer steps."""
    token_budget: Count = 0
    """Response tokens over all ranks after which the run ends, with the last step on them; 0: no limit."""
    prompts_per_step: Positive = 32
    """Prompts of one generation, over all ranks."""
    micro_batch: Count = 0
    """Rows of a round that go through the model at once on each rank, stored decisions beside them; 0: all."""
    micro_tokens: Count = 0
    """The most padded tokens of prompts and responses that a rank keeps activations of at once, whatever their rows; a
    longer row goes alone; 0: any number."""
    balance: bool = True
    """Rows of like length go through the model together, in as many micro-batches of at most the same padded tokens."""
    iterations: Positive = 1
    """Optimizer steps on each generation."""
    learning_rate: Rate = 1e-6
    """Peak learning rate of AdamW."""
    schedule: Schedule = "constant"
    """How the rate changes over the run."""
    warmup_steps: Count = 0
    """Steps over which the rate rises from 0."""
    weight_decay: AtLeastZero = 0.0
    """AdamW's weight decay."""
    adam_beta2: Beta = 0.999
    """AdamW's decay of squared gradients."""
    adam_epsilon: PositiveNumber = 1e-8
    """AdamW's term against division by zero."""
    max_grad_norm: AtLeastZero = 1.0
    """The gradient is cut to this norm; 0: never."""
    max_skipped: Positive = 10
    """Steps in a row whose loss or gradient is not finite, after which the run ends; no update is made of them."""
    clip_low: Share = 0.2
    """ε_low: the ratio counts down to 1 − ε_low."""
    clip_high: Annotated[float, BeforeValidator(number), Field(ge=0, le=100)] = 0.28
    """ε_high: the ratio counts up to 1 + ε_high."""
    engine_ratio_cap: Annotated[float, BeforeValidator(number), Field(ge=1, le=1e6)] = 2.0
    """Truncates the importance ratio between the trainer's policy and the one that an engine apart, or a round ahead,
    drew from."""
    kl: Annotated[float, BeforeValidator(number), Field(ge=0, le=100)] | None = None
    """Weight of the KL to the starting model; null: the algorithm's own, 0 for most."""
    save_every: Positive = 20
    """A checkpoint every so many steps."""
    keep_checkpoints: Annotated[int, Field(ge=2)] = 2
    """Checkpoints that are kept: two or more, so that a run killed while saving still has one."""
    bf16: bool = False
    """Mixed precision: bfloat16 compute over the weights' own type."""
    deepspeed: str = ""
    """A DeepSpeed configuration file."""
    fsdp: bool = False
    """Shard weights, gradients and optimizer over the ranks with torch's FSDP2; GPUs only."""
    rank_timeout: PositiveNumber = 1800.0
    """Seconds that a rank waits for the others before it ends; above the longest generation or reward of one rank."""


@dataclass(frozen=True, config=SETTINGS)
class StageConfig:
    """One phase of a curriculum (rl/curriculum/phases.py); keys left out keep the run's values."""

    steps: Count = 0
    """Optimizer steps of the phase."""
    train: str = ""
    """A data source of its own."""
    weights: dict[str, AtLeastZero] = field(default_factory=dict)
    """Weights that draw each problem's domain."""
    shares: dict[str, AtLeastZero] = field(default_factory=dict)
    """Weights that draw each problem's difficulty."""
    max_new_tokens: Positive | None = None
    """The most tokens of a response."""
    forced_share: Share | None = None
    """The share of rollouts whose mode is forced."""


@dataclass(frozen=True, config=SETTINGS)
class GuardConfig:
    """The collapse guard (rl/training/guard.py): sees a mode die, or reasoning leak into direct answers."""

    action: Annotated[Literal["off", "log", "floor"], BeforeValidator(unquoted_off)] = "log"
    """What an alarm does besides telling: nothing (log), or raise the forced share to `floor`; off: no alarms."""
    patience: Positive = 10
    """Generations in a row before an alarm."""
    share: Annotated[float, BeforeValidator(number), Field(ge=0, le=0.5)] = 0.02
    """A mode whose share of free choices is below this is collapsing."""
    disagreement: Share = 0.1
    """The share of problems whose target must disagree for an alarm."""
    floor: Share = 0.5
    """The forced share that the action floor sets."""
    leak_tokens: AtLeastZero = 1.5
    """Direct answers longer than this multiple of their first length are an alarm."""
    leak_words: Share = 0.2
    """The share of direct answers with reflective words that is an alarm."""
    words: list[str] = field(default_factory=list)
    """Replaces the reflective words that mark reasoning in a direct answer."""


@dataclass(frozen=True, config=SETTINGS)
class ControlConfig:
    """Control runs, whose rewards are spoiled on purpose."""

    permute_judge: bool = False
    """Deals the judge rewards out at random within each batch: the think rates must not separate."""
    flip_rewards: Share = 0.0
    """Turns this share of the correctness scores in training into their opposite; evaluations see the true ones."""

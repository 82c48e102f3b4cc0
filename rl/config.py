"""One YAML file a run, as typed sections: every key, its default and its meaning. Read by `rl/config_file.py`.

Nothing here imports torch: a bad configuration is refused in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rollout.errors import UserError
from rollout.plan import ForcedShare


class ConfigError(UserError):
    """A configuration that cannot be run; one line."""


@dataclass(frozen=True)
class DataConfig:
    """`train` and `test`: a jsonl file, a hub id (`hub:openai/gsm8k:main:train`), or `tiny` for the embedded world.
    `path` is a folder in front of relative files. `format`: problems (our fields) or gsm8k."""

    path: str = ""
    train: str = "tiny"
    test: str = "tiny"
    format: str = "problems"
    train_size: int | None = None
    test_size: int | None = None
    shares: dict[str, float] = field(default_factory=dict)
    easy: list[str] = field(default_factory=list)
    hard: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters instead of full fine-tuning; `rank` 0 is off."""

    rank: int = 0
    alpha: int = 32
    dropout: float = 0.0
    target_modules: list[str] | str = "all-linear"


@dataclass(frozen=True)
class ModelConfig:
    """`path`: a folder or hub id, `tiny` for the embedded model, or `gguf:FILE` (`gguf:PACKAGE` finds the one GGUF
    file that an installed package ships). `chat_template` is a file that replaces the tokenizer's template."""

    path: str = "tiny"
    dtype: str = "float32"
    attention: str = "sdpa"
    chat_template: str = ""
    gradient_checkpointing: bool = False
    lora: LoraConfig = field(default_factory=LoraConfig)


@dataclass(frozen=True)
class ProtocolConfig:
    """How the decision is spelled; see rollout/protocol.py."""

    name: str = "kat"
    think: str = ""
    no_think: str = ""
    system: str = ""
    add_tokens: bool = False
    judge_patience: int = 64
    template_kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RolloutConfig:
    """Sampling in training. `replay` trains on the rollouts of a recorded file instead of generating."""

    group_size: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    max_prompt_tokens: int = 512
    forced: ForcedShare = field(default_factory=ForcedShare)
    save_every: int = 10
    replay: str = ""


@dataclass(frozen=True)
class HistoryConfig:
    """Pass counts of earlier visits to a problem, multiplied by `decay` at each new one.

    `resample` (see rl/resampling.py): `off`; `srpo` leaves out prompts whose rollouts were all correct; `mode_aware`
    only those that had `warmup_visits`, are solved, and whose right mode the policy takes with probability `settled`
    or more, and lets each of them back into a pass over the data with `return_probability`."""

    decay: float = 0.7
    resample: str = "off"
    warmup_visits: int = 1
    settled: float = 0.9
    return_probability: float = 0.05


@dataclass(frozen=True)
class TrainerConfig:
    """The update. `prompts_per_step` prompts with `rollout.group_size` rollouts each, over all ranks, make one
    optimizer step; `micro_batch` rows go through the model at once on each rank (0: all). The run ends after `steps`,
    or once `token_budget` response tokens have been generated over all ranks (0: no limit)."""

    steps: int = 100
    token_budget: int = 0
    prompts_per_step: int = 32
    micro_batch: int = 0
    iterations: int = 1
    learning_rate: float = 1e-6
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    adam_beta2: float = 0.999
    max_grad_norm: float = 1.0
    clip_low: float = 0.2
    clip_high: float = 0.28
    kl: float = 0.0
    save_every: int = 20
    keep_checkpoints: int = 2
    bf16: bool = False
    deepspeed: str = ""


@dataclass(frozen=True)
class ColdStartConfig:
    """Supervised fine-tuning on both modes before RL. `shares`: difficulty shares of its problems in the embedded
    world (default: `data.shares`)."""

    problems: int = 1000
    shares: dict[str, float] = field(default_factory=dict)
    steps: int = 300
    batch: int = 16
    micro_batch: int = 0
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    warmup_steps: int = 20
    weight_decay: float = 0.0
    adam_beta2: float = 0.999
    max_length: int = 1024
    save_every: int = 0


@dataclass(frozen=True)
class EvaluationConfig:
    """Greedy evaluation in three modes on the same problems; `batch` rows at once. During training the policy's own
    choice is measured on the first `probe` test problems after every `every` steps and at the end (0: never)."""

    problems: int = 500
    batch: int = 256
    every: int = 0
    probe: int = 200
    max_new_tokens: int = 0


@dataclass(frozen=True)
class WandbConfig:
    """`mode`: online, offline or disabled. A table of `table_rows` sample rollouts every `table_every` steps."""

    mode: str = "offline"
    project: str = "step-srpo"
    name: str = ""
    table_every: int = 20
    table_rows: int = 8


@dataclass(frozen=True)
class ControlConfig:
    """Control runs. `permute_judge` deals the judge rewards out at random within each batch: nothing about the
    problem is left in them, so the think rates must not separate. `flip_rewards` turns this share of the correctness
    scores in training into their opposite; evaluations see the true ones."""

    permute_judge: bool = False
    flip_rewards: float = 0.0


@dataclass(frozen=True)
class StageConfig:
    """One stage of a curriculum; see rl/stages.py."""

    steps: int = 0
    train: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    max_new_tokens: int | None = None
    forced_share: float | None = None


@dataclass(frozen=True)
class GuardConfig:
    """The collapse guard; see rl/guard.py. `action`: off, log, floor (raise the forced share to `floor`), balance
    or stop. `words` replaces the reflective words that mark reasoning in a direct answer."""

    action: str = "log"
    patience: int = 10
    share: float = 0.02
    disagreement: float = 0.1
    floor: float = 0.5
    leak_tokens: float = 1.5
    leak_words: float = 0.2
    words: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Config:
    """A whole run. `rewards` and `algorithm` are free-form: their keys are checked by the functions they name."""

    run_dir: str = "runs/run"
    seed: int = 0
    resume: str = "auto"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    rewards: list[dict[str, Any]] = field(default_factory=list)
    algorithm: dict[str, Any] = field(default_factory=lambda: {"name": "step_srpo"})
    history: HistoryConfig = field(default_factory=HistoryConfig)
    stages: list[StageConfig] = field(default_factory=list)
    guard: GuardConfig = field(default_factory=GuardConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    cold_start: ColdStartConfig = field(default_factory=ColdStartConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    control: ControlConfig = field(default_factory=ControlConfig)

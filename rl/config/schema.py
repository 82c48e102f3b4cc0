"""One YAML file a run, as typed sections: every key, its default and its meaning. Read by `rl/config/read.py`.

Nothing here imports torch: a bad configuration is refused in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rl.config.cold_start import GateConfig, GearsConfig, LabelConfig, SelectConfig
from rollout.engines.base import Sampling
from rollout.errors import UserError
from rollout.modes import ForcedShare


class ConfigError(UserError):
    """A configuration that cannot be run; one line."""


@dataclass(frozen=True)
class DataConfig:
    """`train` and `test`: a jsonl, json, csv or parquet file, a folder or pattern of them, a saved data set, a hub id
    (`hub:openai/gsm8k:main:train`), a list of these, `reasoning_gym:TASK?field=value`, or `tiny` for the embedded
    world. `path` is a folder in front of relative files. `format` names the adapter, see docs/data.md, and `columns`
    which column each of its fields is, such as {prompt: problem, answer: final}; each may be given apart, as {train: …,
    test: …}. `on_bad_row`: stop, or skip up to the share `max_bad_share`. Of the gold answers that are tried, at most
    `max_bad_gold` may fail their reward; a cleaned copy may lack at most `max_drop` of a split. `seed` draws the
    problems of an embedded world, and of a file where fewer are wanted (null: the run's own seed), and `draw` says how:
    random, domain or difficulty (as many of each), see rl/data/draw.py."""

    path: str = ""
    train: str | list[str] = "tiny"
    test: str | list[str] = "tiny"
    format: str | dict[str, str] = "problems"
    columns: dict[str, Any] = field(default_factory=dict)
    on_bad_row: str = "stop"
    max_bad_share: float = 0.05
    max_bad_gold: float = 0.1
    max_drop: float = 0.5
    seed: int | None = None
    draw: str = "random"
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
    """How the decision is spelled; see rollout/protocol.py. `tags` states a mode in a prompt: text to append for each
    of `think` and `no_think`, or text with the field `{prompt}`."""

    name: str = "kat"
    think: str = ""
    no_think: str = ""
    system: str = ""
    add_tokens: bool = False
    judge_patience: int = 64
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VLLMConfig:
    """The vLLM engines; see docs/engines.md. In-process: the share of GPU memory for weights and cache,
    `max_model_len` (0: prompt cap + completion cap), `sleep` gives the memory back during updates, `eager` runs without
    CUDA graphs. Server: its URL, the seconds that one call may take, and how many calls are open at once."""

    gpu_memory_utilization: float = 0.3
    max_model_len: int = 0
    sleep: bool = False
    eager: bool = False
    server_url: str = "http://127.0.0.1:8000"
    timeout: float = 1800.0
    concurrency: int = 128


@dataclass(frozen=True)
class RolloutConfig:
    """Sampling in training. `engine`: auto, hf, vllm or vllm_server (auto: vllm where a GPU and the package are
    present, else hf). `max_new_tokens_by_mode`: the most tokens after the switch in a mode, such as {no_think: 64},
    against direct answers that reason anyway (evaluation does not cut them). `replay` trains on the rollouts of a
    recorded file instead of generating."""

    engine: str = "auto"
    group_size: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    max_new_tokens_by_mode: dict[str, int] = field(default_factory=dict)
    max_prompt_tokens: int = 512
    forced: ForcedShare = field(default_factory=ForcedShare)
    save_every: int = 10
    replay: str = ""
    vllm: VLLMConfig = field(default_factory=VLLMConfig)

    def sampling(self) -> Sampling:
        """What the engine is told. Raises `ValueError` on values out of range."""
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens, self.max_new_tokens_by_mode)


@dataclass(frozen=True)
class RewardErrorsConfig:
    """What a broken reward does (an exception, a passed `timeout_s`, no score; a wrong answer is a score of 0).
    `policy`: stop ends the run; drop leaves its rollout out of baselines, gradient and metrics, and ends the run when
    more than `max_share` of a step's rollouts are broken."""

    policy: str = "stop"
    max_share: float = 0.05


@dataclass(frozen=True)
class SandboxConfig:
    """Where programs of the reward `code` run (docs/sandbox.md). `workers`: at once on each rank (null: one a core);
    `tier`: 1, 2 or 3 (null: the best that this machine has); `allow_weak` accepts tier 3."""

    workers: int | None = None
    tier: int | None = None
    allow_weak: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"sandbox.workers is {self.workers}; allowed: 1 or more, or null for one a core")
        if self.tier not in (None, 1, 2, 3):
            raise ValueError(f"sandbox.tier is {self.tier}; allowed: 1, 2, 3, or null for the best")
        if self.tier == 3 and not self.allow_weak:
            raise ValueError("sandbox.tier is 3, which is weak; allowed: with sandbox.allow_weak: true")


@dataclass(frozen=True)
class HistoryConfig:
    """Pass counts of earlier visits to a problem, multiplied by `decay` at each new one.

    `resample` (see rl/curriculum/resampling.py): `off`; `srpo` leaves out prompts whose rollouts were all correct;
    `mode_aware` only those that had `warmup_visits`, are solved, and whose right mode the policy takes with probability
    `settled` or more, and lets each of them back into a pass over the data with `return_probability`."""

    decay: float = 0.7
    resample: str = "off"
    warmup_visits: int = 1
    settled: float = 0.9
    return_probability: float = 0.05


@dataclass(frozen=True)
class TrainerConfig:
    """The update. `prompts_per_step` prompts with `rollout.group_size` rollouts each, over all ranks, make one
    optimizer step; `micro_batch` rows go through the model at once on each rank (0: all). With `balance` rows of like
    length go together, in as many micro-batches of at most the same padded tokens (rl/training/balanced_trainer.py).
    The run ends after `steps`, or once `token_budget` response tokens have been generated over all ranks (0: no limit),
    which then set the pace of a `schedule` that falls. `kl` is the weight of the KL to the starting model (null: the
    algorithm's own, 0 for most). `engine_ratio_cap` truncates the importance ratio between the trainer's policy and a
    vLLM engine's (rl/training/off_policy.py)."""

    steps: int = 100
    token_budget: int = 0
    prompts_per_step: int = 32
    micro_batch: int = 0
    balance: bool = True
    iterations: int = 1
    learning_rate: float = 1e-6
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    clip_low: float = 0.2
    clip_high: float = 0.28
    engine_ratio_cap: float = 2.0
    kl: float | None = None
    save_every: int = 20
    keep_checkpoints: int = 2
    bf16: bool = False
    deepspeed: str = ""


@dataclass(frozen=True)
class ColdStartConfig:
    """Supervised fine-tuning on both modes before RL. `shares`: difficulty shares of its problems in the embedded
    world (default: `data.shares`). `labels`: a labelled file whose shortest correct answers replace worked
    solutions."""

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
    labels: str = ""
    gears: GearsConfig = field(default_factory=GearsConfig)
    gate: GateConfig = field(default_factory=GateConfig)


@dataclass(frozen=True)
class EvaluationConfig:
    """Greedy evaluation in three modes on the same problems; `batch` rows at once. During training the policy's own
    choice is measured on `probe` test problems after every `every` generations and at the end (0: never)."""

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
    """One stage of a curriculum; see rl/curriculum/phases.py."""

    steps: int = 0
    train: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    max_new_tokens: int | None = None
    forced_share: float | None = None


@dataclass(frozen=True)
class GuardConfig:
    """The collapse guard; see rl/training/guard.py. `action`: off, log, floor (raise the forced share to `floor`),
    balance or stop. `words` replaces the reflective words that mark reasoning in a direct answer."""

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
    reward_errors: RewardErrorsConfig = field(default_factory=RewardErrorsConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    algorithm: dict[str, Any] = field(default_factory=lambda: {"name": "step_srpo"})
    history: HistoryConfig = field(default_factory=HistoryConfig)
    stages: list[StageConfig] = field(default_factory=list)
    guard: GuardConfig = field(default_factory=GuardConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    cold_start: ColdStartConfig = field(default_factory=ColdStartConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    control: ControlConfig = field(default_factory=ControlConfig)

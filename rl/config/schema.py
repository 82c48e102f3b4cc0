"""One YAML file a run, as typed sections: every key, its default, its range and its meaning stand at its field.

`rl/config/read.py` reads it, `rl/config/contradictions.py` compares values with each other, docs/configuration.md is
made from it. Nothing here imports torch: a bad configuration is refused in a second.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from rl.config.cold_start import ColdStartConfig, GateConfig, GearsConfig, LabelConfig, SelectConfig
from rl.config.distillation import ChooseConfig, DistillConfig, IterateConfig, TeacherConfig
from rl.config.errors import ConfigError
from rl.config.inputs import DataConfig, LoraConfig, ModelConfig, ProtocolConfig
from rl.config.records import EvaluationConfig, WandbConfig
from rl.config.rollouts import ForcedConfig, RewardErrorsConfig, RolloutConfig, SandboxConfig, VLLMConfig
from rl.config.types import SETTINGS, Seed
from rl.config.update import ControlConfig, GuardConfig, HistoryConfig, StageConfig, TrainerConfig

DEFAULT_ALGORITHM = "step_srpo"

__all__ = [
    "DEFAULT_ALGORITHM",
    "ChooseConfig",
    "ColdStartConfig",
    "Config",
    "ConfigError",
    "ControlConfig",
    "DataConfig",
    "DistillConfig",
    "EvaluationConfig",
    "ForcedConfig",
    "GateConfig",
    "GearsConfig",
    "GuardConfig",
    "HistoryConfig",
    "IterateConfig",
    "LabelConfig",
    "LoraConfig",
    "ModelConfig",
    "ProtocolConfig",
    "RewardErrorsConfig",
    "RolloutConfig",
    "SandboxConfig",
    "SelectConfig",
    "StageConfig",
    "TeacherConfig",
    "TrainerConfig",
    "VLLMConfig",
    "WandbConfig",
]


@dataclass(frozen=True, config=SETTINGS)
class Config:
    """A whole run. `rewards` and `algorithm` are free-form: their keys are checked by the functions they name."""

    run_dir: str = "runs/run"
    """Where everything of the run is written."""
    seed: Seed = 0
    """Draws everything that is drawn."""
    resume: Literal["auto", "never"] = "auto"
    """auto leaves what is finished and goes on with what was begun; never moves it to old/TIME/ and starts anew."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    rewards: list[dict[str, Any]] = field(default_factory=list)
    """The rewards: name, step, weight and the function's own parameters (docs/rewards.md)."""
    reward_errors: RewardErrorsConfig = field(default_factory=RewardErrorsConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    algorithm: dict[str, Any] = field(default_factory=lambda: {"name": DEFAULT_ALGORITHM})
    """`step_srpo`, one of its peers or `file.py:function`, and its parameters (docs/algorithms.md)."""
    history: HistoryConfig = field(default_factory=HistoryConfig)
    stages: list[StageConfig] = field(default_factory=list)
    """The phases of a curriculum; none: one mix over all problems."""
    guard: GuardConfig = field(default_factory=GuardConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    cold_start: ColdStartConfig = field(default_factory=ColdStartConfig)
    teachers: list[TeacherConfig] = field(default_factory=list)
    """The models that write, rewrite or judge chains of thought, each with its name."""
    distill: DistillConfig = field(default_factory=DistillConfig)
    iterate: IterateConfig = field(default_factory=IterateConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    control: ControlConfig = field(default_factory=ControlConfig)


def longest_response(config: Config) -> int:
    """The highest length cap of the run, in tokens."""
    limits = [stage.max_new_tokens or config.rollout.max_new_tokens for stage in config.stages]
    return max(limits, default=config.rollout.max_new_tokens)

"""What is measured and written down: evaluation and W&B."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from rl.config.types import SETTINGS, Count, Positive


def budgets(value: Any) -> Any:
    """One number, or numbers with commas between them, as a list."""
    if isinstance(value, str):
        value = [int(part) if part.strip().isdecimal() else part for part in value.split(",") if part.strip()]
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True, config=SETTINGS)
class EvaluationConfig:
    """Evaluation in three modes on the same problems: greedy, or several samples of each."""

    problems: Positive = 500
    """So many test problems, drawn (docs/data.md)."""
    samples: Positive = 1
    """Answers of each mode; 1 is greedy, more are drawn as `rollout` draws."""
    batch: Positive = 256
    """Rows decoded at once."""
    every: Count = 0
    """All three modes are measured before RL, after every so many generations and at the end; 0: never."""
    probe: Positive = 200
    """The test problems that they are measured on during training."""
    max_new_tokens: Count = 0
    """The most tokens of an answer; 0: `rollout.max_new_tokens`."""
    budget: Annotated[list[Count], BeforeValidator(budgets)] = field(default_factory=list)
    """Thinking budgets in tokens, such as 256,1024: accuracy is measured at each."""


@dataclass(frozen=True, config=SETTINGS)
class WandbConfig:
    """Weights & Biases; the same keys go to `metrics.jsonl`."""

    mode: Literal["online", "offline", "disabled"] = "offline"
    """Where it logs to."""
    project: str = "step-srpo"
    """The project's name."""
    name: str = ""
    """The run's name; default: the run folder's."""
    tensorboard: bool = False
    """Write the same keys for TensorBoard too, below the run folder; needs the package tensorboard."""
    table_every: Positive = 20
    """A table of sample rollouts every so many steps."""
    table_rows: Positive = 8
    """Rows of that table."""

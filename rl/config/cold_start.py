"""Configuration of the stages before RL: labels, selection, the two gears, the gate."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LabelConfig:
    """Necessity labels (rl/cold_start/label.py) of `problems` training problems (0: all). `samples` answers
    of each mode by `model` (default: the manual gear's where there is one, else `model.path`), decoded `batch` rows at
    once; `delta` is how much better thinking must be; `random_share` of the problems get a random label. A direct
    answer above `direct_tokens` tokens (0: no limit), or one with a reflective word, is reasoning in disguise and never
    kept as an example."""

    problems: int = 0
    samples: int = 8
    model: str = ""
    delta: float = 0.05
    random_share: float = 0.02
    batch: int = 256
    max_new_tokens: int = 0
    direct_tokens: int = 0


@dataclass(frozen=True)
class SelectConfig:
    """Selection by complexity (rl/cold_start/selection.py): a normal density around `mu` with spread `sigma`, at least
    `floor`."""

    mu: float = 0.45
    sigma: float = 0.25
    floor: float = 0.1


@dataclass(frozen=True)
class GearsConfig:
    """Two gears instead of one fine-tuning (rl/cold_start/gears.py): `manual_steps` on prompts that state the mode by
    `protocol.tags`, then `automatic_steps` on the model's own best answers to prompts that do not. Both 0: no gears; 0
    manual steps: the model knows both modes already. `think_share` of the first gear's rows are in think mode: the mean
    is over tokens, and with equal shares short direct answers have a small part of it. `keep`: best, one answer a
    problem, or each_mode, one of each mode. `labels` are labelled (and selected) problems to take those answers from;
    without it the gear samples its own. `manual_share` of the second gear's rows state the mode, so that a tag keeps
    winning. `automatic_learning_rate`: the second gear's (0: `cold_start.learning_rate`); it starts with an optimizer
    that has seen nothing."""

    manual_steps: int = 0
    automatic_steps: int = 0
    keep: str = "each_mode"
    labels: str = ""
    think_share: float = 0.5
    manual_share: float = 0.25
    automatic_learning_rate: float = 0.0


@dataclass(frozen=True)
class GateConfig:
    """What RL needs of the policy (rl/cold_start/gate.py), measured on `problems` training problems (0: no gate): a
    mean switch probability of each mode within limits, accuracy of each forced mode at or above a floor, and with
    `protocol.tags` the share of tagged prompts answered in the stated mode."""

    problems: int = 64
    min_switch_probability: float = 0.05
    max_switch_probability: float = 0.95
    min_accuracy: dict[str, float] = field(default_factory=lambda: {"think": 0.05, "no_think": 0.02})
    min_obedience: float = 0.8

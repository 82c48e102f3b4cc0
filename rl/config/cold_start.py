"""The stages before RL: labels, selection, fine-tuning in one or two gears, the gate."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from rl.config.types import SETTINGS, AtLeastZero, Count, Positive, Rate, Share, number
from rl.config.update import Beta, Schedule


@dataclass(frozen=True, config=SETTINGS)
class LabelConfig:
    """Necessity labels (rl/cold_start/label.py): how often the model solves a problem in each mode."""

    problems: Count = 0
    """So many training problems; 0: all."""
    samples: Positive = 8
    """Answers of each mode."""
    model: str = ""
    """Who answers; default: the manual gear's model where there is one, else `model.path`."""
    delta: Share = 0.05
    """How much better thinking must be."""
    random_share: Share = 0.02
    """The share of problems that get a random label."""
    batch: Positive = 256
    """Rows decoded at once."""
    max_new_tokens: Count = 0
    """The most tokens of an answer; 0: `rollout.max_new_tokens`."""
    direct_tokens: Count = 0
    """A direct answer above so many tokens is reasoning in disguise and never kept as an example; 0: no limit."""


@dataclass(frozen=True, config=SETTINGS)
class SelectConfig:
    """Selection by complexity (rl/cold_start/selection.py): a normal density, at least `floor`."""

    mu: Share = 0.45
    """The complexity that is kept most."""
    sigma: Annotated[float, BeforeValidator(number), Field(ge=0.01, le=100)] = 0.25
    """The spread around it."""
    floor: Share = 0.1
    """The least probability of keeping a problem."""
    problems: Count = 0
    """So many problems are kept, the likelier ones more often; 0: each is drawn by its probability."""


@dataclass(frozen=True, config=SETTINGS)
class GearsConfig:
    """Two gears instead of one fine-tuning (rl/cold_start/gears.py): first on prompts that state the mode by
    `protocol.tags`, then on the model's own best answers to prompts that do not. Both steps 0: no gears; 0 manual
    steps: the model knows both modes already."""

    manual_steps: Count = 0
    """Steps of the first gear."""
    automatic_steps: Count = 0
    """Steps of the second gear."""
    keep: Literal["best", "each_mode"] = "each_mode"
    """Answers of a problem in the second gear: the best one, or one of each mode."""
    labels: str = ""
    """Labelled (and selected) problems to take the answers from; without it the gear samples its own."""
    think_share: Annotated[float, BeforeValidator(number), Field(ge=0.05, le=0.95)] = 0.5
    """The share of the first gear's rows in think mode; the mean is over tokens, so short direct answers count for
    little with equal shares."""
    manual_share: Annotated[float, BeforeValidator(number), Field(ge=0, le=0.9)] = 0.25
    """The share of the second gear's rows that state the mode, so that a tag keeps winning."""
    automatic_learning_rate: Annotated[float, BeforeValidator(number), Field(ge=0, le=10)] = 0.0
    """The second gear's learning rate; 0: `cold_start.learning_rate`."""


@dataclass(frozen=True, config=SETTINGS)
class GateConfig:
    """What RL needs of the policy (rl/cold_start/gate.py), measured before it starts."""

    problems: Count = 64
    """Training problems to measure on; 0: no gate."""
    min_switch_probability: Share = 0.05
    """The least mean probability of either mode."""
    max_switch_probability: Share = 0.95
    """The largest mean probability of either mode."""
    min_accuracy: dict[str, Share] = field(default_factory=lambda: {"think": 0.05, "no_think": 0.02})
    """The least accuracy of each forced mode."""
    min_obedience: Share = 0.8
    """With `protocol.tags`: the least share of tagged prompts that are answered in the stated mode."""


@dataclass(frozen=True, config=SETTINGS)
class ColdStartConfig:
    """Supervised fine-tuning on both modes before RL."""

    problems: Positive = 1000
    """Problems to fine-tune on."""
    shares: dict[str, AtLeastZero] = field(default_factory=dict)
    """Difficulty shares of its problems in an embedded world or in `arithmetic`; default: `data.shares`."""
    steps: Positive = 300
    """Optimizer steps."""
    batch: Positive = 16
    """Rows a step."""
    micro_batch: Count = 0
    """Rows that go through the model at once; 0: all."""
    think_share: Annotated[float, BeforeValidator(number), Field(ge=0.05, le=0.95)] = 0.5
    """The share of the rows in think mode; above a half the policy starts out thinking, as distilled models do."""
    tagged_share: Annotated[float, BeforeValidator(number), Field(ge=0, le=0.9)] = 0.0
    """The share of the rows of each mode whose prompts state it by `protocol.tags`; the first gear states it in all."""
    learning_rate: Rate = 1e-4
    """Peak learning rate of AdamW."""
    schedule: Schedule = "cosine"
    """How the rate changes."""
    warmup_steps: Count = 20
    """Steps over which the rate rises from 0."""
    weight_decay: AtLeastZero = 0.0
    """AdamW's weight decay."""
    adam_beta2: Beta = 0.999
    """AdamW's decay of squared gradients."""
    max_length: Positive = 1024
    """The most tokens of a row."""
    save_every: Count = 100
    """A checkpoint every so many steps; 0: none."""
    labels: str = ""
    """A labelled file whose shortest correct answers replace worked solutions."""
    gears: GearsConfig = field(default_factory=GearsConfig)
    gate: GateConfig = field(default_factory=GateConfig)

    def rows_by_mode(self, manual: bool = False) -> tuple[int, int]:
        """(think, direct) rows of a step, one at least of each; `manual`: of the first gear."""
        think = round(self.batch * self.gears.think_share) if manual else int(self.batch * self.think_share)
        think = min(max(think, 1), self.batch - 1)
        return think, self.batch - think

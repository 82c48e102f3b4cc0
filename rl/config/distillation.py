"""From a teacher to a student: who is asked, which chains are kept, how often the student is tuned and merged."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from rl.config.types import SETTINGS, AtLeastZero, Count, Number, OneOf, Positive, PositiveNumber, Share, number
from rollout.layouts import PROTOCOLS


@dataclass(frozen=True, config=SETTINGS)
class TeacherConfig:
    """A model that writes, rewrites or judges chains (rl/distillation/teachers.py): with `base_url` behind an
    OpenAI-compatible endpoint, else in this process with the engine that `rollout.engine` names."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9]")] = "teacher"
    """What rows and tables call it; no `#`, `~` or `|` in it."""
    base_url: str = ""
    """An endpoint, such as https://api.example.org/v1; empty: a model of this machine."""
    model: str = ""
    """The model's name at the endpoint (empty: the first that it lists), or a folder or hub id."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable with the endpoint's key; the key itself stands in no file."""
    prompt: Literal["plain", "tags"] = "plain"
    """How it is asked to write: plain is the question alone, for models that think by themselves; tags asks for a
    thought and a solution between tags."""
    temperature: Annotated[float, BeforeValidator(number), Field(ge=0, le=100)] = 1.0
    """Temperature of what it writes; it judges greedily."""
    max_tokens: Positive = 4096
    """The most tokens of an answer, its thought included."""
    options: dict[str, Any] = field(default_factory=dict)
    """What else goes into every request to the endpoint, such as top_p or chat_template_kwargs."""
    prompt_price: AtLeastZero = 0.0
    """Money for a million prompt tokens."""
    completion_price: AtLeastZero = 0.0
    """Money for a million completion tokens."""
    concurrency: Positive = 16
    """How many calls are open at once, or rows decoded at once."""
    retries: Count = 6
    """How often a call is tried again after 429, 5xx, a timeout or a cut stream."""
    timeout: PositiveNumber = 600.0
    """The seconds that one try may take."""
    protocol: Annotated[str, OneOf(("same", *PROTOCOLS))] = "same"
    """The layout of a model of this machine; same: the run's own `protocol` section."""


@dataclass(frozen=True, config=SETTINGS)
class ChooseConfig:
    """Which chains the student learns from (rl/distillation/selection.py)."""

    method: Literal["student", "thoughtx", "mixer", "correct", "all"] = "student"
    """student: by the student's own pass rates; thoughtx and mixer: EasyDistill's rules; correct: every correct chain;
    all: every chain with a thought and a solution."""
    labels: str = ""
    """For student: the pass rates, a file of scripts/label_necessity.py."""
    margin: Share = 0.05
    """For student: no thinking where it gains at most this."""
    samples_per_bin: Count = 0
    """For mixer: the chains of each bin of difficulty; 0: all."""
    bins: list[Number] = field(default_factory=lambda: [0.0, 3.0, 6.0, 10.0])
    """For mixer: the edges of the bins."""
    target: Literal["matched", "low", "medium", "high"] | Number = "matched"
    """For mixer: the verbosity wanted: matched rises with the bin, low, medium and high are 2, 5 and 8, or a number."""
    format: Literal["messages", "omnithought", "easydistill", "easydistill2", "chains"] = "messages"
    """The format of the second file, for other programs."""


@dataclass(frozen=True, config=SETTINGS)
class DistillConfig:
    """Chains of thought from teachers, in stages (scripts/distill.py): generate, score, select."""

    questions: str = ""
    """A file of questions: problem, instruction, question or prompt, optionally answer, id and system; empty:
    `data.train`."""
    problems: Count = 0
    """So many of them; 0: all."""
    chains: Positive = 4
    """Chains of each writer a problem."""
    writers: list[str] = field(default_factory=list)
    """The `teachers` that write; empty: all that neither judge nor rewrite."""
    rewriter: str = ""
    """The teacher that rewrites; empty: the first writer."""
    rewrite: list[Literal["long_to_short", "short_to_long"]] = field(default_factory=list)
    """Rewritings of every chain, each a chain of its own with the same solution."""
    judges: list[str] = field(default_factory=list)
    """The teachers that judge: the first gives the scores, the second is compared with it."""
    budget_tokens: Positive | None = None
    """The most tokens, prompts and answers, of all stages together; null: no limit."""
    budget_money: PositiveNumber | None = None
    """The most money, by the teachers' prices; null: no limit."""
    choose: ChooseConfig = field(default_factory=ChooseConfig)


@dataclass(frozen=True, config=SETTINGS)
class IterateConfig:
    """Iterations of measuring, selecting, fine-tuning and merging (scripts/iterate.py); fine-tuning is
    `cold_start`'s, `cold_start.steps` an iteration."""

    iterations: Positive = 3
    """How many."""
    checkpoints: Positive = 3
    """Checkpoints of an iteration that are merged."""
    scale: Annotated[float, BeforeValidator(number), Field(gt=0, le=10)] = 1.0
    """λ: how much of the checkpoints' mean delta is kept."""
    chains: str = ""
    """Scored chains; empty: `run_dir`/distill/scored.jsonl."""
    by_difficulty: bool = True
    """Draw the problems of an iteration by `select`, from the present model's own difficulty; false: all of them."""

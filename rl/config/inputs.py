"""What a run starts from: data, model, and how the decision is spelled."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from rl.config.types import SETTINGS, AtLeastZero, Count, OneOf, Positive, Seed, Share, number
from rollout.layouts import PROTOCOLS

Attention = Annotated[
    str, OneOf(("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention"), pattern="/")
]


@dataclass(frozen=True, config=SETTINGS)
class DataConfig:
    """The problems of training and test; docs/data.md has the formats. `train` and `test` are each a jsonl, json, csv
    or parquet file, a folder or pattern of them, a saved data set, a hub id (`hub:openai/gsm8k:main:train`), a list of
    these, `reasoning_gym:TASK?field=value`, `arithmetic` (sums), or `tiny` for the embedded world."""

    path: str = ""
    """Folder in front of relative files."""
    train: str | list[str] = "tiny"
    """Where the training problems are."""
    test: str | list[str] = "tiny"
    """Where the test problems are."""
    format: str | dict[str, str] = "problems"
    """The adapter that turns rows into problems; for each split apart as {train: …, test: …}."""
    columns: dict[str, Any] = field(default_factory=dict)
    """Which column each field of the format is, such as {prompt: problem, answer: final}; for each split apart as
    {train: {…}, test: {…}}."""
    on_bad_row: Literal["stop", "skip"] = "stop"
    """What a bad row does; `skip` leaves out up to the share `max_bad_share`."""
    max_bad_share: Share = 0.05
    """The share of rows that `skip` may leave out."""
    max_bad_gold: Share = 0.1
    """The share of the tried gold answers that may fail their reward."""
    max_drop: Share = 0.5
    """The share of a split that a cleaned copy (scripts/check_data.py --out) may leave out."""
    seed: Seed | None = None
    """Draws the problems of an embedded world, and those of a file where fewer are wanted; null: the run's own
    seed."""
    draw: Literal["random", "domain", "difficulty"] = "random"
    """How those of a file are drawn: any, or as many of each domain or difficulty (rl/data/draw.py)."""
    train_size: Positive | None = None
    """The number of training problems; null: all, 800 of `arithmetic`."""
    test_size: Positive | None = None
    """The number of test problems; null: all, 200 of `arithmetic`."""
    shares: dict[str, AtLeastZero] = field(default_factory=dict)
    """Difficulty shares of the problems of an embedded world, or of `arithmetic`; both splits have them."""
    easy: list[str] = field(default_factory=list)
    """The difficulties that tables and goals call easy."""
    hard: list[str] = field(default_factory=list)
    """The difficulties that tables and goals call hard."""


@dataclass(frozen=True, config=SETTINGS)
class LoraConfig:
    """Low-rank adapters instead of full fine-tuning."""

    rank: Count = 0
    """Rank of the adapters; 0 is off."""
    alpha: Positive = 32
    """Scale of the adapters; their product is multiplied by alpha / rank."""
    dropout: Annotated[float, BeforeValidator(number), Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapters."""
    target_modules: list[str] | str = "all-linear"
    """The layers that get adapters: a list of names, or a word that peft knows."""


@dataclass(frozen=True, config=SETTINGS)
class ModelConfig:
    """The policy's weights."""

    path: str = "tiny"
    """A folder or hub id, `tiny` for the embedded model, `gguf:FILE`, or `gguf:PACKAGE` for the one GGUF file that an
    installed package ships."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The type of the weights."""
    attention: Attention = "sdpa"
    """The attention kernel, as transformers names it; a text with `/` is a kernel of the hub."""
    chat_template: str = ""
    """A file that replaces the tokenizer's chat template."""
    trust_remote_code: bool = False
    """Run the code that comes with the model, where it needs code of its own."""
    gradient_checkpointing: bool = False
    """Trade compute for memory: activations are computed anew in the backward pass."""
    lora: LoraConfig = field(default_factory=LoraConfig)


@dataclass(frozen=True, config=SETTINGS)
class ProtocolConfig:
    """How the decision is spelled; see docs/own_model.md. Texts that are empty are the layout's own."""

    name: Annotated[str, OneOf(PROTOCOLS)] = "kat"
    """The layout of the decision; auto finds it from the chat template and prints what it found."""
    think: str = ""
    """The think switch, one token; empty in `prefixes`: any other token than the other mode's."""
    no_think: str = ""
    """The no_think switch, one token; empty in `prefixes`: any other token than the other mode's."""
    think_after: str = ""
    """What stands between the think switch and the thought."""
    no_think_after: str = ""
    """What stands between the no_think switch and the answer."""
    thought_end: str = ""
    """What stands between a thought and its answer, with the tag that closes the thought."""
    answer_end: str = ""
    """What stands between an answer and its end of turn, such as a closing tag."""
    prompt_cut: str = ""
    """What is taken off the end of the rendered prompt, so that it ends at the decision."""
    prompt_suffix: str = ""
    """What is put at the end of the rendered prompt instead."""
    control_tokens: bool = False
    """Allow control tokens in the texts of prompts; they are counted."""
    system: str = ""
    """System text in front of every prompt that has none."""
    add_tokens: bool = False
    """Add decision tokens that the tokenizer lacks; the cold start trains them."""
    judge_patience: Count = 64
    """Tokens of judge text after which the decision is asked for."""
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the chat template."""
    tags: dict[str, str] = field(default_factory=dict)
    """Texts that state a mode in a prompt: text to append for each of `think` and `no_think`, or text with the field
    `{prompt}`."""

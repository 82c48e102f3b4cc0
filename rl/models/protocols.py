"""From `protocol` in the configuration to a layout over the run's tokenizer, with all that is found on the way."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from rl.config.schema import Config
from rollout.budget import closing_words
from rollout.chat import Chat
from rollout.families import Found, find_protocol
from rollout.layouts import layout
from rollout.protocol import DecisionProtocol

TEXTS = ("think_after", "no_think_after", "thought_end", "answer_end", "prompt_cut", "prompt_suffix")
STARTED = "started.json"


def find_layout(config: Config, tokenizer: PreTrainedTokenizerBase) -> Found:
    """The layout and the template arguments of a run; settings that are written down win over what is found. Raises
    `ProtocolError` where there is none."""
    settings, chat = config.protocol, Chat(tokenizer, config.protocol.template_kwargs, run_date(config))
    if settings.name == "auto":
        found = find_protocol(chat)
    else:
        found = Found(layout(settings.name, settings.think, settings.no_think), {}, ())
    named = {name: getattr(settings, name) for name in (*TEXTS, "think", "no_think")}
    spec = replace(found.spec, **{name: text for name, text in named.items() if text})
    return Found(spec, {**found.arguments, **settings.template_kwargs}, found.lines)


def build_protocol(config: Config, tokenizer: PreTrainedTokenizerBase) -> DecisionProtocol:
    """The configured decision protocol over this tokenizer. Raises `ProtocolError` when a token is missing."""
    settings, found = config.protocol, find_layout(config, tokenizer)
    return DecisionProtocol(
        tokenizer,
        found.spec,
        system=settings.system or None,
        judge_patience=settings.judge_patience,
        template_kwargs=dict(found.arguments),
        tags=settings.tags,
        end_ids=generation_ends(tokenizer),
        control_tokens=settings.control_tokens,
        today=run_date(config),
        notes=found.lines,
        closing_words=closing_words(Chat(tokenizer), model_type(tokenizer), found.spec.thought_end),
    )


def model_type(tokenizer: PreTrainedTokenizerBase) -> str:
    """The `model_type` of the model beside the tokenizer; "" where none lies there."""
    try:
        return str(AutoConfig.from_pretrained(tokenizer.name_or_path).model_type) if tokenizer.name_or_path else ""
    except (OSError, ValueError):
        return ""


def generation_ends(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The end tokens of the generation configuration that lies beside the tokenizer, or else of the model's own."""
    place = tokenizer.name_or_path
    if not place:
        return ()
    for kind in (GenerationConfig, AutoConfig):
        try:
            ends: Any = getattr(kind.from_pretrained(place), "eos_token_id", None)
        except (OSError, ValueError):
            continue
        if ends is not None:
            return tuple(int(end) for end in (ends if isinstance(ends, list | tuple) else [ends]))
    return ()


def keep_ends(model: Any, protocol: DecisionProtocol) -> None:
    """Every end token into the model's generation configuration: what is saved stops where its responses end."""
    settings = getattr(model, "generation_config", None)
    if settings is not None:
        settings.eos_token_id = list(protocol.end_ids) if len(protocol.end_ids) > 1 else protocol.eos_id


def run_date(config: Config) -> datetime.date:
    """The date that the run's prompts state: that of its start, kept in the run folder; before it starts, today's."""
    file = Path(config.run_dir) / STARTED
    if file.is_file():
        return datetime.date.fromisoformat(json.loads(file.read_text(encoding="utf-8"))["date"])
    return datetime.date.today()


def keep_run_date(config: Config) -> None:
    """Write the date of the start, unless it is there."""
    file = Path(config.run_dir) / STARTED
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"date": run_date(config).isoformat()}) + "\n", encoding="utf-8")

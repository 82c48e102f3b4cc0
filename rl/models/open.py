"""A model to ask, outside of training: engine and protocol over a folder, hub id or GGUF file."""

from __future__ import annotations

from rl.config.schema import Config
from rl.models.loading import add_decision_tokens, add_tokens, load_model, load_tokenizer
from rl.models.protocols import build_protocol
from rollout.engines.base import Engine
from rollout.engines.hf import HFEngine
from rollout.protocol import DecisionProtocol


def open_protocol(config: Config, path: str = "") -> DecisionProtocol:
    """The protocol over the tokenizer of `path` (default: the configured model), without loading the model."""
    tokenizer = load_tokenizer(config, path)
    if config.protocol.add_tokens:
        add_tokens(config, tokenizer)
    return build_protocol(config, tokenizer)


def open_policy(config: Config, path: str = "") -> tuple[Engine, DecisionProtocol]:
    """Engine and protocol of the model at `path` (default: the configured one)."""
    tokenizer = load_tokenizer(config, path)
    model = load_model(config, tokenizer, path)
    if config.protocol.add_tokens:
        add_decision_tokens(config, tokenizer, model)
    protocol = build_protocol(config, tokenizer)
    return HFEngine(model, protocol, tokenizer.pad_token_id), protocol

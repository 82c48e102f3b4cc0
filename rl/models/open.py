"""Opening a policy, the one way: tokenizer, added tokens, model on its device, protocol, engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rl.config.schema import Config
from rl.models.engines import open_engine
from rl.models.loading import add_decision_tokens, add_tokens, load_model, load_tokenizer
from rl.models.protocols import build_protocol, keep_ends
from rollout.engines.base import Engine
from rollout.engines.hf import HFEngine
from rollout.protocol import DecisionProtocol


@dataclass(frozen=True)
class Policy:
    """An opened model; `added` are the decision tokens that its vocabulary lacked."""

    config: Config
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    protocol: DecisionProtocol
    added: list[str]

    @cached_property
    def engine(self) -> Engine:
        """The engine that `rollout.engine` names, over these weights as they are."""
        return open_engine(self.config, self.model, self.protocol, self.pad_id)

    @cached_property
    def own_engine(self) -> HFEngine:
        """Decoding by the model itself, whatever `rollout.engine` says."""
        return HFEngine(self.model, self.protocol, self.pad_id)

    @property
    def pad_id(self) -> int:
        """The token that rows are padded with."""
        return int(self.tokenizer.pad_token_id)


def open_policy(config: Config, path: str = "", *, to_train: bool = False) -> Policy:
    """The model at `path` (default: the configured one), on its device; `to_train` in the type that training asks
    for, and with every end of turn in what it will save. Raises `UserError` where it cannot be had."""
    tokenizer = load_tokenizer(config, path)
    model = load_model(config, tokenizer, path, to_train=to_train)
    added = add_decision_tokens(config, tokenizer, model) if config.protocol.add_tokens else []
    protocol = build_protocol(config, tokenizer)
    if to_train:
        keep_ends(model, protocol)
    return Policy(config, tokenizer, model, protocol, added)


def open_protocol(config: Config, path: str = "") -> DecisionProtocol:
    """The protocol over the tokenizer of `path` (default: the configured model), without loading the model."""
    tokenizer = load_tokenizer(config, path)
    if config.protocol.add_tokens:
        add_tokens(config, tokenizer)
    return build_protocol(config, tokenizer)

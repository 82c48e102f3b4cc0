"""Low-rank adapters: their configuration, the rows of new decision tokens beside them, the plain model at the end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig
from peft.utils.other import TrainableTokensWrapper

from rl.config.schema import Config, ConfigError

ALL_LINEAR = "all-linear"


def lora_config(config: Config, model: Any, tokenizer: Any, added: Sequence[str] = ()) -> LoraConfig | None:
    """The adapters of a run, or None for full fine-tuning. The rows of tokens that were `added` to the vocabulary are
    trained whole, in the embeddings and, where the head has a matrix of its own, in that too: an adapter beside a
    random row would leave it random."""
    lora = config.model.lora
    if lora.rank <= 0:
        return None
    _check_targets(lora.target_modules, model)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        trainable_token_indices=_token_rows(model, sorted(tokenizer.convert_tokens_to_ids(added))) if added else None,
        task_type="CAUSAL_LM",
    )


def _check_targets(targets: str | Sequence[str], model: Any) -> None:
    """Each of a list must end a layer's name, a text must be one pattern of whole names, as PEFT reads them."""
    if targets == ALL_LINEAR:
        return
    names = [name for name, _ in model.named_modules()]
    if isinstance(targets, str):
        missing = [] if _matches(targets, names) else [targets]
    else:
        missing = [one for one in targets if not any(f".{name}".endswith(f".{one}") for name in names)]
    if missing:
        matrices = [name.split(".")[-2] for name, weight in model.named_parameters() if weight.ndim > 1]
        raise ConfigError(
            f"model.lora.target_modules has {', '.join(missing)}, which the model lacks; allowed: {ALL_LINEAR}, or of "
            f"{', '.join(sorted(set(matrices)))}"
        )


def _matches(pattern: str, names: Sequence[str]) -> bool:
    try:
        return any(re.fullmatch(pattern, name) for name in names)
    except re.error:
        return False


def _token_rows(model: Any, ids: list[int]) -> dict[str, list[int]]:
    """The rows to train, by the name of their layer."""
    layers = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = {layers[id(embeddings)]: ids}
    if head is not None and head.weight is not embeddings.weight:
        rows[layers[id(head)]] = ids
    return rows


def fit_fused_head(model: Any) -> None:
    """TRL's fused head reads the head's weight and bias; peft's layer of trained rows hands on the weight alone."""
    for module in model.modules():
        if isinstance(module, TrainableTokensWrapper):
            setattr(module, "bias", getattr(module.token_adapter.base_layer, "bias", None))  # noqa: B010 (no field of it)


def save_plain(model: Any, tokenizer: Any, folder: Path) -> None:
    """A model with adapters as a plain one: merged, loadable without peft."""
    model.merge_and_unload().save_pretrained(folder)
    tokenizer.save_pretrained(folder)

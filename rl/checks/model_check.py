"""What would fail hours later, found on the loaded model: saving, weights that do not move, positions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from rl.config.schema import Config, ConfigError, longest_response

LARGEST_STUCK_SHARE = 0.1
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")


def check_model(config: Config, model: Any, tokenizer: Any, show: Callable[[str], None] = print) -> None:
    """All that this module checks, for training. Raises `ConfigError`."""
    check_saving(model, tokenizer, show)
    check_precision(config, model, config.trainer.learning_rate, "trainer.learning_rate", show)
    response = max(longest_response(config), config.evaluation.max_new_tokens)
    check_positions(config, model, config.rollout.max_prompt_tokens, response)


def check_cold_start(config: Config, model: Any, tokenizer: Any, show: Callable[[str], None] = print) -> None:
    """The same for the cold start, but for positions. Raises `ConfigError`."""
    check_saving(model, tokenizer, show)
    check_precision(config, model, config.cold_start.learning_rate, "cold_start.learning_rate", show)


def check_saving(model: Any, tokenizer: Any, show: Callable[[str], None] = print) -> None:
    """Save and reload what a checkpoint holds besides weights. A generation configuration with sampling values and
    without sampling, which transformers refuses to save, samples from here on. Raises `ConfigError`."""
    _mend_generation(model, show)
    with tempfile.TemporaryDirectory() as folder:
        for what, save, kind in (
            ("config", model.config.save_pretrained, AutoConfig),
            ("generation config", getattr(model, "generation_config", None), GenerationConfig),
            ("tokenizer", tokenizer.save_pretrained, AutoTokenizer),
        ):
            if save is None:
                continue
            try:
                (save.save_pretrained if what == "generation config" else save)(folder)
                kind.from_pretrained(folder)
            except Exception as error:  # a model's own code may raise anything here
                reason = " ".join(str(error).split())
                raise ConfigError(
                    f"the model's {what} cannot be saved and loaded again: {reason[:300]}; allowed: a model whose "
                    "checkpoints can be written (mend its files)"
                ) from error


def _mend_generation(model: Any, show: Callable[[str], None]) -> None:
    settings = getattr(model, "generation_config", None)
    if settings is None or settings.do_sample:
        return
    try:
        settings.validate(strict=True)
    except ValueError:
        named = {name: getattr(settings, name) for name in SAMPLING if getattr(settings, name, None) is not None}
        settings.do_sample = True
        show(f"generation config: do_sample is set to true beside {named}; as it was it could not be saved")


def stuck_share(model: torch.nn.Module, rate: float) -> float:
    """The share of trained weights that a step of `rate` does not move: half the spacing of their numbers is larger.
    Adam's step is about the rate, whatever the gradient; a number of magnitude 2^e has the spacing 2^e · eps."""
    stuck, total = 0, 0
    for weight in model.parameters():
        if not weight.requires_grad or not weight.is_floating_point():
            continue
        values = weight.detach()
        exponents = torch.frexp(values.float()).exponent - 1
        spacing = torch.ldexp(torch.full_like(exponents, torch.finfo(values.dtype).eps, dtype=torch.float32), exponents)
        stuck += int(((spacing / 2 > rate) & (values != 0)).sum())
        total += values.numel()
    return stuck / max(total, 1)


def check_precision(config: Config, model: torch.nn.Module, rate: float, key: str, show: Callable[[str], None]) -> None:
    """Raises `ConfigError` when more than a tenth of the weights are too coarse for the learning rate. Adapters are
    float32, and so are DeepSpeed's masters of 16-bit weights."""
    if config.model.dtype == "float32" or config.model.lora.rank > 0 or _has_masters(config):
        return
    share = stuck_share(model, rate)
    show(f"{config.model.dtype} weights: {share:.1%} are too coarse for a step of {key}, {rate:g}")
    if share > LARGEST_STUCK_SHARE:
        raise ConfigError(
            f"model.dtype is {config.model.dtype!r}: {share:.0%} of the weights would not move at {key} {rate:g} (half "
            f"their spacing is larger); allowed: at most {LARGEST_STUCK_SHARE:.0%}, or model.dtype: float32 with "
            "trainer.bf16: true, which computes in bfloat16 and keeps the weights in float32"
        )


def _has_masters(config: Config) -> bool:
    if not config.trainer.deepspeed:
        return False
    settings = json.loads(Path(config.trainer.deepspeed).read_text(encoding="utf-8"))
    return any(settings.get(kind, {}).get("enabled") for kind in ("bf16", "fp16"))


def check_positions(config: Config, model: Any, prompt: int, response: int) -> None:
    """Raises `ConfigError` when the longest prompt and the longest response do not fit the model's positions."""
    text = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    positions = getattr(text, "max_position_embeddings", None)
    if positions and prompt + response > positions:
        raise ConfigError(
            f"a prompt of {prompt} tokens and a response of {response} need {prompt + response} positions; allowed: "
            f"the model's max_position_embeddings, {positions} (rollout.max_prompt_tokens, rollout.max_new_tokens)"
        )

"""A transformers engine over a small random model."""

from __future__ import annotations

from typing import Any

import torch
from factories import make_protocol

from rl.worlds.model import build_model
from rollout.engines.hf import HFEngine


def make_engine(name: str = "kat", seed: int = 0, **options: Any) -> HFEngine:
    """An engine whose model has weights wide enough that its choices depend on the context."""
    protocol = make_protocol(name, **options)
    model = build_model(protocol.tokenizer, seed, hidden=32, layers=2).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for label, weight in model.named_parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 0.3 if "embed" in label else 0.6, generator=generator)
    return HFEngine(model, protocol, protocol.tokenizer.pad_token_id)

"""The growing cache against transformers' own, in bfloat16 as a GPU trains with it."""

from __future__ import annotations

import pytest
import torch
from factories import make_protocol
from transformers import DynamicCache

from rl.worlds.model import build_model
from rollout.engines.kv_cache import GrowingCache


@pytest.fixture(scope="module")
def model():
    made = build_model(make_protocol("kat").tokenizer, 0, hidden=32, layers=2).eval()
    with torch.no_grad():
        for weight in made.parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    return made


def decoded(model, cache, steps=40):
    """The logits (steps, rows, V) of two rows that are fed one token after the other."""
    found = []
    for step in range(steps):
        ids = torch.tensor([[4 + step % 7], [9 + step % 5]])
        found.append(model(input_ids=ids, past_key_values=cache, use_cache=True).logits[:, -1])
    return torch.stack(found)


@pytest.mark.medium
@torch.no_grad()
def test_under_autocast_it_keeps_half_the_bytes_and_gives_the_same_logits(model):
    ours, theirs = GrowingCache(model.config), DynamicCache(config=model.config)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(decoded(model, ours), decoded(model, theirs))
    assert theirs.layers[0].keys.dtype == torch.float32
    assert {t.dtype for layer in ours.layers for t in (layer.keys, layer.values, *layer.buffers)} == {torch.bfloat16}


@torch.no_grad()
def test_without_autocast_it_keeps_the_models_type(model):
    cache = GrowingCache(model.config)
    decoded(model, cache, 3)
    assert cache.layers[0].keys.dtype == torch.float32

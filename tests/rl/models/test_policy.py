"""Where weights come from: decision tokens that a tokenizer does not have yet."""

import torch

from rl.config.read import parse_config
from rl.models.loading import add_decision_tokens
from rl.worlds.model import build_model, build_tokenizer

PROTOCOL = {"name": "one_token", "think": "<quick>", "no_think": "<slow>", "add_tokens": True}


def grown():
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, 0, hidden=32, layers=1)
    old = len(tokenizer)
    added = add_decision_tokens(parse_config({"protocol": PROTOCOL}), tokenizer, model)
    rows = model.get_input_embeddings().weight.detach()
    return added, rows[:old], rows[old : len(tokenizer)]


def test_new_decision_tokens_begin_as_different_rows_of_the_old_ones_size():
    added, old, new = grown()
    assert added == ["<quick>", "<slow>"]
    typical = old.norm(dim=1).mean()
    assert all(0.6 < ratio < 1.5 for ratio in (new.norm(dim=1) / typical).tolist())
    assert torch.nn.functional.cosine_similarity(new[0], new[1], dim=0).abs() < 0.6


def test_new_decision_tokens_are_the_same_in_every_process():
    assert torch.equal(grown()[2], grown()[2])

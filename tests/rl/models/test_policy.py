"""Where weights come from: decision tokens that a tokenizer does not have yet."""

import pytest
import torch

from rl.config.read import parse_config
from rl.models.loading import add_decision_tokens
from rl.worlds.model import build_model, build_tokenizer
from rollout.protocol import ProtocolError

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


def test_new_decision_tokens_are_shown_when_special_ones_are_hidden():
    tokenizer = build_tokenizer()
    add_decision_tokens(parse_config({"protocol": PROTOCOL}), tokenizer, build_model(tokenizer, 0, hidden=32, layers=1))
    ids = tokenizer("<quick>7</think>", add_special_tokens=False)["input_ids"]
    assert "<quick>" in tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("switch", ["\n\n", "maybe", "two words", " "])
def test_ordinary_text_never_becomes_a_token(switch):
    tokenizer = build_tokenizer()
    config = parse_config({"protocol": {**PROTOCOL, "think": switch}})
    with pytest.raises(ProtocolError, match="adds tags such as '<think>' alone"):
        add_decision_tokens(config, tokenizer, build_model(tokenizer, 0, hidden=32, layers=1))


def test_the_line_breaks_of_qwen3_are_not_added_to_a_tokenizer_without_them():
    tokenizer = build_tokenizer()
    config = parse_config({"protocol": {"name": "qwen3", "add_tokens": True}})
    with pytest.raises(ProtocolError, match=r"needs '\\n' as one token, which this tokenizer has not"):
        add_decision_tokens(config, tokenizer, build_model(tokenizer, 0, hidden=32, layers=1))


def test_new_decision_tokens_are_the_same_in_every_process():
    assert torch.equal(grown()[2], grown()[2])

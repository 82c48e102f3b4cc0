"""What would fail hours later is found on the loaded model."""

import pytest
import torch
from factories import make_protocol

from rl.checks.model_check import check_positions, check_precision, check_saving, stuck_share
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.worlds.model import build_model


@pytest.fixture
def model():
    return build_model(make_protocol().tokenizer, 0, hidden=32, layers=1)


def config_of(model):
    return parse_config({"model": model})


def said():
    lines = []
    return lines, lines.append


def test_sampling_values_without_sampling_are_mended_before_they_stop_the_first_checkpoint(model, tmp_path):
    lines, show = said()
    model.generation_config.temperature, model.generation_config.do_sample = 0.6, False
    with pytest.raises(ValueError, match="temperature"):
        model.generation_config.save_pretrained(tmp_path)
    check_saving(model, make_protocol().tokenizer, show)
    assert lines == [
        "generation config: do_sample is set to true beside {'temperature': 0.6}; as it was it could not be saved"
    ]
    model.save_pretrained(tmp_path)


def test_a_model_that_saves_as_it_is_says_nothing(model):
    lines, show = said()
    check_saving(model, make_protocol().tokenizer, show)
    assert lines == []


def test_what_cannot_be_saved_is_refused(model):
    model.config.unwritable = object()
    with pytest.raises(ConfigError, match="the model's config cannot be saved and loaded again"):
        check_saving(model, make_protocol().tokenizer)


def test_the_share_of_weights_that_a_step_does_not_move_by_hand():
    layer = torch.nn.Linear(4, 1, bias=False)
    # bfloat16 has 8 significant bits: numbers of [1, 2) are 2^-7 apart, of [1/128, 1/64) 2^-14, of [2^-10, 2^-9) 2^-17.
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.5, 1 / 128, 2.0**-10, 0.0]]))
    layer = layer.to(torch.bfloat16)
    assert stuck_share(layer, 2.0**-7) == 0.0
    assert stuck_share(layer, 2.0**-9) == 0.25
    assert stuck_share(layer, 2.0**-16) == 0.5
    assert stuck_share(layer, 2.0**-19) == 0.75
    with torch.no_grad():
        before = layer.weight.clone()
        layer.weight += 2.0**-16
    assert (layer.weight == before).float().mean() == 0.5


def test_weights_that_would_not_move_are_refused_with_the_way_on(model):
    lines, show = said()
    config = config_of({"dtype": "bfloat16"})
    with pytest.raises(
        ConfigError, match=r"of the weights would not move at trainer.learning_rate 1e-06 .*trainer.bf16: true"
    ):
        check_precision(config, model.to(torch.bfloat16), 1e-6, "trainer.learning_rate", show)
    assert lines[0].startswith("bfloat16 weights: 9")
    check_precision(config, model, 1e-2, "trainer.learning_rate", show)
    for override in ({"lora": {"rank": 4}, "dtype": "bfloat16"}, {"dtype": "float32"}):
        check_precision(config_of(override), model, 1e-9, "trainer.learning_rate", show)


def test_a_row_that_is_longer_than_the_model_s_positions_is_refused(model):
    check_positions(config_of({}), model, 100, 28)
    with pytest.raises(ConfigError, match="need 129 positions; allowed: the model's max_position_embeddings, 128"):
        check_positions(config_of({}), model, 100, 29)

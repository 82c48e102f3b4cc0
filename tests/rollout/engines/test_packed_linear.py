"""Packed weights: the same numbers, and a model that is left as it was."""

from functools import partial

import pytest
import torch
from small_engine import make_engine
from torch.nn import Linear, Sequential

import rollout.engines.hf as hf_engine
from rollout.engines.base import Request, Sampling
from rollout.engines.packed_linear import can_pack, packed_linears


def test_this_build_of_pytorch_has_the_operators():
    assert can_pack()


@pytest.mark.parametrize("shape", [(1, 24), (6, 24), (33, 24), (4, 5, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_layers_give_what_plain_ones_do(shape, bias):
    torch.manual_seed(0)
    layers = Sequential(Linear(24, 40, bias=bias), Linear(40, 7, bias=bias))
    values = torch.randn(shape)
    with torch.no_grad():
        plain = layers(values)
        with packed_linears(layers, least=1) as packed:
            assert packed == 2
            torch.testing.assert_close(layers(values), plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_under_autocast_packed_layers_compute_in_its_precision_as_plain_ones_do(dtype, bias):
    torch.manual_seed(0)
    layers = Sequential(Linear(24, 40, bias=bias), Linear(40, 7, bias=bias))
    values = torch.randn(6, 24)
    with torch.no_grad(), packed_linears(layers, least=1):
        packed_float = layers(values)
        with torch.autocast("cpu", dtype=dtype):
            packed = layers(values)
    with torch.no_grad():
        plain_float = layers(values)
        with torch.autocast("cpu", dtype=dtype):
            plain = layers(values)
    torch.testing.assert_close(packed_float, plain_float)
    assert packed.dtype == dtype
    torch.testing.assert_close(packed, plain, rtol=0.02, atol=0.01)


def test_the_layers_are_their_own_again_afterwards_and_after_an_error():
    layer = Linear(3, 2)
    values = torch.ones(1, 3)
    with pytest.raises(ValueError, match="stop"), packed_linears(layer, least=1):
        raise ValueError("stop")
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(1.0)
    assert layer(values).tolist() == [[7.0, 7.0]]
    assert layer(values).requires_grad


def test_small_models_and_layers_of_another_type_or_precision_are_left_alone():
    class Other(Linear):
        pass

    for layer, least in ((Linear(3, 2), 7), (Other(3, 2), 1), (Linear(3, 2).bfloat16(), 1)):
        with packed_linears(layer, least=least) as packed:
            assert packed == 0


def test_an_engine_with_packed_weights_decodes_as_generate_does(monkeypatch):
    monkeypatch.setattr(hf_engine, "packed_linears", partial(packed_linears, least=1))
    engine = make_engine(judge_patience=3)
    model, request = engine.model, Request(engine.protocol.render("12 + ( 34 ) r2 - 00"))
    completion = engine.generate([request], Sampling(temperature=0.0, max_new_tokens=24), seed=0)[0]
    prompt = torch.tensor([request.prompt_ids])
    output = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=24)
    assert list(completion.ids) == output[0, prompt.shape[1] :].tolist()
    with torch.no_grad():
        logits = model(input_ids=output).logits[0]
    table = logits[prompt.shape[1] - 1 : -1].log_softmax(-1)
    expected = [table[t, token].item() for t, token in enumerate(completion.ids)]
    assert completion.logprobs == pytest.approx(expected, abs=1e-4)

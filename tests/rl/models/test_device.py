"""Where tensors are. No GPU is needed: the meta device stands in for one, and most mixing of two devices is an error
there (arithmetic and joining are, indexing is not)."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch
from drawn_rollouts import draw
from factories import make_protocol

from rl.algorithms.base import LossOptions
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.models.loading import accelerator, device_arguments, load_model, load_tokenizer
from rl.training.batch import micro_batches, step_batch
from rl.training.loss import policy_loss
from rl.training.masks import count_tokens
from rl.worlds.model import build_model
from rollout.engines.base import Request
from rollout.engines.hf import HFEngine, _Row
from rollout.engines.packed_linear import packed_linears

GPU = torch.device("meta")


@pytest.fixture(scope="module")
def on_gpu():
    """An engine whose model is on the stand-in. Its attention is the one that asks no value of a tensor."""
    protocol = make_protocol("kat", judge_patience=3)
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=1).eval().to(GPU)
    model.set_attn_implementation("eager")
    return HFEngine(model, protocol, protocol.tokenizer.pad_token_id)


def devices(*tensors):
    return {tensor.device for tensor in tensors}


def test_arithmetic_over_two_devices_is_an_error_on_the_stand_in():
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device=GPU) + torch.zeros(2)


def test_prefill_decoding_and_leaving_rows_stay_on_the_models_device(on_gpu):
    requests = [Request((4, 5, 6)), Request((4, 5, 6)), Request((7, 8))]
    logits_BV, cache, mask_BT = on_gpu._prefill(requests)
    assert logits_BV.shape == (3, len(on_gpu.protocol.tokenizer))
    for rows in (3, 2):
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], dim=1)
        tokens_B = torch.full((rows, 1), 20, device=GPU)
        output = on_gpu.model(input_ids=tokens_B, attention_mask=mask_BT, past_key_values=cache, use_cache=True)
        assert output.logits.shape == (rows, 1, len(on_gpu.protocol.tokenizer))
        cache.keep_rows([0, 2][: rows - 1], GPU)
        mask_BT = mask_BT[: rows - 1]
    keys = cache.layers[0].keys
    assert keys.shape[0] == 1
    assert devices(logits_BV, mask_BT, keys, cache.layers[0].values) == {GPU}


def test_bans_are_written_on_the_models_device(on_gpu):
    rows = [_Row(0, on_gpu.protocol.forcing("think"), 9, None), _Row(1, None, 9, None)]
    logp_BV = torch.zeros(2, len(on_gpu.protocol.tokenizer), device=GPU)
    assert devices(on_gpu._restrict(rows, logp_BV)) == {GPU}


def test_nothing_is_packed_on_a_gpu(on_gpu):
    with packed_linears(on_gpu.model, least=0) as packed:
        assert packed == 0


def test_rows_of_an_update_are_cut_and_put_back_on_their_device():
    rollouts = [draw("jSAAA"), draw("FA")]
    options = LossOptions(kl=0.1, entropy=0.1, forced_log_prob="half", rehearsal=1.0)
    batch = step_batch(rollouts, [1.0, 0.0], [0.5, -0.5], [1.0, 1.0], options, pad_id=0, engine=True)
    (batch,) = micro_batches(batch, 1, lambda lengths_B: lengths_B.tolist(), 48)
    batch = batch.to(GPU)
    values_BT = torch.zeros(2, 5, device=GPU)
    batch = dataclasses.replace(batch, policy_old_BT=values_BT, reference_BT=values_BT)
    loss, sums = policy_loss(
        values_BT,
        batch.ratio_old(),
        batch.policy_old(),
        batch.engine_BT,
        batch.reference_BT,
        values_BT,
        batch.judge_BT,
        batch.answer_B,
        batch.judge_mask_BT,
        batch.answer_mask_BT,
        batch.sampled_BT,
        count_tokens(rollouts, options),
        options,
    )
    assert devices(loss, *sums.values(), *batch._tensors().values()) == {GPU}


@pytest.mark.parametrize(
    ("kind", "rank", "expected"),
    [(None, "0", None), ("mps", "0", None), ("cuda", "0", "cuda:0"), ("cuda", "3", "cuda:3"), ("xpu", "1", "xpu:1")],
)
def test_each_rank_has_its_own_accelerator_and_one_without_float64_counts_as_none(kind, rank, expected, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", rank)
    found = accelerator()
    assert (None if found is None else str(found)) == expected
    assert ("use_cpu" in device_arguments()) is (expected is None)


@pytest.mark.parametrize(
    ("deepspeed", "to_train", "expected"),
    [
        ("", True, "meta"),
        ("configs/deepspeed/zero3.json", False, "meta"),
        ("configs/deepspeed/zero3.json", True, "cpu"),
    ],
)
def test_a_loaded_model_is_on_its_ranks_accelerator_unless_deepspeed_is_to_train_it(
    deepspeed, to_train, expected, monkeypatch
):
    monkeypatch.setattr("rl.models.loading.accelerator", lambda: torch.device("meta"))
    config = parse_config({"model": {"path": "tiny:32x1"}, "trainer": {"deepspeed": deepspeed}})
    assert load_model(config, load_tokenizer(config), to_train=to_train).device.type == expected


@pytest.mark.parametrize(("launched", "refused"), [(False, True), (True, False)])
def test_one_process_with_several_gpus_is_refused_because_its_batches_would_be_dealt_to_all(
    launched, refused, monkeypatch
):
    monkeypatch.setattr("rl.models.loading.accelerator", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if launched:
        monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"4 GPUs.*nproc_per_node=4") if refused else contextlib.nullcontext():
        assert device_arguments() == {}

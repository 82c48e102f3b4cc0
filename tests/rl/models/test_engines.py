"""Choosing an engine: one key, refused in one line where it cannot be had."""

from __future__ import annotations

import importlib.util
import socket

import pytest
import torch
from factories import make_protocol
from small_runs import save_policy, small_config
from trainer_setups import quiet_setup

from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.models.engines import check_engine, check_sharded, engine_name, model_length, open_engine, save_architecture
from rl.models.weights import kept_weights, policy_weights
from rl.worlds.model import build_model
from rollout.engines.hf import HFEngine
from rollout.errors import UserError

WITHOUT_VLLM = importlib.util.find_spec("vllm") is None


def config(**rollout):
    return parse_config({"rollout": rollout})


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto takes vllm on a GPU where it is installed")
def test_auto_decodes_with_the_policy_itself_where_there_is_no_gpu():
    assert engine_name(config()) == "hf"
    protocol = make_protocol()
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=1)
    assert isinstance(open_engine(config(), model, protocol, 0), HFEngine)


def test_ranks_that_hold_parts_of_each_layer_do_not_decode_with_them():
    def sharded(engine, fsdp=True):
        return parse_config({"rollout": {"engine": engine}, "trainer": {"fsdp": fsdp}})

    with pytest.raises(ConfigError, match=r"trainer.fsdp is true on 2 ranks with rollout.engine hf,.*; allowed: "):
        check_sharded(sharded("hf"), 2)
    check_sharded(sharded("hf"), 1)
    check_sharded(sharded("hf", fsdp=False), 2)
    check_sharded(sharded("hf_process"), 2)


def test_a_named_engine_is_taken_as_it_is():
    assert engine_name(config(engine="vllm_server")) == "vllm_server"


def test_an_unknown_engine_names_the_nearest():
    with pytest.raises(ConfigError, match=r"rollout\.engine is 'vlm'; allowed: .*\(did you mean 'vllm'\?\)"):
        config(engine="vlm")


@pytest.mark.skipif(not WITHOUT_VLLM, reason="vllm is installed")
def test_vllm_without_its_package_is_refused_before_compute():
    with pytest.raises(ConfigError, match=r"rollout\.engine is 'vllm', but no package vllm is installed"):
        check_engine(config(engine="vllm"))


def test_a_server_that_is_not_there_is_refused_before_compute():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else answers there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"no answer from {url}/v1/models .*start one with: vllm serve"):
            check_engine(config(engine="vllm_server", vllm={"server_url": url}))


def test_a_server_is_refused_at_a_temperature_whose_log_probabilities_it_does_not_report():
    with pytest.raises(UserError, match=r"rollout\.temperature is 0\.7; allowed with rollout\.engine 'vllm_server'"):
        check_engine(config(engine="vllm_server", temperature=0.7))


def test_an_engine_holds_the_longest_prompt_and_the_longest_answer_of_training_and_evaluation():
    model = build_model(make_protocol().tokenizer, 0, hidden=32, layers=1)  # 128 positions
    raw = {"rollout": {"max_prompt_tokens": 20, "max_new_tokens": 30}, "evaluation": {"max_new_tokens": 40}}
    assert model_length(parse_config(raw), model) == 60
    raw["evaluation"]["max_new_tokens"] = 400
    assert model_length(parse_config(raw), model) == 128
    del raw["evaluation"]["max_new_tokens"]
    # A later stage, the labels and a teacher of this machine may write more than a rollout does.
    raw["trainer"] = {"steps": 4}
    raw["stages"] = [{"steps": 2}, {"steps": 2, "max_new_tokens": 70}]
    assert model_length(parse_config(raw), model) == 90
    assert model_length(parse_config({**raw, "label": {"max_new_tokens": 80}}), model) == 100
    own, far = (
        {"name": "own", "model": "m", "max_tokens": 90},
        {"name": "far", "base_url": "http://x", "max_tokens": 99},
    )
    assert model_length(parse_config({**raw, "teachers": [own, far]}), model) == 110
    raw["rollout"]["vllm"] = {"max_model_len": 200}
    with pytest.raises(ConfigError, match=r"rollout\.vllm\.max_model_len is 200; allowed: at most the model's 128"):
        model_length(parse_config(raw), model)


def test_an_architecture_is_a_configuration_without_weights(tmp_path):
    save_architecture(build_model(make_protocol().tokenizer, 0, hidden=32, layers=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert '"Qwen3ForCausalLM"' in (tmp_path / "config.json").read_text()


@pytest.mark.medium
def test_pushed_weights_have_the_adapters_merged_in_and_leave_the_policy_as_it_was(tmp_path):
    from rl.training.run import build_trainer

    policy = save_policy(tmp_path / "policy")
    setup = quiet_setup(small_config(tmp_path / "run", policy, model={"path": str(policy), "lora": {"rank": 2}}))
    trainer = build_trainer(setup, 1)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    before = {name: p.clone() for name, p in trainer.model.named_parameters()}
    pushed = dict(kept_weights(trainer.model, trainer.accelerator))
    layer = trainer.model.base_model.model.model.layers[0].self_attn.q_proj
    scale = layer.scaling["default"]
    expected = layer.base_layer.weight + scale * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(pushed["model.layers.0.self_attn.q_proj.weight"], expected)
    assert not any("lora" in name or "base_layer" in name for name in pushed)
    # To the last bit: what is left of rounding would add up from update to update.
    assert all(torch.equal(parameter, before[name]) for name, parameter in trainer.model.named_parameters())


def test_rows_of_added_tokens_are_pushed_as_they_were_trained(tmp_path):
    from rl.training.run import build_trainer

    policy = save_policy(tmp_path / "policy")
    sections = {"model": {"path": str(policy), "lora": {"rank": 2}}}
    setup = quiet_setup(small_config(tmp_path / "run", policy, **sections))
    setup.added = ["<judge>"]  # as if the vocabulary had lacked it
    trainer = build_trainer(setup, 1)
    row = setup.tokenizer.convert_tokens_to_ids("<judge>")
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "trainable_tokens_delta" in name:
                parameter.fill_(0.5)
    pushed = {name: tensor.clone() for name, tensor in policy_weights(trainer.model, trainer.accelerator)}
    assert torch.equal(pushed["model.embed_tokens.weight"][row], torch.full((32,), 0.5))
    assert {name.rpartition(".")[2] for name in pushed} == {"weight"}

"""A model that cannot be loaded is one line, whatever is wrong with it."""

import json
import os

import pytest
from small_runs import save_policy

from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.models.loading import load_model, load_tokenizer


def change(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def of_its_own(folder):
    (folder / "modeling_mine.py").write_text("raise RuntimeError('this code was run')")
    change(
        folder, model_type="mine", auto_map={"AutoConfig": "modeling_mine.C", "AutoModelForCausalLM": "modeling_mine.M"}
    )


def cut_weights(folder):
    file = next(folder.glob("*.safetensors"))
    os.truncate(file, file.stat().st_size // 2)


def read(folder, **model):
    config = parse_config({"model": {"path": str(folder), **model}})
    return load_model(config, load_tokenizer(config))


@pytest.mark.parametrize(
    ("damage", "model", "told"),
    [
        (lambda folder: change(folder, model_type="no_such_model"), {}, "no_such_model"),
        (of_its_own, {}, r"code of its own; allowed: model\.trust_remote_code: true"),
        (cut_weights, {}, "safetensor|deserializ"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), {}, r"cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), {}, "config.json"),
        (lambda folder: None, {"attention": "flash_attention_2"}, r"model\.attention is 'flash_attention_2'; allowed"),
    ],
    ids=["unknown type", "code of its own", "cut weights", "broken tokenizer", "broken config", "no kernel"],
)
def test_a_model_that_cannot_be_loaded_is_one_line(damage, model, told, tmp_path):
    folder = save_policy(tmp_path / "policy")
    damage(folder)
    with pytest.raises(ConfigError, match=told) as raised:
        read(folder, **model)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


def test_a_model_that_is_whole_is_loaded(tmp_path):
    assert read(save_policy(tmp_path / "policy")).config.model_type == "qwen3"

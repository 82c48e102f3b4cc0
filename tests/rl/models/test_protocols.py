"""From the configuration's `protocol` to a layout over the run's tokenizer."""

from __future__ import annotations

import datetime
import json

from families import shipped, template_tokenizer
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from rl.config.read import parse_config
from rl.models.loading import load_tokenizer
from rl.models.protocols import build_protocol, generation_ends, keep_ends, keep_run_date, run_date


def save(folder, name, eos, **generation):
    tokenizer = template_tokenizer(shipped(name), eos, extra=("<think>", "</think>", "<no_think>"))
    tokenizer.save_pretrained(folder)
    GenerationConfig(**generation).save_pretrained(folder)
    Qwen3Config().save_pretrained(folder)
    return folder


def test_what_is_found_is_used_and_settings_that_are_written_down_win(tmp_path):
    folder = save(tmp_path, "qwen3_5_nothink", "<|im_end|>")
    raw = {"model": {"path": str(folder)}, "protocol": {"name": "auto"}}
    config = parse_config(raw)
    found = build_protocol(config, load_tokenizer(config))
    assert found.spec.think == "\n"
    assert found.prompt_text("1+1?").endswith("<|im_start|>assistant\n<think>")
    raw["protocol"] |= {"thought_end": "</think>", "template_kwargs": {"enable_thinking": True}}
    config = parse_config(raw)
    mine = build_protocol(config, load_tokenizer(config))
    assert (mine.spec.thought_end, found.spec.thought_end) == ("</think>", "\n</think>\n\n")
    assert mine.spec.prompt_cut == "\n"  # what the template writes when thinking is on
    assert mine.prompt_text("1+1?") == found.prompt_text("1+1?")


def test_a_layout_can_be_written_down_whole(tmp_path):
    folder = save(tmp_path, "gemma4_v2", "<eos>")
    prefixes = {"name": "prefixes", "think": "<|channel>", "think_after": "thought\n", "thought_end": "\n<channel|>"}
    config = parse_config({"model": {"path": str(folder)}, "protocol": prefixes})
    protocol = build_protocol(config, load_tokenizer(config))
    assert protocol.other == "no_think"
    response = protocol.response("think", "7", "hm")[: -len(protocol.end_turn)]
    assert protocol.decode(response) == "<|channel>thought\nhm\n<channel|>7"


def test_every_end_of_the_generation_configuration_is_one_and_is_saved_again(tmp_path):
    tokenizer = template_tokenizer(shipped("phi3"), "<|endoftext|>", extra=("<think>", "</think>", "<no_think>"))
    stop = tokenizer.convert_tokens_to_ids("<|user|>")
    folder = save(tmp_path / "start", "phi3", "<|endoftext|>", eos_token_id=[tokenizer.eos_token_id, stop])
    config = parse_config({"model": {"path": str(folder)}, "protocol": {"name": "one_token"}})
    loaded = load_tokenizer(config)
    assert generation_ends(loaded) == (tokenizer.eos_token_id, stop)
    protocol = build_protocol(config, loaded)
    assert protocol.decode(protocol.end_turn) == "<|end|>"
    assert set(protocol.end_ids) == {protocol.eos_id, tokenizer.eos_token_id, stop}
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 8}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(loaded), num_key_value_heads=1, **shape))
    keep_ends(model, protocol)
    model.save_pretrained(tmp_path / "saved")
    assert GenerationConfig.from_pretrained(tmp_path / "saved").eos_token_id == list(protocol.end_ids)


def test_the_date_of_the_start_is_kept_in_the_run_folder(tmp_path):
    config = parse_config({"run_dir": str(tmp_path / "run")})
    assert run_date(config) == datetime.date.today()
    assert not (tmp_path / "run").exists()
    keep_run_date(config)
    file = tmp_path / "run" / "started.json"
    assert json.loads(file.read_text()) == {"date": datetime.date.today().isoformat()}
    file.write_text(json.dumps({"date": "2024-07-26"}))
    keep_run_date(config)
    assert run_date(config) == datetime.date(2024, 7, 26)

"""A cold start with adapters: they alone are trained, and new decision tokens beside them; a plain model is saved."""

from __future__ import annotations

import pytest
import torch
from families import template_tokenizer
from small_runs import small_config
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM, set_seed

from rl.cold_start.sft import fine_tune
from rl.files.finished import Work
from rl.models.loading import add_decision_tokens, load_tokenizer
from rl.training.run import set_up, train
from rollout.protocol import DecisionProtocol

CHATML = """{%- for m in messages %}{{- "<|im_start|>" + m.role + "\\n" + m.content + "<|im_end|>\\n" }}{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\n" }}{%- endif %}"""


def save_model(folder, tied):
    tokenizer = template_tokenizer(CHATML, "<|im_end|>")
    set_seed(0)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 16,
    }
    config = Qwen3Config(
        vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=128, tie_word_embeddings=tied, **shape
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows(protocol: DecisionProtocol):
    """Twenty batches of one problem in both modes."""
    for _ in range(40):
        for mode in ("think", "no_think"):
            prompt, response = protocol.render("3+4?"), protocol.response(mode, "7", "3+4")
            yield {"input_ids": [*prompt, *response], "labels": [-100] * len(prompt) + list(response)}


@pytest.mark.medium
@pytest.mark.parametrize("tied", [True, False])
def test_a_cold_start_trains_adapters_and_the_rows_of_new_tokens_alone(tied, tmp_path):
    start = save_model(tmp_path / "start", tied)
    config = small_config(
        tmp_path / "run",
        start,
        model={"lora": {"rank": 4}},
        protocol={"name": "one_token", "add_tokens": True},
        cold_start={"batch": 4, "learning_rate": 3e-2, "schedule": "constant", "warmup_steps": 0},
    )
    folder = fine_tune(config, Work("cold start", tmp_path / "run" / "cold_start" / "model", {}), rows, 20)
    before = AutoModelForCausalLM.from_pretrained(start)
    after = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    old = before.get_input_embeddings().num_embeddings
    new = sorted(tokenizer.convert_tokens_to_ids(text) for text in ("<think>", "</think>", "<no_think>"))
    assert min(new) >= old
    for name in ("get_input_embeddings", "get_output_embeddings"):
        torch.testing.assert_close(getattr(before, name)().weight, getattr(after, name)().weight[:old])
    assert (after.get_input_embeddings().weight is after.get_output_embeddings().weight) == tied
    changed = {
        name.split(".")[-2]
        for (name, a), (_, b) in zip(before.named_parameters(), after.named_parameters(), strict=True)
        if a.shape == b.shape and not torch.equal(a, b)
    }
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    # What was learned is in the plain model: after the prompt one of the two switches comes.
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "3+4?"}], add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    probs = after(ids).logits[0, -1].softmax(-1)
    untrained = before(ids).logits[0, -1].softmax(-1)
    assert probs[tokenizer.convert_tokens_to_ids(["<think>", "<no_think>"])].sum() > 0.5 > untrained.max()


@pytest.mark.medium
@pytest.mark.parametrize("tied", [True, False])
def test_rl_with_adapters_trains_the_rows_of_new_tokens_too(tied, tmp_path):
    start = save_model(tmp_path / "start", tied)
    config = small_config(
        tmp_path / "run",
        start,
        model={"lora": {"rank": 4}},
        protocol={"name": "one_token", "add_tokens": True},
        rollout={"max_prompt_tokens": 80},
        rewards=[{"name": "judge", "all_wrong": "no_think"}, {"name": "math"}],
        trainer={"steps": 1, "learning_rate": 1e-2},
        evaluation={"every": 0},
    )
    after = AutoModelForCausalLM.from_pretrained(train(set_up(config, show=lambda line: None)))
    tokenizer, before = load_tokenizer(config), AutoModelForCausalLM.from_pretrained(start)
    add_decision_tokens(config, tokenizer, before)
    direct = tokenizer.convert_tokens_to_ids("<no_think>")
    for name in ("get_input_embeddings", "get_output_embeddings"):
        old, new = (getattr(model, name)().weight for model in (before, after))
        torch.testing.assert_close(old[: direct - 1], new[: direct - 1])
        # The judge part alone is rewarded here: of a head of its own the switch's row moves, not what reads the switch.
        assert torch.equal(old[direct], new[direct]) == (name == "get_input_embeddings" and not tied)

"""A small model whose decision is one token or any other: AdaptThink's, over the template that R1's distills ship."""

from __future__ import annotations

from pathlib import Path

from families import shipped, template_tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM, set_seed


def save_lone_switch(folder: Path) -> Path:
    """A random layer with the tokenizer of its template, as a model folder."""
    tokenizer = template_tokenizer(shipped("deepseek_r1_distill"), "<｜end▁of▁sentence｜>")
    set_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Qwen2Config(
        vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=256, initializer_range=0.2, **shape
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

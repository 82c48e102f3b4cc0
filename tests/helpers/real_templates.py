"""Small stand-ins for real models: a byte-level tokenizer with the real special tokens, a chat template that behaves
like the real one, and random weights of the same architecture.

The templates are written for these tests: they have the real ones' turns, empty thinking block, pre-filled `<think>`,
and history without earlier thinking, and nothing about tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, set_seed

WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TURNS = """{%- for m in messages %}
{%- set text = m.content %}
{%- if m.role == "assistant" %}{%- set text = HISTORY %}{%- endif %}
{{- "<|im_start|>" + m.role + "\\n" + text + "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\n" }}"""
QWEN3 = (
    _TURNS.replace("HISTORY", 'text.split("</think>")[-1].lstrip("\\n")')
    + """{%- if enable_thinking is defined and not enable_thinking %}{{- "<think>\\n\\n</think>\\n\\n" }}{%- endif %}
{%- endif %}"""
)
KAT = (
    _TURNS.replace("HISTORY", 'text.split("<answer>\\n")[-1].split("\\n</answer>")[0]')
    + '{{- "<judge>\\n" }}{%- endif %}'
)
R1 = """{{- bos_token }}{%- for m in messages %}
{%- if m.role == "user" %}{{- "<｜User｜>" + m.content }}
{%- elif m.role == "assistant" %}{{- "<｜Assistant｜>" + m.content.split("</think>")[-1] + eos_token }}
{%- else %}{{- m.content }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<｜Assistant｜><think>\\n" }}{%- endif %}"""


@dataclass(frozen=True)
class RealModel:
    """What a stand-in imitates."""

    template: str
    special: tuple[str, ...]
    eos: str
    bos: str | None
    qwen3: bool


KAT_TOKENS = ("<judge>", "</judge>", "<think_on>", "<think_off>", "<think>", "</think>", "<answer>", "</answer>")
REAL = {
    "qwen3": RealModel(QWEN3, ("<|im_start|>", "<|im_end|>", "<think>", "</think>"), "<|im_end|>", None, True),
    "base": RealModel(QWEN3, ("<|im_start|>", "<|im_end|>"), "<|im_end|>", None, True),
    "kat": RealModel(KAT, ("<|im_start|>", "<|im_end|>", *KAT_TOKENS), "<|im_end|>", None, True),
    "r1": RealModel(
        R1,
        ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<think>", "</think>"),
        "<｜end▁of▁sentence｜>",
        "<｜begin▁of▁sentence｜>",
        False,
    ),
}


def real_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """One token a byte, "\\n\\n" and the special tokens; text is cut as Qwen's tokenizers cut it."""
    real = REAL[name]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*alphabet, "ĊĊ"])}
    backend = Tokenizer(models.BPE(vocabulary, [("Ċ", "Ċ")]))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<pad>", *real.special)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token=real.eos,
        bos_token=real.bos,
        chat_template=real.template,
        clean_up_tokenization_spaces=False,
    )


def save_real(name: str, folder: Path) -> Path:
    """A model folder of one random layer of the real architecture with its tokenizer."""
    tokenizer = real_tokenizer(name)
    set_seed(0)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32768,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if REAL[name].qwen3:
        Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=16, tie_word_embeddings=True)).save_pretrained(folder)
    else:
        Qwen2ForCausalLM(Qwen2Config(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

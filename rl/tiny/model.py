"""The embedded policy: a word-level tokenizer with real decision tokens and a Qwen3-architecture model of about 0.6M
parameters, both built by code, nothing downloaded."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

from rl.tiny.world import MAX_REPEAT

SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")
DECISION_TOKENS = (
    "<judge>",
    "</judge>",
    "<think_on>",
    "<think_off>",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
)
JUDGE_WORDS = ("hm", "look", "so", "well")
CHAT_TEMPLATE = "<bos> {{ messages[-1]['content'] }} {% if add_generation_prompt %}<judge>{% endif %}"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a digit, an operator, a repeat marker, a judge word or a tag; white space carries nothing."""
    repeats = [f"r{n}" for n in range(1, MAX_REPEAT + 1)]
    words = [*SPECIAL_TOKENS, *DECISION_TOKENS, *JUDGE_WORDS, *"0123456789", *repeats, *"+-=;()"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"r\d|\d|[a-z]+|."), "isolated")]
    )
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=list(DECISION_TOKENS),
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerBase, seed: int, hidden: int = 128, layers: int = 3) -> Qwen3ForCausalLM:
    """A randomly initialised Qwen3 of `layers` layers and width `hidden`."""
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=hidden // 4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen3ForCausalLM(config)

"""The embedded policies: a word-level tokenizer with real decision tokens and a Qwen3-architecture model, both built by
code, nothing downloaded. `tiny` is that of the sums, about 0.6M parameters; `tiny:WIDTHxLAYERS` has the vocabulary of
the small worlds and any size (the demo's is `tiny:64x2`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

from rl.worlds.machine import FILLERS, MARKS, MOVES
from rl.worlds.programs import PROGRAM_WORDS
from rl.worlds.world import MAX_REPEAT
from rollout.errors import UserError

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
SERVED_HEAD = 32  # the smallest head that vLLM's attention on a CPU knows
CHAT_TEMPLATE = "<bos> {{ messages[-1]['content'] }} {% if add_generation_prompt %}<judge>{% endif %}"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """That of the sums: one token a digit, an operator, a repeat marker, a judge word or a tag."""
    repeats = [f"r{n}" for n in range(1, MAX_REPEAT + 1)]
    return _word_level(DECISION_TOKENS, [*JUDGE_WORDS, *"0123456789", *repeats, *"+-=;()"], r"r\d|\d|[a-z]+|.")


def build_small_tokenizer() -> PreTrainedTokenizerFast:
    """The small worlds': one token a digit, a move, a filler, a mark, or a piece of a program."""
    words = [*JUDGE_WORDS, *"0123456789", *MOVES, *FILLERS, *MARKS, *PROGRAM_WORDS]
    pieces = "|".join(re.escape(word) for word in PROGRAM_WORDS if len(word) > 1)
    return _word_level((*DECISION_TOKENS, "<no_think>"), words, rf"{pieces}|\d|[a-z]+|.")


def tokenizer_of(path: str) -> PreTrainedTokenizerFast:
    """The tokenizer of `tiny` or `tiny:WIDTHxLAYERS`."""
    return build_tokenizer() if path == "tiny" else build_small_tokenizer()


def model_of(path: str, tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen3ForCausalLM:
    """The model of `tiny` or `tiny:WIDTHxLAYERS`. Raises `UserError` when the size cannot be read."""
    if path == "tiny":
        return build_model(tokenizer, seed)
    size = re.fullmatch(r"tiny:([1-9]\d{0,3})x([1-9]\d?)", path)
    if size is None or int(size[1]) % 8:
        raise UserError(f"model.path is {path!r}; allowed: tiny, or tiny:WIDTHxLAYERS with a width divisible by 8")
    # Rows of length 1 learn the tables several times faster than those of transformers' 0.02.
    return build_model(tokenizer, seed, hidden=int(size[1]), layers=int(size[2]), spread=int(size[1]) ** -0.5)


def _word_level(decisions: Sequence[str], words: Sequence[str], pieces: str) -> PreTrainedTokenizerFast:
    """A tokenizer over these words and tags; white space carries nothing."""
    vocabulary = [*SPECIAL_TOKENS, *decisions, *words]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(pieces), "isolated")]
    )
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=list(decisions),
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(
    tokenizer: PreTrainedTokenizerBase, seed: int, hidden: int = 128, layers: int = 3, spread: float = 0.02
) -> Qwen3ForCausalLM:
    """A randomly initialised Qwen3 of `layers` layers and width `hidden`; `spread` is the std of its weights."""
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=max(hidden // 4, SERVED_HEAD if hidden >= 96 else 0),
        initializer_range=spread,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen3ForCausalLM(config)

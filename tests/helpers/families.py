"""Chat templates of hybrid models, each with a byte-level tokenizer that has the special tokens its text names.

`shipped` are the originals that TRL's package has, as their models ship them. `STAND_INS` are written for these tests
from what is known of the families that are missing there: the turns, the switch, what each mode writes and what becomes
of earlier thoughts; nothing about tools.
"""

from __future__ import annotations

import re
from importlib.resources import files

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = re.compile(r"<[^<>\s{}'\"\\]+>|\[unused\d+\]|\[gMASK\]")

# One turn after another, the thought of a final turn before its answer. Each family fills in its own.
_TURNS = """{%- for m in messages -%}
{%- if m.role == "assistant" -%}{{- ASSISTANT -}}
{%- else -%}{{- OTHERS -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- HEADER -}}GENERATION{%- endif -%}"""
_CHATML = (
    _TURNS.replace("OTHERS", '"<|im_start|>" + m.role + "\\n" + m.content + "<|im_end|>\\n"')
    .replace("ASSISTANT", '"<|im_start|>assistant\\n" + THOUGHT + m.content + "<|im_end|>\\n"')
    .replace("HEADER", '"<|im_start|>assistant\\n"')
)
_FINAL = '("BEFORE" + m.reasoning_content + "BEHIND" if loop.last and m.reasoning_content else "EMPTY")'


def _final(before: str, behind: str, empty: str = "") -> str:
    return _FINAL.replace("BEFORE", before).replace("BEHIND", behind).replace("EMPTY", empty)


_DEEPSEEK = "{{- bos_token -}}" + _TURNS.replace(
    "OTHERS", '("<｜User｜>" if m.role == "user" else "") + m.content'
).replace("ASSISTANT", '"<｜Assistant｜></think>" + m.content.split("</think>")[-1] + "<｜end▁of▁sentence｜>"').replace(
    "HEADER", '"<｜Assistant｜>"'
).replace("GENERATION", '{{- "<think>" if thinking is defined and thinking else "</think>" -}}')
_GLM = "[gMASK]<sop>" + _TURNS.replace(
    "OTHERS", '("<|user|>" if m.role == "user" else "<|system|>") + m.content'
).replace("ASSISTANT", '"<|assistant|>" + ' + _final("<think>", "</think>", "</think>") + " + m.content").replace(
    "HEADER", '"<|assistant|>"'
).replace("GENERATION", '{{- "</think>" if enable_thinking is defined and not enable_thinking else "<think>" -}}')
_KIMI = (
    _TURNS.replace("OTHERS", '"<|im_" + m.role + "|>" + m.role + "<|im_middle|>" + m.content + "<|im_end|>"')
    .replace(
        "ASSISTANT",
        '"<|im_assistant|>assistant<|im_middle|>" + '
        + _final("<think>", "</think>", "<think></think>")
        + ' + m.content + "<|im_end|>"',
    )
    .replace("HEADER", '"<|im_assistant|>assistant<|im_middle|>"')
    .replace("GENERATION", '{{- "<think></think>" if thinking is defined and not thinking else "<think>" -}}')
)
_MINIMAX = (
    _TURNS.replace("OTHERS", '"]~b]" + m.role + "\\n" + m.content + "<|im_end|>\\n"')
    .replace(
        "ASSISTANT",
        '"]~b]ai\\n" + ' + _final("<mm:think>", "</mm:think>", "</mm:think>") + ' + m.content + "<|im_end|>\\n"',
    )
    .replace("HEADER", '"]~b]ai\\n"')
    .replace(
        "GENERATION",
        '{{- {"enabled": "<mm:think>", "disabled": "</mm:think>"}.get(thinking_mode | default("enabled"), "") -}}',
    )
)
_MINICPM = _CHATML.replace("THOUGHT", _final("<think>\\n", "\\n</think>\\n\\n")).replace(
    "GENERATION",
    '{%- if enable_thinking is defined -%}{{- "<think>\\n" if enable_thinking else "<think>\\n\\n</think>\\n\\n" -}}'
    "{%- endif -%}",
)
_NEMOTRON_V2 = """{%- set ns = namespace(think=true) -%}
{%- for m in messages -%}{%- if m.role != "assistant" -%}
{%- if "/no_think" in m.content -%}{%- set ns.think = false -%}
{%- elif "/think" in m.content -%}{%- set ns.think = true -%}{%- endif -%}
{%- endif -%}{%- endfor -%}""" + (
    _TURNS.replace(
        "OTHERS",
        '"<SPECIAL_10>" + m.role.capitalize() + "\\n" '
        '+ (m.content.replace("/no_think", "").replace("/think", "") | trim) + "\\n"',
    )
    .replace("ASSISTANT", '"<SPECIAL_11>Assistant\\n" + m.content.split("</think>")[-1].strip() + "\\n<SPECIAL_12>\\n"')
    .replace("HEADER", '"<SPECIAL_11>Assistant\\n"')
    .replace("GENERATION", '{{- "<think>\\n\\n" if ns.think else "<think></think>" -}}')
)
_SMOLLM3 = """{%- set mode = "/think" if enable_thinking is not defined or enable_thinking else "/no_think" -%}
{{- "<|im_start|>system\\n## Metadata\\n\\nToday Date: " + strftime_now("%d %B %Y") + "\\nReasoning Mode: " + mode -}}
{{- "\\n\\n<|im_end|>\\n" -}}""" + _CHATML.replace(
    "THOUGHT", '("<think>\\n\\n</think>\\n" if mode == "/no_think" else "")'
).replace("GENERATION", '{{- "<think>\\n\\n</think>\\n" if mode == "/no_think" else "" -}}')
_HUNYUAN = (
    _TURNS.replace(
        "OTHERS",
        '"<|startoftext|>" + ("/no_think" if enable_thinking is defined and not enable_thinking else "") '
        '+ m.content + "<|extra_0|>"',
    )
    .replace(
        "ASSISTANT",
        _final("<think>\\n", "\\n</think>\\n<answer>\\n", "<think>\\n\\n</think>\\n<answer>\\n")
        + ' + m.content + "\\n</answer><|eos|>"',
    )
    .replace("HEADER", '""')
    .replace(
        "GENERATION",
        '{{- "<think>\\n\\n</think>\\n<answer>\\n" if enable_thinking is defined and not enable_thinking else "" -}}',
    )
)
_SEED = """{%- if thinking_budget is defined and thinking_budget == 0 -%}
{{- "<seed:bos>system\\nYour thinking budget is 0.<seed:eos>" -}}{%- endif -%}""" + _TURNS.replace(
    "OTHERS", '"<seed:bos>" + m.role + "\\n" + m.content + "<seed:eos>"'
).replace(
    "ASSISTANT",
    '"<seed:bos>assistant\\n" + ' + _final("<seed:think>", "</seed:think>") + ' + m.content + "<seed:eos>"',
).replace("HEADER", '"<seed:bos>assistant\\n"').replace(
    "GENERATION",
    '{{- "<seed:think><seed:cot_budget_reflect>The current thinking budget is 0, so I will directly start '
    'answering the question.</seed:cot_budget_reflect></seed:think>" '
    'if thinking_budget is defined and thinking_budget == 0 else "" -}}',
)
_GRANITE = """{%- if thinking is defined and thinking -%}
{{- "<|start_of_role|>system<|end_of_role|>Write your thoughts after 'Here is my thought process:'" -}}
{{- "<|end_of_text|>\\n" -}}{%- endif -%}""" + _TURNS.replace(
    "OTHERS", '"<|start_of_role|>" + m.role + "<|end_of_role|>" + m.content + "<|end_of_text|>\\n"'
).replace("ASSISTANT", '"<|start_of_role|>assistant<|end_of_role|>" + m.content + "<|end_of_text|>\\n"').replace(
    "HEADER", '"<|start_of_role|>assistant<|end_of_role|>"'
).replace("GENERATION", "")
_PANGU = (
    _TURNS.replace("OTHERS", '"[unused9]" + m.role + "：" + m.content + "[unused10]"')
    .replace("ASSISTANT", '"[unused9]助手：" + m.content.split("[unused17]")[-1] + "[unused10]"')
    .replace("HEADER", '"[unused9]助手："')
    .replace("GENERATION", "{#- its thoughts stand between [unused16] and [unused17] -#}")
)
_KAT = _CHATML.replace("THOUGHT", '""').replace("GENERATION", '{{- "<judge>\\n" -}}')
_QWEN_THINKING = _CHATML.replace("THOUGHT", _final("<think>\\n", "\\n</think>\\n\\n")).replace(
    "GENERATION", '{{- "<think>\\n" -}}'
)
_R1_0528 = _DEEPSEEK.replace("<｜Assistant｜></think>", "<｜Assistant｜>").replace(
    '{{- "<think>" if thinking is defined and thinking else "</think>" -}}', ""
)

STAND_INS = {
    "DeepSeek V3.1": (_DEEPSEEK, "<｜end▁of▁sentence｜>"),
    "DeepSeek R1-0528": (_R1_0528, "<｜end▁of▁sentence｜>"),
    "GLM-4.7": (_GLM, "<|endoftext|>"),
    "Granite 3.3": (_GRANITE, "<|end_of_text|>"),
    "Hunyuan-A13B": (_HUNYUAN, "<|eos|>"),
    "KAT-V1": (_KAT, "<|im_end|>"),
    "Kimi-K2.5": (_KIMI, "<|im_end|>"),
    "MiniCPM5": (_MINICPM, "<|im_end|>"),
    "MiniMax-M3": (_MINIMAX, "<|im_end|>"),
    "Nemotron-Nano-v2": (_NEMOTRON_V2, "<SPECIAL_12>"),
    "Qwen3-Thinking-2507, QwQ": (_QWEN_THINKING, "<|im_end|>"),
    "Seed-OSS": (_SEED, "<seed:eos>"),
    "SmolLM3": (_SMOLLM3, "<|im_end|>"),
    "openPangu-Embedded": (_PANGU, "[unused10]"),
}
# Tokens that a family's tokenizer has and its template does not name.
EXTRA = {
    "DeepSeek R1-0528": ("<think>", "</think>"),
    "KAT-V1": ("</judge>", "<think_on>", "<think_off>", "<think>", "</think>", "<answer>", "</answer>"),
}
SHIPPED = {
    "DeepSeek-R1 distills": "deepseek_r1_distill",
    "Gemma 4 (at release)": "gemma4_v2",
    "Gemma 4": "gemma4_v5",
    "GLM-4.5": "glm4moe",
    "gpt-oss": "gptoss",
    "LFM2.5": "lfm2_2_5_v2",
    "Muse Glimmer": "muse_glimmer",
    "Nemotron-3 Nano": "nemotron_3_nano",
    "Nemotron-3 Ultra": "nemotron_3_ultra",
    "Nemotron-3.5 Lightning": "nemotron_3_5_lightning",
    "Qwen3": "qwen3",
    "Qwen3.5 up to 2B": "qwen3_5_nothink",
    "Qwen3.5 from 4B": "qwen3_5_think",
    "Qwen3.6": "qwen3_6",
    "Qwen3.8": "qwen3_8",
}


def shipped(name: str) -> str:
    """The text of a template that TRL's package ships."""
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def family_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a family of `STAND_INS` or `SHIPPED`."""
    if family in STAND_INS:
        template, end = STAND_INS[family]
        return template_tokenizer(template, end, extra=EXTRA.get(family, ()))
    return template_tokenizer(shipped(SHIPPED[family]))


def template_tokenizer(
    template: str, end: str = "<|endoftext|>", bos: str | None = "<bos>", extra: tuple[str, ...] = ()
) -> PreTrainedTokenizerFast:
    """One token a byte, "\\n\\n", and the special tokens that the template names; text is cut as Qwen's tokenizers cut
    it."""
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
    names = sorted({*SPECIAL.findall(template), *extra})
    special = ["<pad>", *([bos] if bos else []), end, *names]
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in dict.fromkeys(special)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token=end,
        bos_token=bos,
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )

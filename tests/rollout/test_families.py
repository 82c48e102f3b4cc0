"""Every family of hybrid models: the decision is found from its template, or refused with the reason."""

from pathlib import Path

import pytest
from families import SHIPPED, STAND_INS, family_tokenizer, shipped, template_tokenizer
from family_table import BY_NAME, family_protocol, table

from rollout.chat import Chat
from rollout.families import find_protocol
from rollout.layouts import layout
from rollout.protocol import DecisionProtocol, ProtocolError
from rollout.types import MODES

ROOT = Path(__file__).resolve().parents[2]
# family: (end of the prompt, think, what follows it, no_think, what follows it, what ends a thought)
FOUND = {
    "Qwen3": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n\n", "\n</think>\n\n"),
    "Qwen3.5 up to 2B": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n\n", "\n</think>\n\n"),
    "Qwen3.5 from 4B": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n\n", "\n</think>\n\n"),
    "Qwen3.6": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n\n", "\n</think>\n\n"),
    "Qwen3.8": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n\n", "\n</think>\n\n"),
    "MiniCPM5": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n\n", "\n</think>\n\n"),
    "DeepSeek V3.1": ("<｜Assistant｜>", "<think>", "", "</think>", "", "</think>"),
    "GLM-4.7": ("<|assistant|>", "<think>", "", "</think>", "", "</think>"),
    "GLM-4.5": ("<|assistant|>\n<think>", "", "", "</think>", "\n", "</think>\n"),
    "Kimi-K2.5": ("<|im_middle|><think>", "", "", "</think>", "", "</think>"),
    "MiniMax-M3": ("]~b]ai\n", "<mm:think>", "", "</mm:think>", "", "</mm:think>"),
    "Nemotron-3 Nano": ("assistant\n<think>", "\n", "", "</think>", "", "\n</think>\n"),
    "Nemotron-3 Ultra": ("assistant\n<think>", "\n", "", "</think>", "", "</think>"),
    "Nemotron-Nano-v2": ("Assistant\n<think>", "\n\n", "", "</think>", "", "</think>"),
    "SmolLM3": ("assistant\n<think>", "\n", "", "\n\n", "</think>\n", "\n</think>\n"),
    "Hunyuan-A13B": (
        "<|extra_0|><think>", "\n", "", "\n\n", "</think>\n<answer>\n", "\n</think>\n<answer>\n"
    ),
    "Gemma 4": ("<|turn>model\n", "<|channel>", "thought\n", "", "", "\n<channel|>"),
    "Seed-OSS": (
        "assistant\n<seed:think>", "", "", "<seed:cot_budget_reflect>",
        "The current thinking budget is 0, so I will directly start answering the question."
        "</seed:cot_budget_reflect></seed:think>",
        "</seed:think>",
    ),
}  # fmt: skip
WITH_PROTOCOL = sorted({*FOUND, *BY_NAME, "Nemotron-3.5 Lightning", "KAT-V1"})


@pytest.fixture(scope="module")
def protocols():
    return {family: family_protocol(family) for family in WITH_PROTOCOL}


@pytest.mark.medium
@pytest.mark.parametrize("family", FOUND)
def test_the_decision_of_a_family_is_found_from_its_template(family, protocols):
    protocol, spec = protocols[family], protocols[family].spec
    prompt = protocol.prompt_text("Ann has 3 apples. How many?")
    assert "Ann has 3 apples. How many?" in prompt
    assert prompt.endswith(FOUND[family][0])
    found = (spec.think, spec.think_after, spec.no_think, spec.no_think_after, spec.thought_end)
    assert found == FOUND[family][1:]


@pytest.mark.parametrize("family", WITH_PROTOCOL)
@pytest.mark.parametrize("mode", MODES)
def test_a_response_of_each_mode_is_read_back(family, mode, protocols):
    protocol = protocols[family]
    ids = protocol.response(mode, "It is 7.", "Three and four.\n\nSeven.", "easy")
    parsed = protocol.parse(ids)
    assert (parsed.mode, parsed.status, parsed.answer_text) == (mode, "ok", "It is 7.")
    assert parsed.think_text == ("Three and four.\n\nSeven." if mode == "think" else "")
    forcing = protocol.forcing(mode)
    if mode == protocol.other:
        assert forcing.write == ()
        assert set(forcing.banned) == {*protocol.watch_ids, *protocol.end_ids}
    elif forcing.after is None:
        assert ids[: len(forcing.write)] == forcing.write


# Families whose prompt does not state the mode: prompt and forced prefix are what the template itself writes.
@pytest.mark.parametrize(
    ("family", "on", "off"),
    [
        *[(f, {"enable_thinking": True}, {"enable_thinking": False}) for f in ("Qwen3.5 from 4B", "MiniCPM5")],
        *[(f, {"enable_thinking": True}, {"enable_thinking": False}) for f in ("GLM-4.7", "Nemotron-3 Nano")],
        ("Qwen3", None, {"enable_thinking": False}),
        ("DeepSeek V3.1", {"thinking": True}, {"thinking": False}),
        ("Kimi-K2.5", {"thinking": True}, {"thinking": False}),
        ("MiniMax-M3", {"thinking_mode": "enabled"}, {"thinking_mode": "disabled"}),
        ("Qwen3.8", {"reasoning_effort": "medium"}, {"reasoning_effort": "medium", "enable_thinking": False}),
    ],
)
def test_a_forced_mode_is_the_prompt_that_the_template_writes_for_it(family, on, off, protocols):
    protocol, tokenizer = protocols[family], family_tokenizer(family)
    for mode, arguments in (("think", on), ("no_think", off)):
        if arguments is None:
            continue
        theirs = tokenizer.apply_chat_template(
            [{"role": "user", "content": "1+1?"}], tokenize=False, add_generation_prompt=True, **arguments
        )
        ours = protocol.prompt_text("1+1?") + protocol.decode(protocol.forcing(mode).write)
        assert ours == theirs


@pytest.mark.parametrize("family", WITH_PROTOCOL)
def test_a_thought_that_closes_later_has_decided_once(family, protocols):
    protocol = protocols[family]
    ids = protocol.response("think", "7", "a b", "easy")
    assert protocol.parse(ids).status == "ok"
    close = protocol.marks.think_close
    again = (*ids[:-1], close, *ids[-1:])
    assert protocol.parse(again).status == "malformed"


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("gpt-oss", r"no switch .* levels of effort \(reasoning_effort\), and none of them is off"),
        ("Muse Glimmer", r"levels of effort \(reasoning_strength\)"),
        ("Granite 3.3", "changes the prompt and not the answer"),
        ("DeepSeek-R1 distills", "its prompts open a thought; allowed: protocol.name: adaptthink"),
        ("Qwen3-Thinking-2507, QwQ", "its prompts open a thought; allowed: protocol.name: adaptthink"),
        ("openPangu-Embedded", "protocol.name: openpangu"),
        ("Gemma 4 (at release)", "gemma4 is written down by that name"),
        ("LFM2.5", "on and off give equal prompts"),
    ],
)
def test_a_template_without_a_decision_is_refused_with_the_reason(family, reason):
    with pytest.raises(ProtocolError, match=reason):
        find_protocol(Chat(family_tokenizer(family)))


@pytest.mark.parametrize("name", ["llama3", "llama3_2", "qwen2_5", "qwen3_instruct_2507", "phi3", "gemma3", "cohere2"])
def test_a_plain_chat_model_has_no_switch(name):
    with pytest.raises(ProtocolError, match="no switch by enable_thinking, thinking, thinking_mode"):
        find_protocol(Chat(template_tokenizer(shipped(name))))


def test_what_was_found_is_told(protocols):
    assert protocols["Qwen3.5 up to 2B"].notes == (
        "protocol auto: the template's switch is enable_thinking (default: off)",
        "protocol auto: the decision prompt ends '<|im_end|>\\n<|im_start|>assistant\\n<think>'; think '\\n', no_think "
        "'\\n\\n'; a thought ends '\\n</think>\\n\\n'",
        "protocol auto: earlier thoughts are dropped",
    )
    assert protocols["GLM-4.5"].notes[-1] == (
        "protocol auto: the mode is stated in the prompt too; the prompt used here states: on"
    )
    assert "protocol auto: template arguments {'thinking_mode': 'adaptive'}" in protocols["MiniMax-M3"].notes
    assert "(default: the model's choice)" in protocols["MiniCPM5"].notes[0]


def test_the_table_of_the_page_is_what_was_found():
    text = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8")
    assert table() in text
    assert len({*SHIPPED, *STAND_INS}) == 29


# --- any other token --------------------------------------------------------------------------------------------------


def test_any_token_but_off_s_is_a_thought_that_holds_it(protocols):
    kimi = protocols["Kimi-K2.5"]
    (close,) = kimi.encode("</think>")
    parsed = kimi.parse((*kimi.encode("so it is 7"), close, *kimi.encode("7"), kimi.eos_id))
    assert (parsed.mode, parsed.status, parsed.think_text, parsed.answer_text) == ("think", "ok", "so it is 7", "7")
    assert parsed.judge_ids == kimi.encode("s")
    assert parsed.switch_index == 0
    parsed = kimi.parse((close, *kimi.encode("7"), kimi.eos_id))
    assert (parsed.mode, parsed.status, parsed.think_text, parsed.answer_text) == ("no_think", "ok", "", "7")


def test_an_end_token_at_the_decision_is_any_other_token(protocols):
    kimi = protocols["Kimi-K2.5"]
    parsed = kimi.parse((kimi.eos_id,))
    assert (parsed.mode, parsed.status, parsed.switch_index) == ("think", "unclosed_think", 0)
    assert kimi.find_switch((kimi.eos_id,)) == (0, "think")
    assert kimi.parse(()).mode is None


def test_the_probability_of_any_other_token_is_the_rest(protocols):
    assert protocols["Kimi-K2.5"].switch_probs([-1.3862943611198906]) == pytest.approx(
        {"think": 0.75, "no_think": 0.25}
    )
    assert protocols["Gemma 4"].switch_probs([-1.3862943611198906]) == pytest.approx({"think": 0.25, "no_think": 0.75})


# --- switches ---------------------------------------------------------------------------------------------------------


def test_the_off_switch_may_be_the_tag_that_closes_a_thought():
    tokenizer = template_tokenizer("", "<eos>", extra=("<think>", "</think>"))
    protocol = DecisionProtocol(tokenizer, layout("one_token", "<think>", "</think>"))

    def read(text):
        parsed = protocol.parse(protocol.encode(text))
        return parsed.mode, parsed.status, parsed.think_text, parsed.answer_text

    assert read("<think>a b</think>42<eos>") == ("think", "ok", "a b", "42")
    assert read("</think>42<eos>") == ("no_think", "ok", "", "42")
    assert read("</think>42</think><eos>")[:2] == ("no_think", "malformed")
    assert read("<think>a<think>b</think>42<eos>")[:2] == ("think", "two_switches")


def test_switches_that_are_one_token_or_end_a_turn_are_refused():
    tokenizer = template_tokenizer("", "<eos>", extra=("<think>", "</think>", "<short>"))
    with pytest.raises(ProtocolError, match="are both '<short>'; allowed: two different tokens"):
        DecisionProtocol(tokenizer, layout("one_token", "<short>", "<short>"))
    with pytest.raises(ProtocolError, match="'<eos>' of protocol 'one_token' is an end token"):
        DecisionProtocol(tokenizer, layout("one_token", "<think>", "<eos>"))
    with pytest.raises(ProtocolError, match="'<short>' of protocol 'one_token' is an end token"):
        DecisionProtocol(
            tokenizer, layout("one_token", "<think>", "<short>"), end_ids=tuple(tokenizer.encode("<short>"))
        )

"""The exported chat template through plain transformers: three modes, system and tool turns, history, every family."""

from __future__ import annotations

import pytest
from factories import make_protocol
from families import SHIPPED, STAND_INS
from family_table import family_protocol

from rl.serving.template import check_template, exported_template, written
from rollout.layouts import layout
from rollout.protocol import DecisionProtocol

REFUSED = {"Granite 3.3", "LFM2.5", "gpt-oss", "Muse Glimmer"}
FAMILIES = sorted({*SHIPPED, *STAND_INS} - REFUSED)
ASKED = {"role": "user", "content": "And 8 times 6?"}
VALUES = {"auto": "auto", "think": True, "no_think": False}
CALL = {"type": "function", "id": "c1", "function": {"name": "times", "arguments": {"a": 8, "b": 6}}}
TOOL = {
    "type": "function",
    "function": {
        "name": "times",
        "description": "multiplies",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
}


def spelled(protocol, *parts):
    """A response as text, without its end of turn."""
    return protocol.decode(protocol.response(*parts)[: -len(protocol.end_turn)])


def rendered(protocol, turns, **arguments):
    return protocol.tokenizer.apply_chat_template(
        turns,
        chat_template=exported_template(protocol),
        tokenize=False,
        **{"add_generation_prompt": True, **arguments},
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_each_mode_gives_the_ids_that_an_evaluation_asks_and_forces(family):
    protocol = family_protocol(family)
    prompt = protocol.render(ASKED["content"])
    for mode, value in VALUES.items():
        ids = protocol.encode(rendered(protocol, [ASKED], enable_thinking=value))
        forced = () if mode in ("auto", protocol.other) else protocol.forcing(mode).write
        if protocol.spec.judge_close and mode != "auto":
            forced = (*protocol.encode(protocol.spec.judge_close), *forced)
        assert ids == (*prompt, *forced)
    assert rendered(protocol, [ASKED]) == rendered(protocol, [ASKED], enable_thinking="auto")
    check_template(protocol, exported_template(protocol))


@pytest.mark.parametrize("family", FAMILIES)
def test_earlier_turns_stand_without_their_thoughts_however_they_were_given(family):
    protocol = family_protocol(family)
    think = spelled(protocol, "think", "It is 42.", "Six sevens.")
    direct = spelled(protocol, "no_think", "It is 42.")
    plain, as_text, as_direct, as_field = (
        rendered(protocol, [{"role": "user", "content": "7 times 6?"}, {"role": "assistant", **said}, ASKED])
        for said in (
            {"content": "It is 42."},
            {"content": think},
            {"content": direct},
            {"content": "It is 42.", "reasoning_content": "Six sevens."},
        )
    )
    assert "It is 42." in plain
    assert "Six sevens" not in as_text
    assert as_text == as_direct == as_field == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_the_run_s_system_text_stands_where_a_conversation_has_none(family):
    bare = family_protocol(family)
    protocol = DecisionProtocol(
        bare.tokenizer, bare.spec, system="Be brief, {{ and }} exact.", template_kwargs=bare.chat.arguments
    )
    own = [{"role": "system", "content": "Be kind."}, ASKED]
    assert protocol.encode(rendered(protocol, [ASKED])) == protocol.render(ASKED["content"])
    assert protocol.encode(rendered(protocol, own)) == protocol.render(ASKED["content"], own)
    assert "Be brief, {{ and }} exact." in rendered(protocol, [ASKED])
    assert "Be brief" not in rendered(protocol, own)


@pytest.mark.parametrize("family", ["Qwen3", "Qwen3.5 from 4B", "Nemotron-3 Nano", "Qwen3.6"])
def test_tools_their_calls_and_their_results_are_written_as_the_model_s_own_template_writes_them(family):
    protocol = family_protocol(family)
    talk = [ASKED, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "48"}]
    own = protocol.tokenizer.apply_chat_template(
        talk, tools=[TOOL], tokenize=False, add_generation_prompt=True, **protocol.chat.arguments
    )
    text = rendered(protocol, talk, tools=[TOOL])
    begun = own.removesuffix(protocol.spec.prompt_cut)
    assert text == begun + protocol.spec.prompt_suffix
    assert "multiplies" in text
    assert '"times"' in text or "times" in text
    assert "48" in text


def test_a_conversation_that_asks_for_no_answer_is_the_model_s_own():
    protocol = family_protocol("Qwen3")
    talk = [ASKED, {"role": "assistant", "content": "It is 48."}]
    own = protocol.tokenizer.apply_chat_template(talk, tokenize=False)
    for value in VALUES.values():
        assert rendered(protocol, talk, enable_thinking=value, add_generation_prompt=False) == own


def test_a_server_that_writes_the_switch_behind_kat_s_judge_text_gets_the_open_judge():
    protocol = family_protocol("KAT-V1")
    open_judge = rendered(protocol, [ASKED])
    assert open_judge.endswith("<|im_start|>assistant\n<judge>\n")
    assert rendered(protocol, [ASKED], enable_thinking=True) == open_judge + "</judge>\n\n<think_on>"
    assert rendered(protocol, [ASKED], enable_thinking=False) == open_judge + "</judge>\n\n<think_off>"
    for value in VALUES.values():
        assert rendered(protocol, [ASKED], enable_thinking=value, switch_by_server=True) == open_judge


def test_openpangu_s_words_are_appended_once():
    protocol = family_protocol("openPangu-Embedded")
    assert rendered(protocol, [ASKED]).count("/auto_think") == 1
    assert rendered(protocol, [{**ASKED, "content": "And 8 times 6? /auto_think"}]).count("/auto_think") == 1
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, ASKED]
    assert rendered(protocol, earlier).count("/auto_think") == 1


@pytest.mark.parametrize("value", ["yes", 3, "off"])
def test_another_value_is_refused_with_those_that_are_allowed(value):
    protocol = family_protocol("Qwen3")
    with pytest.raises(Exception, match=r"allowed: true, false, 'auto'"):
        rendered(protocol, [ASKED], enable_thinking=value)


def test_a_model_without_a_chat_template_gets_one_that_gives_its_prompts():
    protocol = make_protocol("one_token")
    assert protocol.tokenizer.chat_template is None
    turns = [{"role": "user", "content": "a b"}]
    for mode, value in VALUES.items():
        ids = protocol.encode(rendered(protocol, turns, enable_thinking=value))
        assert ids == (*protocol.render("a b"), *(protocol.forcing(mode).write if mode != "auto" else ()))


def test_what_a_mode_without_a_token_would_write_is_nothing():
    assert written(layout("adaptthink"), "no_think") == "</think>\n\n"
    assert [written(spec, mode) for spec, mode in ((family_protocol("Kimi-K2.5").spec, "think"),)] == [""]

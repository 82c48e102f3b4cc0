"""Protocols around a response: prompts, the tokens a tokenizer must have, renamed switches, forcing."""

import pytest
from factories import make_protocol, word_tokenizer
from tokenizers import Regex, pre_tokenizers

from rl.worlds.model import build_tokenizer
from rollout.protocol import LAYOUTS, DecisionProtocol, ProtocolError, layout

PROTOCOLS = {name: make_protocol(name) for name in LAYOUTS}


def test_a_kat_prompt_ends_with_the_judge_tag_written_once():
    protocol = PROTOCOLS["kat"]
    assert protocol.prompt_text("7 + 1").split() == ["<bos>", "7", "+", "1", "<judge>"]
    assert protocol.decode(protocol.render("7 + 1")) == "<bos>7+1<judge>"


def test_a_template_without_the_judge_tag_gets_it_appended():
    tokenizer = build_tokenizer()
    tokenizer.chat_template = "{{ messages[-1]['content'] }}"
    assert DecisionProtocol(tokenizer, layout("kat")).prompt_text("7") == "7<judge>\n"


def test_system_text_and_template_arguments_reach_the_template():
    tokenizer = word_tokenizer(["<think>", "</think>"])
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}{{ tail }}"
    protocol = DecisionProtocol(tokenizer, layout("qwen3"), system="be brief", template_kwargs={"tail": "end"})
    assert protocol.prompt_text("a b") == "system be brief user a b end"


@pytest.mark.parametrize("prefill", ["<think>", "<think>\n", "<think>\n\n</think>\n\n"])
def test_a_template_that_prefills_the_thinking_tag_is_refused(prefill):
    tokenizer = word_tokenizer(["<think>", "</think>"])
    tokenizer.chat_template = "{{ messages[-1]['content'] }} " + prefill.replace("\n", "{{ '\\n' }}")
    with pytest.raises(ProtocolError, match="already writes"):
        DecisionProtocol(tokenizer, layout("qwen3")).render("a")


@pytest.mark.parametrize(
    ("name", "special", "missing"),
    [
        ("kat", ["<think>", "</think>"], "</judge>"),
        ("qwen3", ["</think>"], "<think>"),
        ("one_token", ["<think>", "</think>"], "<no_think>"),
    ],
)
def test_a_tokenizer_without_a_decision_token_is_refused_by_its_text(name, special, missing):
    tokenizer = build_byte_tokenizer(special)
    with pytest.raises(ProtocolError, match=f"needs '{missing}' as one token, this tokenizer splits it into"):
        DecisionProtocol(tokenizer, layout(name))


def build_byte_tokenizer(special):
    """A tokenizer that splits unknown words into letters, as real ones do."""
    tokenizer = word_tokenizer(special, words="<>/_abcdefghijklmnopqrstuvwxyz")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n\n|\n|."), "isolated")
    return tokenizer


def test_switches_can_be_renamed():
    tokenizer = word_tokenizer(["<slow>", "</think>", "<fast>"])
    protocol = DecisionProtocol(tokenizer, layout("one_token", think="<slow>", no_think="<fast>"))
    parsed = protocol.parse(protocol.encode("<fast>42<eos>"))
    assert (parsed.mode, parsed.status, parsed.answer_text) == ("no_think", "ok", "42")


def test_an_unknown_layout_names_the_three():
    with pytest.raises(ProtocolError, match="'cat'; allowed: kat, qwen3, one_token"):
        layout("cat")


def test_forcing_writes_the_switch_where_each_layout_has_it():
    kat = make_protocol("kat", judge_patience=4)
    forcing = kat.forcing("no_think")
    assert (kat.decode(forcing.write), kat.decode([forcing.after]), forcing.patience) == ("<think_off>", "</judge>", 4)
    qwen3, one = PROTOCOLS["qwen3"], PROTOCOLS["one_token"]
    assert qwen3.decode(qwen3.forcing("think").write) == "<think>\n"
    assert qwen3.decode(qwen3.forcing("no_think").write) == "<think>\n\n</think>\n\n"
    assert one.decode(one.forcing("no_think").write) == "<no_think>"
    assert (qwen3.forcing("think").after, one.forcing("think").after) == (None, None)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("mode", ["think", "no_think"])
def test_forced_tokens_are_how_a_well_formed_response_begins(name, mode):
    protocol = PROTOCOLS[name]
    response = protocol.response(mode, "42", "7", "hm")
    forcing = protocol.forcing(mode)
    start = response.index(forcing.after) + 1 if forcing.after is not None else 0
    assert response[start : start + len(forcing.write)] == forcing.write

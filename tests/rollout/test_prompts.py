"""The rendered prompt is checked: it holds what it was given, once, and nothing of a user's text becomes control."""

import datetime

import pytest
from families import family_tokenizer, shipped, template_tokenizer
from family_table import family_protocol

from rollout.chat import Chat, end_tokens
from rollout.layouts import layout
from rollout.protocol import DecisionProtocol, ProtocolError

TAGS = ("<think>", "</think>", "<no_think>")
CHATML = """{%- for m in messages %}{{- "<|im_start|>" + m.role + "\\n" + m.content + "<|im_end|>\\n" }}{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\nEND" }}{%- endif %}"""


def protocol_of(template=None, name="one_token", **options):
    tokenizer = template_tokenizer(template or CHATML.replace("END", ""), options.pop("end", "<|im_end|>"), extra=TAGS)
    return DecisionProtocol(tokenizer, layout(name), **options)


@pytest.mark.parametrize("name", ["llava_next", "idefics3", "smolvlm"])
def test_a_template_that_loops_over_content_parts_gets_parts(name):
    assert "Ann has 3 apples" in protocol_of(shipped(name)).prompt_text("Ann has 3 apples")


def test_a_template_that_drops_the_user_s_text_is_refused():
    with pytest.raises(ProtocolError, match="leaves out the user's text 'Ann has 3 apples'"):
        protocol_of("{{ '<|user|>' }}").prompt_text("Ann has 3 apples")


def test_a_system_text_that_is_dropped_is_refused():
    template = CHATML.replace("{%- for m in messages %}", "{%- for m in messages if m.role == 'user' %}").replace(
        "END", ""
    )
    with pytest.raises(ProtocolError, match="leaves out the system's text 'be brief'"):
        protocol_of(template, system="be brief").prompt_text("1+1?")


def test_names_and_tool_calls_are_kept_or_refused():
    named = ({"role": "user", "content": "1+1?", "name": "Ann"},)
    with pytest.raises(ProtocolError, match="leaves out the name 'Ann'"):
        protocol_of().prompt_text("1+1?", named)
    call = {"type": "function", "id": "c1", "function": {"name": "add_up", "arguments": {"a": 1}}}
    talk = (
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "the sum is 2", "tool_call_id": "c1"},
        {"role": "user", "content": "doubled?"},
    )
    with pytest.raises(ProtocolError, match="leaves out the tool call 'add_up'"):
        protocol_of().prompt_text("doubled?", talk)
    qwen = DecisionProtocol(template_tokenizer(shipped("qwen3")), layout("qwen3")).prompt_text("doubled?", talk)
    assert '"add_up"' in qwen
    assert "the sum is 2" in qwen


def test_the_first_token_is_written_where_the_tokenizer_s_own_call_writes_it():
    from tokenizers.processors import TemplateProcessing

    plain = template_tokenizer("", "<eos>", extra=TAGS)
    plain.chat_template = None
    assert DecisionProtocol(plain, layout("one_token")).render("7") == tuple(plain("7")["input_ids"])
    bos = plain.bos_token_id
    plain.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    rendered = DecisionProtocol(plain, layout("one_token")).render("7")
    assert rendered == tuple(plain("7")["input_ids"])
    assert rendered[0] == bos
    plain.chat_template = "{{ bos_token }}{{ bos_token }}{{ messages[-1].content }}"  # written twice
    assert DecisionProtocol(plain, layout("one_token")).render("7") == rendered
    plain.chat_template = "{{ messages[-1].content }}"
    assert DecisionProtocol(plain, layout("one_token")).render("7") == rendered


TALK = (
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "<think>\none and one\n</think>\n\n2"},
    {"role": "user", "content": "doubled?"},
)


@pytest.mark.parametrize("name", ["qwen3_8", "qwen3", "qwen3_5_think", "nemotron_3_nano"])
def test_no_earlier_thought_is_wrapped_twice(name):
    tokenizer = template_tokenizer(shipped(name), "<|im_end|>")
    written = Chat(tokenizer).render(TALK)
    text = DecisionProtocol(tokenizer, layout("adaptthink"), template_kwargs={"enable_thinking": True})
    prompt = text.prompt_text("doubled?", TALK)
    assert prompt.count("</think>") <= 1
    assert "2<|im_end|>" in prompt
    if name == "qwen3_8":
        assert written.count("</think>") == 2  # as the template wraps a thought that is text


@pytest.mark.parametrize(("family", "closed"), [("Kimi-K2.5", "<think></think>2"), ("MiniMax-M3", "</mm:think>2")])
def test_nor_by_a_template_whose_empty_thought_stands_before_every_answer(family, closed):
    protocol = family_protocol(family)
    written = Chat(family_tokenizer(family)).render(TALK)
    assert "one and one" in written
    prompt = protocol.prompt_text("doubled?", TALK)
    assert closed in prompt
    assert "one and one" not in prompt


def test_a_prompt_that_is_templated_already_is_refused():
    protocol = protocol_of()
    rendered = protocol.prompt_text("1+1?")
    with pytest.raises(ProtocolError, match=r"templated already: it holds '<\|im_start\|>user'"):
        protocol.prompt_text(rendered)


@pytest.mark.parametrize("text", ["stop<|im_end|>", "say </think> now", "<no_think> please", "<pad>"])
def test_a_control_token_in_a_user_s_text_is_refused_unless_allowed_and_then_counted(text):
    with pytest.raises(ProtocolError, match="holds the control token"):
        protocol_of().prompt_text(text)
    allowed = protocol_of(control_tokens=True)
    assert text in allowed.prompt_text(text)
    assert allowed.prompts.control_tokens_seen == 1


def test_ordinary_text_with_angle_brackets_is_no_control_token():
    protocol = protocol_of()
    assert "if a < b and b > c: <b>bold</b>" in protocol.prompt_text("if a < b and b > c: <b>bold</b>")
    assert protocol.prompts.control_tokens_seen == 0


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (shipped("gemma"), "System role not supported"),
        ("{% for m in messages %}", "TemplateSyntaxError"),
        ("{{ messages[0].content + messages[0].missing }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
    ids=["no system", "syntax", "undefined", "zero"],
)
def test_a_template_s_own_error_is_one_line(template, told):
    with pytest.raises(ProtocolError, match=told) as raised:
        protocol_of(template, system="be brief").prompt_text("1+1?")
    assert "\n" not in str(raised.value)


def test_alternation_that_a_template_asks_for_is_told():
    twice = ({"role": "user", "content": "1+1?"}, {"role": "user", "content": "doubled?"})
    with pytest.raises(ProtocolError, match="must alternate"):
        protocol_of(shipped("gemma")).prompt_text("doubled?", twice)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("<short>", "<short>"),
        ("<think>\\nLet me see\\n", "<think>"),
        ("<no_think>", "<no_think>"),
        ("<think>\\n\\n</think>\\n\\n", "</think>"),
    ],
)
def test_a_mode_that_the_template_writes_itself_is_found(written, found):
    with pytest.raises(ProtocolError, match=f"already writes '{found}' at the start of the response"):
        protocol_of(CHATML.replace("END", written)).prompt_text("1+1?")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("qwen3_5_think", "protocol.name: auto, which reads the template's own switch 'enable_thinking'"),
        ("nemotron_3_nano", "protocol.name: auto, which reads the template's own switch 'enable_thinking'"),
        ("deepseek_r1_distill", "configs/templates/deepseek-r1.jinja"),
    ],
)
def test_the_advice_fits_the_model(name, advice):
    with pytest.raises(ProtocolError, match="already writes '<think>'") as raised:
        DecisionProtocol(template_tokenizer(shipped(name)), layout("qwen3")).prompt_text("1+1?")
    assert advice in str(raised.value)
    assert ("deepseek" in advice) == ("deepseek" in str(raised.value))


def test_a_template_that_prints_the_date_prints_the_run_s():
    day = datetime.date(2024, 7, 26)
    prompts = [protocol_of(shipped("llama3_2"), today=today).prompt_text("1+1?") for today in (day, None)]
    assert "Today Date: 26 Jul 2024" in prompts[0]
    assert f"Today Date: {datetime.date.today().strftime('%d %b %Y')}" in prompts[1]
    assert Chat(template_tokenizer(shipped("llama3_2"))).prints_date
    assert not Chat(template_tokenizer(shipped("qwen3"))).prints_date
    assert "26 July 2024" in Chat(family_tokenizer("SmolLM3"), today=day).render([{"role": "user", "content": "1"}])


# --- ends of turn -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "eos", "end"),
    [
        ("phi3", "<|endoftext|>", "<|end|>"),
        ("gemma3", "<eos>", "<end_of_turn>"),
        ("qwen3", "<|endoftext|>", "<|im_end|>"),
        ("llama3", "<|end_of_text|>", "<|eot_id|>"),
        ("glm4moe", "<|endoftext|>", "<|user|>"),
        ("cohere2", "<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        ("deepseek_r1_distill", "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        ("gemma4_v5", "<eos>", "<turn|>"),
    ],
)
def test_the_turn_ends_as_the_template_writes_it_and_every_end_stops(name, eos, end):
    tokenizer = template_tokenizer(shipped(name), eos, extra=TAGS)
    protocol = DecisionProtocol(tokenizer, layout("one_token"))
    assert protocol.decode(protocol.response("no_think", "7")) == f"<no_think>7{end}"
    for token in {eos, end}:
        assert protocol.parse(protocol.encode(f"<no_think>7{token}")).status == "ok"


def test_the_generation_configuration_s_ends_are_ends():
    protocol = protocol_of(end_ids=(3, 4))
    assert protocol.end_ids[1:] == (3, 4) or set(protocol.end_ids) >= {3, 4}
    assert not protocol.parse((*protocol.encode("<no_think>7"), 4)).truncated


def test_a_tokenizer_without_an_end_is_an_error():
    tokenizer = template_tokenizer("{{ messages[-1].content }}", extra=TAGS)
    tokenizer.eos_token = None
    with pytest.raises(ProtocolError, match="has no end token"):
        DecisionProtocol(tokenizer, layout("one_token"))
    assert end_tokens(Chat(tokenizer), (7,)) == ((7,), (7,))

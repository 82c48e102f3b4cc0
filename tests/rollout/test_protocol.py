"""Protocols: rendering, forcing, and a parser that classifies whatever the policy writes."""

import pytest
from factories import make_protocol
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.worlds.model import JUDGE_WORDS
from rollout.protocol import LAYOUTS
from rollout.types import Status

PROTOCOLS = {name: make_protocol(name) for name in LAYOUTS}
EOS = "<eos>"


def parse(name, text):
    protocol = PROTOCOLS[name]
    return protocol.parse(protocol.encode(text))


# --- every kind of response, by hand ---------------------------------------------------------------------------------

GOOD_THINK = "hm</judge><think_on><think>1+1=2</think><answer>2</answer>"
KAT = [
    (GOOD_THINK + EOS, "think", "ok"),
    ("hm</judge><think_off><answer>2</answer>" + EOS, "no_think", "ok"),
    ("<think_off><answer>2</answer>" + EOS, "no_think", "ok"),  # an empty judge step is still a decision
    (EOS, None, "no_switch"),
    ("hm</judge><think>1</think><answer>2</answer>" + EOS, None, "no_switch"),
    ("hm</judge>", None, "truncated"),
    ("", None, "truncated"),
    ("hm</judge><think_off><think_on><answer>2</answer>" + EOS, "no_think", "two_switches"),
    ("<think_on><think>1<think_on></think><answer>2</answer>" + EOS, "think", "two_switches"),
    ("<think_off><answer>2<think_off></answer>" + EOS, "no_think", "two_switches"),
    ("<think_on><think>1+1=2" + EOS, "think", "unclosed_think"),
    ("<think_on><think>1+1=2<answer>2</answer>" + EOS, "think", "unclosed_think"),
    ("<think_on><think>1</think><answer>2" + EOS, "think", "unclosed_answer"),
    ("<think_off><answer>2" + EOS, "no_think", "unclosed_answer"),
    ("<think_off><answer></answer>" + EOS, "no_think", "empty_answer"),
    ("<think_on><think>1</think><answer></answer>" + EOS, "think", "empty_answer"),
    ("<think_on><answer>2</answer>" + EOS, "think", "malformed"),  # no thinking where it was announced
    ("<think_on>1<think>1</think><answer>2</answer>" + EOS, "think", "malformed"),
    ("<think_off>1<answer>2</answer>" + EOS, "no_think", "malformed"),
    ("<think_off><think>1</think><answer>2</answer>" + EOS, "no_think", "malformed"),
    ("<think_off>2" + EOS, "no_think", "malformed"),
    ("<think_off><answer><think>1</think>2</answer>" + EOS, "no_think", "malformed"),  # a thought in the answer
    ("<think_off><answer>1<answer>2</answer>" + EOS, "no_think", "malformed"),
    ("<think_on><think>1</think>2" + EOS, "think", "malformed"),
    ("<think_off><answer>2</answer>3" + EOS, "no_think", "malformed"),
    ("<think_on>", "think", "truncated"),
    ("<think_on><think>1+1", "think", "truncated"),
    ("<think_on><think>1</think>", "think", "truncated"),
    ("<think_on><think>1</think><answer>2", "think", "truncated"),
    ("<think_off><answer>2</answer>", "no_think", "truncated"),  # the end token is missing
]
QWEN3 = [
    ("<think>\na b\n</think>\n\n42" + EOS, "think", "ok"),
    ("<think>\n\n</think>\n\n42" + EOS, "no_think", "ok"),
    ("42" + EOS, None, "no_switch"),
    ("<think>a\n</think>\n\n42" + EOS, None, "no_switch"),  # neither switch follows <think>
    ("<think>" + EOS, None, "no_switch"),
    ("<think>", None, "truncated"),
    ("<think>\na b" + EOS, "think", "unclosed_think"),
    ("<think>\n\n42" + EOS, "no_think", "unclosed_think"),
    ("<think>\n\na</think>\n\n42" + EOS, "no_think", "malformed"),  # thinks although it said it would not
    ("<think>\na\n</think>\n\n42</think>" + EOS, "think", "malformed"),
    ("<think>\n\n</think>\n\n<think>42" + EOS, "no_think", "two_switches"),
    ("<think>\na\n</think>\n\n" + EOS, "think", "empty_answer"),
    ("<think>\n\n</think>" + EOS, "no_think", "empty_answer"),
    ("<think>\na b", "think", "truncated"),
    ("<think>\n\n</think>\n\n42", "no_think", "truncated"),
]
ONE_TOKEN = [
    ("<think>a b</think>42" + EOS, "think", "ok"),
    ("<no_think>42" + EOS, "no_think", "ok"),
    ("42" + EOS, None, "no_switch"),
    ("42", None, "truncated"),
    ("<no_think><think>a</think>42" + EOS, "no_think", "two_switches"),
    ("<think>a<think>b</think>42" + EOS, "think", "two_switches"),
    ("<think>a b" + EOS, "think", "unclosed_think"),
    ("<think>a</think>" + EOS, "think", "empty_answer"),
    ("<no_think>" + EOS, "no_think", "empty_answer"),
    ("<no_think> \n" + EOS, "no_think", "empty_answer"),
    ("<no_think>a</think>42" + EOS, "no_think", "malformed"),
    ("<think>a</think>b</think>42" + EOS, "think", "malformed"),
    ("<think>a", "think", "truncated"),
    ("<no_think>42", "no_think", "truncated"),
]


@pytest.mark.parametrize(
    ("name", "text", "mode", "status"),
    [(name, *row) for name, rows in (("kat", KAT), ("qwen3", QWEN3), ("one_token", ONE_TOKEN)) for row in rows],
)
def test_each_kind_of_response_is_classified(name, text, mode, status):
    parsed = parse(name, text)
    assert (parsed.mode, parsed.status) == (mode, status)
    assert parsed.truncated == (EOS not in text)
    assert (parsed.answer_text != "") or status != "ok"


def test_a_kat_response_is_cut_into_its_spans():
    protocol = PROTOCOLS["kat"]
    parsed = parse("kat", GOOD_THINK + EOS)
    assert parsed.switch_index == 2
    assert protocol.decode(parsed.judge_ids) == "hm</judge><think_on>"
    assert (parsed.judge_text, parsed.think_text, parsed.answer_text) == ("hm", "1+1=2", "2")
    assert protocol.decode(parsed.think_ids) == "1+1=2"
    assert protocol.decode(parsed.answer_ids) == "2"


def test_the_qwen3_switch_is_the_token_after_think():
    protocol = PROTOCOLS["qwen3"]
    parsed = parse("qwen3", "<think>\na\n</think>\n\n42" + EOS)
    assert parsed.switch_index == 1
    assert protocol.decode(parsed.judge_ids) == "<think>\n"
    assert (parsed.think_text, parsed.answer_text) == ("a", "42")
    assert parse("qwen3", "<think>\n\n</think>\n\n42" + EOS).judge_ids == protocol.encode("<think>\n\n")


def test_a_truncated_answer_keeps_what_was_written():
    parsed = parse("kat", "<think_on><think>1</think><answer>25")
    assert (parsed.think_text, parsed.answer_text, parsed.truncated) == ("1", "25", True)


def test_two_switches_leave_no_answer_to_reward():
    assert parse("kat", "<think_off><answer>2</answer><think_on>" + EOS).answer_ids == ()


def test_what_follows_the_end_token_is_ignored():
    assert parse("kat", GOOD_THINK + EOS + "<think_on>9<think_off>") == parse("kat", GOOD_THINK + EOS)


# --- properties ------------------------------------------------------------------------------------------------------


def any_ids(name):
    """Sequences over the whole vocabulary, and dense ones over the tokens that mean something."""
    protocol = PROTOCOLS[name]
    size = len(protocol.tokenizer)
    tags = {token for token in range(size) if "<" in protocol.decode([token]) or not protocol.decode([token]).strip()}
    dense = st.sampled_from([*sorted(tags), size - 1])
    return st.lists(dense, max_size=16) | st.lists(st.integers(0, size - 1), max_size=30) | broken_response(name)


@st.composite
def broken_response(draw, name):
    """A well-formed response with up to three edits: deletions, insertions, swaps."""
    protocol = PROTOCOLS[name]
    mode = draw(st.sampled_from(("think", "no_think")))
    ids = list(protocol.response(mode, "42", "7" if name != "kat" else "7+1", "hm"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(ids) - 1)) if ids else 0
        kind = draw(st.sampled_from(("delete", "insert", "replace", "cut")))
        token = draw(st.integers(0, len(protocol.tokenizer) - 1))
        if kind == "cut":
            ids = ids[:at]
        elif kind == "insert":
            ids.insert(at, token)
        elif ids:
            ids[at : at + 1] = [] if kind == "delete" else [token]
    return ids


def is_slice(part, whole):
    return any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))


@pytest.mark.medium
@pytest.mark.parametrize("name", LAYOUTS)
def test_any_id_sequence_is_classified_and_its_spans_lie_in_it(name):
    protocol = PROTOCOLS[name]
    seen = set()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(any_ids(name))
    def check(ids):
        ids = tuple(ids)
        parsed = protocol.parse(ids)
        seen.add(parsed.status)
        assert parsed.status in set(Status)
        assert parsed.truncated == (protocol.eos_id not in ids)
        assert (parsed.status != "truncated") or parsed.truncated
        assert (parsed.status != "ok") or not parsed.truncated
        if parsed.mode is None:
            assert parsed.status in ("no_switch", "truncated")
            assert (parsed.switch_index, parsed.judge_ids, parsed.answer_ids) == (None, (), ())
            return
        end = parsed.switch_index + 1
        assert parsed.judge_ids == ids[:end]
        assert parsed.judge_ids[-1] == protocol.switch_ids[parsed.mode]
        assert is_slice(parsed.think_ids, ids[end:])
        assert is_slice(parsed.answer_ids, ids[end:])
        assert len(parsed.judge_ids) + len(parsed.think_ids) + len(parsed.answer_ids) <= len(ids)
        if parsed.status == "ok":
            assert parsed.answer_text.strip()
            assert parsed.answer_ids
            if name != "qwen3":
                assert sum(token in protocol.switch_ids.values() for token in ids[: ids.index(protocol.eos_id)]) == 1

    check()
    assert {"ok", "no_switch", "truncated", "malformed"} <= seen


@pytest.mark.medium
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_engine_and_the_parser_see_the_same_switch(name):
    protocol = PROTOCOLS[name]

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(any_ids(name))
    def check(ids):
        ids = tuple(ids)
        body = ids[: ids.index(protocol.eos_id) + 1] if protocol.eos_id in ids else ids  # an engine stops at the end
        parsed = protocol.parse(body)
        found = protocol.find_switch(body)
        assert found == (None if parsed.mode is None else (parsed.switch_index, parsed.mode))

    check()


@pytest.mark.medium
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    mode=st.sampled_from(("think", "no_think")),
    answer=st.text("0123456789+-()", min_size=1, max_size=8),
    thinking=st.text("0123456789+-=;()", max_size=30),
    judge=st.sampled_from(JUDGE_WORDS),
)
def test_a_kat_response_comes_back_with_the_same_texts(mode, answer, thinking, judge):
    protocol = PROTOCOLS["kat"]
    parsed = protocol.parse(protocol.response(mode, answer, thinking, judge))
    assert (parsed.mode, parsed.status, parsed.truncated) == (mode, "ok", False)
    assert (parsed.judge_text, parsed.answer_text) == (judge, answer)
    assert parsed.think_text == (thinking if mode == "think" else "")


words = st.lists(st.sampled_from(("a", "b", "c", "7", "42")), min_size=1, max_size=6)
texts = st.tuples(words, st.sampled_from((" ", "\n", "\n\n"))).map(lambda pair: pair[1].join(pair[0]))


@pytest.mark.parametrize("name", ["qwen3", "one_token"])
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(mode=st.sampled_from(("think", "no_think")), answer=texts, thinking=texts)
def test_a_response_comes_back_with_the_same_texts(name, mode, answer, thinking):
    protocol = PROTOCOLS[name]
    parsed = protocol.parse(protocol.response(mode, answer, thinking))
    assert (parsed.mode, parsed.status, parsed.answer_text) == (mode, "ok", answer)
    assert parsed.think_text == (thinking if mode == "think" else "")

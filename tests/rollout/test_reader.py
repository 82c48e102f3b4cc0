"""A response read token by token: parts as the parser finds them, and a thought closed at its budget."""

from __future__ import annotations

import pytest
from factories import make_protocol
from families import SHIPPED, STAND_INS, family_tokenizer
from family_table import family_protocol

from rollout.budget import QWEN3, closing_words
from rollout.chat import Chat
from rollout.protocol import LAYOUTS, DecisionProtocol, layout
from rollout.types import MODES

THOUGHT, ANSWER = "a b 7", "42"


def parts(protocol, ids):
    """(part, text) of each run of equal parts, marks left out."""
    reader, found = protocol.reader(), []
    for token in ids:
        part = reader.push(token)
        if part == "mark":
            continue
        if found and found[-1][0] == part:
            found[-1][1].append(token)
        else:
            found.append((part, [token]))
    texts = [(part, protocol.decode(tokens).strip()) for part, tokens in found]
    return [(part, text) for part, text in texts if text]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_parts_of_a_response_are_those_that_the_parser_finds(name):
    protocol = make_protocol(name)
    judge, thought = ("hm", "7+1") if name == "kat" else ("", THOUGHT)
    head = [("judge", judge)] if judge else []
    think = protocol.response("think", ANSWER, thought, judge)
    assert parts(protocol, think) == [*head, ("thinking", thought), ("answer", ANSWER)]
    assert parts(protocol, protocol.response("no_think", ANSWER, "", judge)) == [*head, ("answer", ANSWER)]


REFUSED = {"Granite 3.3", "LFM2.5", "gpt-oss", "Muse Glimmer"}


@pytest.mark.parametrize("family", sorted({*SHIPPED, *STAND_INS} - REFUSED))
def test_in_every_family_a_response_of_each_mode_is_read_as_it_was_written(family):
    protocol = family_protocol(family)
    for mode in MODES:
        ids = protocol.response(mode, "It is 7.", "Three and four." if mode == "think" else "")
        thought = [("thinking", "Three and four.")] if mode == "think" else []
        assert parts(protocol, ids) == [*thought, ("answer", "It is 7.")]


def closed_at(protocol, limit, ids):
    """How many of these tokens are read before the thought is closed, and what is then written."""
    budget = protocol.thought_budget(limit)
    for count, token in enumerate(ids, 1):
        due = budget.push(token)
        if due:
            assert not budget.push(due[0])  # once
            return count, protocol.decode(due)
    return None


def test_a_budget_counts_the_tokens_after_the_tag_that_opens_the_thought():
    qwen = make_protocol("qwen3")  # <think> \n a " " b " " 7 \n </think>
    thinking = qwen.response("think", ANSWER, THOUGHT)
    assert closed_at(qwen, 4, thinking) == (5, "\n</think>\n\n")
    assert closed_at(qwen, 1, thinking) == (2, "\n</think>\n\n")
    assert closed_at(qwen, 0, thinking) == (2, "\n</think>\n\n")
    assert closed_at(qwen, 7, thinking) == (8, "\n</think>\n\n")
    assert closed_at(qwen, 8, thinking) is None
    assert closed_at(qwen, 0, qwen.response("no_think", ANSWER)) is None
    kat = make_protocol("kat")  # hm </judge> <think_on> <think> 7 + 1 </think>
    assert closed_at(kat, 2, kat.response("think", ANSWER, "7+1", "hm")) == (6, "</think><answer>")
    one = make_protocol("one_token")
    assert closed_at(one, 0, one.response("think", ANSWER, THOUGHT)) == (1, "</think>")


def test_the_words_of_a_family_come_before_its_closing_tag():
    tokenizer = family_tokenizer("Qwen3")
    words = closing_words(Chat(tokenizer), "qwen3_moe", "\n</think>\n\n")
    assert words == QWEN3
    protocol = DecisionProtocol(tokenizer, layout("qwen3"), closing_words=words)
    ids = protocol.response("think", "It is 7.", "Three and four.")
    count, closing = closed_at(protocol, 3, ids)
    assert closing.endswith("based on the thinking directly now.\n</think>\n\n")
    cut = (*ids[:count], *protocol.encode(closing), *protocol.encode("It is 7."), *protocol.end_turn)
    parsed = protocol.parse(cut)
    assert (parsed.status, parsed.answer_text) == ("ok", "It is 7.")
    assert closing_words(Chat(tokenizer), "llama", "\n</think>\n\n") == ""
    # The embedded model is a Qwen3 by its architecture, and its vocabulary has none of these words.
    assert closing_words(Chat(make_protocol("kat").tokenizer), "qwen3", "\n</think>\n\n") == ""


def test_seed_oss_closes_with_tags_that_also_decide_and_the_response_is_well_formed():
    plain = family_protocol("Seed-OSS")
    words = closing_words(Chat(plain.tokenizer), "seed_oss", plain.spec.thought_end)
    assert words.startswith("\n<seed:cot_budget_reflect>I have exhausted my token budget")
    protocol = DecisionProtocol(plain.tokenizer, plain.spec, closing_words=words)
    ids = protocol.response("think", "It is 7.", "Three and four.")
    count, closing = closed_at(protocol, 2, ids)
    cut = (*ids[:count], *protocol.encode(closing), *protocol.encode("It is 7."), *protocol.end_turn)
    assert (protocol.parse(cut).status, protocol.parse(cut).answer_text) == ("ok", "It is 7.")
    assert plain.parse(cut).status == "two_switches"

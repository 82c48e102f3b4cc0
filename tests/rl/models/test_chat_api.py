"""The client of chat endpoints, against a real server that fails in every way it can."""

import asyncio
import json
import socket
import time
from email.utils import formatdate

import pytest
from chat_server import chat_server

from rl.models.chat_api import Endpoint, EndpointError, Reply, ask_all, check_endpoint, check_listening, first_model


def ask(url, *texts, **settings):
    """The outcomes by text."""
    found = {}

    async def questions():
        for text in texts:
            yield text, [{"role": "user", "content": text}], {"seed": 7}

    endpoint = Endpoint(url, "teacher", **{"backoff": 0.01, "retries": 3, "timeout": 5.0, **settings})
    asyncio.run(ask_all(endpoint, questions(), lambda name, outcome: found.setdefault(name, outcome)))
    return found


@pytest.mark.medium
def test_a_streamed_answer_has_its_text_its_thoughts_and_its_tokens():
    with chat_server(lambda body, seen: {"content": "the\nsum\nis 7", "reasoning": "3+4"}) as (url, seen):
        assert ask(url, "3+4?") == {"3+4?": Reply("the\nsum\nis 7", "3+4", "stop", "teacher", 3, 5, 1)}
    assert seen.bodies[0]["stream"] is True
    assert (seen.bodies[0]["model"], seen.bodies[0]["seed"]) == ("teacher", 7)


@pytest.mark.medium
def test_an_endpoint_that_does_not_stream_is_read_too():
    with chat_server(lambda body, seen: {"content": "7", "reasoning": "3+4", "plain": True}) as (url, _):
        reply = ask(url, "3+4?")["3+4?"]
    assert (reply.content, reply.reasoning, reply.prompt_tokens, reply.completion_tokens) == ("7", "3+4", None, 5)


@pytest.mark.medium
@pytest.mark.parametrize(
    "failure",
    [
        {"status": 429},
        {"status": 500},
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"cut": 1},
        {"raw": b"data: {not json\n\n"},
        {"raw": b'data: {"error": {"message": "overloaded"}}\n\n'},
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(failure):
    def answer(body, seen):
        return failure if len(seen.bodies) <= 2 else {"content": "7"}

    with chat_server(answer) as (url, seen):
        reply = ask(url, "3+4?")["3+4?"]
    assert (reply.content, reply.attempts, len(seen.bodies)) == ("7", 3, 3)


@pytest.mark.medium
def test_a_slow_answer_is_given_up_and_asked_again():
    with chat_server(lambda body, seen: {"content": "7", "sleep": 2 if len(seen.bodies) == 1 else 0}) as (url, _):
        started = time.perf_counter()
        reply = ask(url, "3+4?", timeout=0.3)["3+4?"]
    assert (reply.content, reply.attempts) == ("7", 2)
    assert time.perf_counter() - started < 2


@pytest.mark.medium
def test_the_pause_that_the_endpoint_asks_for_is_kept():
    def answer(body, seen):
        return {"status": 429, "headers": {"Retry-After": "0.4"}} if len(seen.bodies) == 1 else {"content": "7"}

    with chat_server(answer) as (url, _):
        started = time.perf_counter()
        assert ask(url, "3+4?")["3+4?"].content == "7"
    assert time.perf_counter() - started > 0.4


@pytest.mark.medium
def test_what_never_passes_is_an_error_and_the_others_go_on():
    def answer(body, seen):
        return {"status": 500} if body["messages"][-1]["content"] == "bad" else {"content": "good"}

    with chat_server(answer) as (url, seen):
        found = ask(url, "one", "bad", "two")
    assert (found["one"].content, found["two"].content) == ("good", "good")
    assert isinstance(found["bad"], EndpointError)
    assert "4 attempts: status 500" in str(found["bad"])
    assert seen.count("bad") == 4


def test_a_refusal_is_not_asked_again_and_the_key_is_in_no_message(monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")

    def answer(body, seen):
        return {"status": 401, "raw": b'{"error": "key sk-secret is no good"}'}

    with chat_server(answer) as (url, seen):
        failure = ask(url, "3+4?", key_variable="TEACHER_KEY")["3+4?"]
    assert seen.keys == ["Bearer sk-secret"]
    assert "answered 401" in str(failure)
    assert "sk-secret" not in str(failure)


@pytest.mark.medium
def test_no_more_calls_are_open_at_once_than_allowed():
    with chat_server(lambda body, seen: {"content": "7", "sleep": 0.05}) as (url, seen):
        found = ask(url, *map(str, range(20)), concurrency=4)
    assert len(found) == 20
    assert seen.most_open <= 4


def test_what_the_caller_raises_on_an_answer_ends_the_asking():
    async def questions():
        for i in range(50):
            yield i, [{"role": "user", "content": str(i)}], {}

    def finished(name, outcome):
        raise KeyError(name)

    with chat_server(lambda body, seen: {"content": "7"}) as (url, seen):
        with pytest.raises(KeyError):
            asyncio.run(ask_all(Endpoint(url, "teacher", concurrency=2), questions(), finished))
        assert len(seen.bodies) < 10


def test_a_server_that_is_not_there_is_told_at_once_and_one_that_answers_anything_is_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(EndpointError, match="nobody answers at"):
        check_listening(Endpoint(f"http://127.0.0.1:{port}/v1", "m"))
    assert time.monotonic() - started < 5
    with chat_server(lambda body, seen: {"content": "7"}) as (url, _):
        check_listening(Endpoint(url, "m"))  # it has no list of models: status 501


def test_an_address_that_is_none_and_a_missing_key_are_told_before_the_first_call(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(EndpointError, match="base_url is 'here'"):
        check_endpoint(Endpoint("here", "teacher"))
    with pytest.raises(EndpointError, match="has no NO_SUCH_KEY"):
        check_endpoint(Endpoint("https://api.example.org/v1", "teacher", key_variable="NO_SUCH_KEY"))
    check_endpoint(Endpoint("http://127.0.0.1:8000/v1", "teacher", key_variable="NO_SUCH_KEY"))


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ([{"type": "text", "text": "it is "}, {"type": "text", "text": "7"}], "it is 7"),
        (None, ""),
        (7, None),
        ([{"type": "image"}], None),
        ({"text": "7"}, None),
    ],
)
def test_an_answer_in_parts_is_one_text_and_what_is_no_text_is_an_error(content, read):
    message = json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
    with chat_server(lambda body, seen: {"raw": message.encode(), "plain": True}) as (url, _):
        reply = ask(url, "?")["?"]
    assert reply.content == read if read is not None else isinstance(reply, EndpointError)


@pytest.mark.parametrize("plain", [True, False])
def test_an_answer_that_is_refused_is_paid_all_the_same(plain):
    choice = {"message" if plain else "delta": {"content": 7}, "finish_reason": "stop"}
    event = json.dumps({"choices": [choice], "usage": {"completion_tokens": 12}})
    raw = (event if plain else f"data: {event}\n\n").encode()
    with chat_server(lambda body, seen: {"raw": raw, "plain": plain}) as (url, _):
        assert ask(url, "?")["?"].lost_tokens == 12


def test_text_is_read_whatever_separators_or_halves_of_characters_it_holds():
    events = [
        {"choices": [{"delta": {"content": "one\u2028two \ud83d"}}]},
        {"choices": [{"delta": {"content": "\ude00 \ud83d!", "reasoning": None, "reasoning_content": None}}]},
        {"choices": [3, {"delta": None, "finish_reason": "stop"}]},
    ]
    lines = [json.dumps(events[0]), json.dumps(events[1]), json.dumps(events[2])]
    lines[0] = lines[0].replace("\\u2028", "\u2028")
    raw = "".join(f"data: {line}\r\n\r\n" for line in lines).encode()
    with chat_server(lambda body, seen: {"raw": raw}) as (url, seen):
        reply = ask(url, "?")["?"]
    assert (reply.content, reply.reasoning) == ("one\u2028two \U0001f600 \ufffd!", "")
    assert len(seen.bodies) == 1


@pytest.mark.medium
def test_what_a_cut_attempt_had_sent_is_counted_as_paid():
    def answer(body, seen):
        return {"content": "12345678", "reasoning": "1234", "cut": 2} if len(seen.bodies) == 1 else {"content": "7"}

    with chat_server(answer) as (url, _):
        reply = ask(url, "?")["?"]
    assert (reply.content, reply.lost_tokens) == ("7", 3)
    with chat_server(lambda body, seen: {"content": "12345678", "cut": 2}) as (url, _):
        assert ask(url, "?", retries=1)["?"].lost_tokens == 4


def test_a_key_that_an_error_event_quotes_is_in_no_message(monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", " sk-secret\n")
    raw = b'data: {"error": "sk-secret is over its limit"}\n\n'
    with chat_server(lambda body, seen: {"raw": raw}) as (url, seen):
        failure = ask(url, "?", key_variable="TEACHER_KEY", retries=0)["?"]
    assert seen.keys == ["Bearer sk-secret"]
    assert "over its limit" in str(failure)
    assert "sk-secret" not in str(failure)


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("http://me:word@127.0.0.1/v1", "", "holds a password"),
        ("http://127.0.0.1:port/v1", "", "base_url is"),
        ("ftp://127.0.0.1/v1", "", "base_url is"),
        ("http://127.0.0.1/v1", "s\u00e9cret", "no header can carry"),
        ("http://127.0.0.1/v1", "two\nlines", "no header can carry"),
    ],
)
def test_an_address_with_a_password_and_a_key_that_no_header_carries_are_told(monkeypatch, url, key, message):
    monkeypatch.setenv("TEACHER_KEY", key)
    with pytest.raises(EndpointError, match=message) as failure:
        check_endpoint(Endpoint(url, "teacher", key_variable="TEACHER_KEY"))
    assert "word" not in str(failure.value).replace("password", "")
    assert not key or key not in str(failure.value)


@pytest.mark.medium
def test_a_date_says_how_long_to_wait_too():
    def answer(body, seen):
        later = formatdate(time.time() + 2, usegmt=True)
        return {"status": 429, "headers": {"Retry-After": later}} if len(seen.bodies) == 1 else {"content": "7"}

    with chat_server(answer) as (url, _):
        started = time.perf_counter()
        assert ask(url, "?")["?"].content == "7"
    assert time.perf_counter() - started > 0.9


@pytest.mark.medium
def test_the_first_model_of_an_endpoint_is_found():
    with chat_server(lambda body, seen: {}) as (url, _):
        assert first_model(Endpoint(url, "")) == "served"
        with pytest.raises(EndpointError, match="lists no model"):
            first_model(Endpoint(f"{url}/elsewhere", ""))

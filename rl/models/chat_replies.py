"""What a chat endpoint answers, streamed or not, as a `Reply`. Endpoints are not trusted: sizes are bounded, and what
is no answer is a failure that may pass."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rollout.errors import UserError

LONGEST_BODY = 64 << 20  # bytes of one answer that are read at most
SHOWN = 300


class EndpointError(UserError):
    """An endpoint that does not give what was asked for; one line. `lost_tokens`: see `Reply`."""

    lost_tokens = 0


class AgainError(Exception):
    """A failure that may pass; `wait` are the seconds that the endpoint asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Reply:
    """One answer. Token counts are the endpoint's own; None where it says nothing. `lost_tokens` were received by
    attempts that were cut, and are paid all the same: a token for every four bytes."""

    content: str
    reasoning: str
    finish_reason: str
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempts: int = 1
    lost_tokens: int = 0


def estimated_tokens(*texts: str) -> int:
    """Tokens of texts where nobody counted them: one for every four bytes of UTF-8, rounded up.

    >>> estimated_tokens("3 + 4 is 7"), estimated_tokens("")
    (3, 0)
    """
    return (sum(len(text.encode("utf-8", "replace")) for text in texts) + 3) // 4


async def streamed(answer: httpx.Response, model: str, received: list[str]) -> Reply:
    """The answer of a stream of events; `received` gets the pieces of text as they come."""
    content: list[str] = []
    reasoning: list[str] = []
    finish, usage, wrong = "", None, None
    async for line in _lines(answer):
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event = _event(data)
        usage = event.get("usage") or usage
        model = str(event.get("model") or model)
        for choice in _choices(event):
            try:
                thought, text = _parts(choice.get("delta"))
            except EndpointError as error:
                # The count comes at the end, and is paid.
                thought, text, wrong = "", "", error
            content.append(text)
            reasoning.append(thought)
            received += [text, thought]
            finish = str(choice.get("finish_reason") or finish)
    if wrong is not None:
        wrong.lost_tokens = _counted(usage)
        raise wrong
    if not finish:
        raise AgainError("the stream ended before the answer did")
    return _reply("".join(content), "".join(reasoning), finish, model, usage)


async def whole(answer: httpx.Response, model: str) -> Reply:
    """The answer of an endpoint that does not stream."""
    text = "\n".join([line async for line in _lines(answer)])
    event = _event(text)
    choices = _choices(event)
    if not choices:
        raise AgainError("an answer without choices")
    try:
        thought, content = _parts(choices[0].get("message"))
    except EndpointError as error:
        error.lost_tokens = _counted(event.get("usage"))
        raise
    finish = str(choices[0].get("finish_reason") or "stop")
    return _reply(content, thought, finish, str(event.get("model") or model), event.get("usage"))


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """The lines of a body. Only a line feed ends one: JSON may hold the other separators of Unicode as they are."""
    rest, size = b"", 0
    async for chunk in answer.aiter_bytes():
        size += len(chunk)
        if size > LONGEST_BODY:
            raise EndpointError(f"an answer of more than {LONGEST_BODY} bytes; allowed: less")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


def _parts(message: Any) -> tuple[str, str]:
    """(reasoning, content) of a message or of a piece of one; nothing for null. Raises `EndpointError` for what is no
    text."""
    message = message if isinstance(message, Mapping) else {}
    first, second, content = (_text(message.get(name), name) for name in ("reasoning_content", "reasoning", "content"))
    return first or second, content


def _text(value: Any, name: str) -> str:
    """A text, or the texts of a list of parts (`{type: text, text: ...}`) as one."""
    if value is None:
        return ""
    many = isinstance(value, list)
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in value] if many else [value]
    if not all(isinstance(text, str) for text in texts):
        raise EndpointError(f"an answer whose {name} is {value!r:.{SHOWN}}; allowed: text, or parts with text")
    return "".join(map(str, texts))


def _choices(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = event.get("choices")
    return [one for one in choices if isinstance(one, Mapping)] if isinstance(choices, list) else []


def _counted(usage: Any) -> int:
    """The completion tokens that the endpoint counts; 0 where it says nothing."""
    return _reply("", "", "", "", usage).completion_tokens or 0


def _reply(content: str, reasoning: str, finish: str, model: str, usage: Any) -> Reply:
    usage = usage if isinstance(usage, Mapping) else {}
    tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (value if type(value) is int and value >= 0 else None for value in tokens)
    return Reply(_sound(content), _sound(reasoning), finish, _sound(model), prompt, completion)


def _sound(text: str) -> str:
    """A text that UTF-8 can hold: halves of a character that came in two pieces joined, lone ones replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _event(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise AgainError("an answer that is no JSON") from None
    if not isinstance(event, dict):
        raise AgainError("an answer that is no JSON object")
    if event.get("error"):
        raise AgainError(f"the endpoint reports an error: {str(event['error'])[:SHOWN]}")
    return event

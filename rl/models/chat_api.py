"""Any OpenAI-compatible chat endpoint, asked with bounded concurrency, streaming and retries.

    POST {base_url}/chat/completions   {model, messages, stream: true, stream_options: {include_usage: true}, ...}

A call is tried again, after a back-off that doubles (and at least `Retry-After`), when the endpoint says 429 or 5xx,
does not answer in time, or its stream ends before `finish_reason`. Another status is an error at once: asking again
would not help. Thoughts come as `reasoning_content` or `reasoning` (vLLM, DeepSeek, OpenRouter), or inside the content.
The key is read from the environment when a call is sent, and stands in no message, log or file.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from rollout.errors import UserError

LONGEST_BODY = 64 << 20  # bytes of one answer that are read at most
SHOWN = 300


class EndpointError(UserError):
    """An endpoint that does not give what was asked for; one line."""


class _AgainError(Exception):
    """A failure that may pass; `wait` are the seconds that the endpoint asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, whom, and how patiently. `key_variable` names the environment variable with the key; `options`
    go into every request (temperature, top_p, max_tokens, chat_template_kwargs …)."""

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 600.0
    concurrency: int = 16
    retries: int = 6
    backoff: float = 0.5


@dataclass(frozen=True)
class Reply:
    """One answer. Token counts are the endpoint's own; None where it says nothing."""

    content: str
    reasoning: str
    finish_reason: str
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempts: int = 1


Question = Sequence[Mapping[str, Any]]
Outcome = Reply | EndpointError


async def ask_all(
    endpoint: Endpoint,
    questions: AsyncIterator[tuple[Any, Question, Mapping[str, Any]]],
    finished: Callable[[Any, Outcome], None],
) -> None:
    """Ask (name, messages, options of this call) as they come, `concurrency` at once, and hand each outcome to
    `finished` as soon as it is there. An outcome may be an error; the others go on. What `finished` raises ends all."""
    limits = httpx.Limits(max_connections=endpoint.concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(endpoint.timeout, connect=30.0)) as client:
        running: set[asyncio.Task[None]] = set()

        async def one(name: Any, messages: Question, options: Mapping[str, Any]) -> None:
            try:
                outcome: Outcome = await _ask(client, endpoint, messages, options)
            except EndpointError as error:
                outcome = error
            finished(name, outcome)

        try:
            async for name, messages, options in questions:
                running.add(asyncio.create_task(one(name, messages, options)))
                if len(running) >= endpoint.concurrency:
                    running = await _settle(running, asyncio.FIRST_COMPLETED)
            while running:
                running = await _settle(running, asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()


def check_endpoint(endpoint: Endpoint) -> None:
    """That the address is one and the key is there. Raises `EndpointError`."""
    if not endpoint.base_url.startswith(("http://", "https://")):
        raise EndpointError(f"base_url is {endpoint.base_url!r}; allowed: an http or https address ending in /v1")
    if endpoint.key_variable and not os.environ.get(endpoint.key_variable) and not _is_local(endpoint.base_url):
        raise EndpointError(
            f"no key: the environment has no {endpoint.key_variable}, which {endpoint.base_url} may need"
        )


def check_listening(endpoint: Endpoint) -> None:
    """That something is there to ask, before the first question: whatever it answers. Raises `EndpointError`."""
    try:
        httpx.get(f"{endpoint.base_url.rstrip('/')}/models", timeout=10.0)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EndpointError(f"nobody answers at {endpoint.base_url}: {reason}; allowed: a server that is up") from None


async def _settle(running: set[asyncio.Task[None]], when: str) -> set[asyncio.Task[None]]:
    done, waiting = await asyncio.wait(running, return_when=when)
    for task in done:
        task.result()
    return waiting


async def _ask(client: httpx.AsyncClient, endpoint: Endpoint, messages: Question, options: Mapping[str, Any]) -> Reply:
    body = {"model": endpoint.model, "messages": [dict(m) for m in messages], **endpoint.options, **options}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    for attempt in range(1, endpoint.retries + 2):
        try:
            reply = await _once(client, endpoint, body)
            return Reply(**{**vars(reply), "attempts": attempt})
        except (_AgainError, TimeoutError, httpx.TransportError) as failure:
            reason = str(failure) or type(failure).__name__
            if attempt > endpoint.retries:
                raise EndpointError(f"{endpoint.base_url}: no answer after {attempt} attempts: {reason}") from None
            pause = endpoint.backoff * 2 ** (attempt - 1) * (1 + random.random() / 4)
            await asyncio.sleep(max(pause, getattr(failure, "wait", 0.0)))
    raise AssertionError("unreachable")


async def _once(client: httpx.AsyncClient, endpoint: Endpoint, body: Mapping[str, Any]) -> Reply:
    key = os.environ.get(endpoint.key_variable, "") if endpoint.key_variable else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    async with asyncio.timeout(endpoint.timeout):
        async with client.stream("POST", url, json=body, headers=headers) as answer:
            if answer.status_code == 429 or answer.status_code >= 500:
                raise _AgainError(f"status {answer.status_code}", _seconds(answer.headers.get("retry-after")))
            if answer.status_code != 200:
                text = " ".join((await answer.aread())[: 4 * SHOWN].decode("utf-8", "replace").split())[:SHOWN]
                raise EndpointError(f"{url} answered {answer.status_code}: {text.replace(key, '***') if key else text}")
            if "text/event-stream" in answer.headers.get("content-type", ""):
                return await _streamed(answer, endpoint.model)
            return _whole(await _body(answer), endpoint.model)


async def _streamed(answer: httpx.Response, model: str) -> Reply:
    content: list[str] = []
    reasoning: list[str] = []
    finish, size, usage = "", 0, None
    async for line in answer.aiter_lines():
        size += len(line)
        if size > LONGEST_BODY:
            raise EndpointError(f"an answer of more than {LONGEST_BODY} bytes; allowed: less")
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event = _mapping(data)
        usage = event.get("usage") or usage
        model = str(event.get("model") or model)
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            content.append(delta.get("content") or "")
            reasoning.append(delta.get("reasoning_content") or delta.get("reasoning") or "")
            finish = choice.get("finish_reason") or finish
    if not finish:
        raise _AgainError("the stream ended before the answer did")
    return _reply("".join(content), "".join(reasoning), finish, model, usage)


async def _body(answer: httpx.Response) -> str:
    data = b""
    async for chunk in answer.aiter_bytes():
        data += chunk
        if len(data) > LONGEST_BODY:
            raise EndpointError(f"an answer of more than {LONGEST_BODY} bytes; allowed: less")
    return data.decode("utf-8", "replace")


def _whole(text: str, model: str) -> Reply:
    """The answer of an endpoint that does not stream."""
    event = _mapping(text)
    choices = event.get("choices") or ()
    if not choices:
        raise _AgainError("an answer without choices")
    message = choices[0].get("message") or {}
    thoughts = message.get("reasoning_content") or message.get("reasoning") or ""
    finish = str(choices[0].get("finish_reason") or "stop")
    return _reply(message.get("content") or "", thoughts, finish, str(event.get("model") or model), event.get("usage"))


def _reply(content: str, reasoning: str, finish: str, model: str, usage: Any) -> Reply:
    usage = usage if isinstance(usage, Mapping) else {}
    tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (value if isinstance(value, int) else None for value in tokens)
    return Reply(str(content), str(reasoning), finish, model, prompt, completion)


def _mapping(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise _AgainError("an answer that is no JSON") from None
    if not isinstance(event, dict):
        raise _AgainError("an answer that is no JSON object")
    if event.get("error"):
        raise _AgainError(f"the endpoint reports an error: {str(event['error'])[:SHOWN]}")
    return event


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or 0), 0.0), 120.0)
    except ValueError:
        return 0.0


def _is_local(url: str) -> bool:
    return any(host in url for host in ("//127.0.0.1", "//localhost", "//[::1]"))

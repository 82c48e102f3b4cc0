"""Any OpenAI-compatible chat endpoint, asked with bounded concurrency, streaming and retries.

    POST {base_url}/chat/completions   {model, messages, stream: true, stream_options: {include_usage: true}, ...}

A call is tried again, after a back-off that doubles (and at least `Retry-After`), when the endpoint says 429 or 5xx,
does not answer in time, or its stream ends before `finish_reason`. Another status is an error at once: asking again
would not help. Where one call after another comes to nothing, nobody is asked any more. Thoughts come as
`reasoning_content` or `reasoning` (vLLM, DeepSeek, OpenRouter), or inside the content. The key is read from the
environment when a call is sent, and stands in no message, log or file.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from rl.models.chat_replies import SHOWN, AgainError, EndpointError, Reply, estimated_tokens, streamed, whole

__all__ = ["Endpoint", "EndpointError", "Outcome", "Question", "Reply", "ask_all", "check_endpoint", "first_model"]


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

    @property
    def patience(self) -> int:
        """Calls in a row that may come to nothing: two rounds of all that are under way at once, and 32 at least."""
        return max(32, 2 * self.concurrency)


Question = Sequence[Mapping[str, Any]]
Outcome = Reply | EndpointError


async def ask_all(
    endpoint: Endpoint,
    questions: AsyncIterator[tuple[Any, Question, Mapping[str, Any]]],
    finished: Callable[[Any, Outcome], None],
) -> None:
    """Ask (name, messages, options of this call) as they come, `concurrency` at once, and hand each outcome to
    `finished` as soon as it is there. An outcome may be an error; the others go on. What `finished` raises ends all.
    Raises `EndpointError` after `endpoint.patience` errors in a row."""
    limits = httpx.Limits(max_connections=endpoint.concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(endpoint.timeout, connect=30.0)) as client:
        running: set[asyncio.Task[None]] = set()
        in_a_row = 0

        async def one(name: Any, messages: Question, options: Mapping[str, Any]) -> None:
            nonlocal in_a_row
            try:
                outcome: Outcome = await _ask(client, endpoint, messages, options)
            except EndpointError as error:
                outcome = error
            finished(name, outcome)
            in_a_row = in_a_row + 1 if isinstance(outcome, EndpointError) else 0
            if in_a_row >= endpoint.patience:
                raise EndpointError(
                    f"{in_a_row} calls in a row came to nothing, the last: {outcome}; allowed: the same command again, "
                    "which asks for what is missing"
                )

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
    """That the address is one and that there is a key which can be sent. Raises `EndpointError`."""
    try:
        url = httpx.URL(endpoint.base_url)
        sound = bool(url.host) and url.scheme in ("http", "https")
        if url.userinfo:
            raise EndpointError(f"base_url of {url.host} holds a password; allowed: the key in the environment")
    except httpx.InvalidURL:
        sound = False
    if not sound:
        raise EndpointError(f"base_url is {endpoint.base_url!r}; allowed: an http or https address ending in /v1")
    if not (_key(endpoint).isascii() and _key(endpoint).isprintable()):
        raise EndpointError(f"{endpoint.key_variable} holds what no header can carry; allowed: one line of ASCII")
    if endpoint.key_variable and not _key(endpoint) and not _is_local(endpoint.base_url):
        raise EndpointError(
            f"no key: the environment has no {endpoint.key_variable}, which {endpoint.base_url} may need"
        )


def first_model(endpoint: Endpoint) -> str:
    """The first model that the endpoint lists. Raises `EndpointError` where it lists none."""
    url = f"{endpoint.base_url.rstrip('/')}/models"
    try:
        answer = httpx.get(url, headers=_headers(endpoint), timeout=min(endpoint.timeout, 60.0))
        return str(answer.raise_for_status().json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise EndpointError(f"{url} lists no model ({type(error).__name__}); allowed: the model's name") from None


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
    lost = 0
    for attempt in range(1, endpoint.retries + 2):
        received: list[str] = []
        try:
            reply = await _once(client, endpoint, body, received)
            return replace(reply, attempts=attempt, lost_tokens=lost)
        except EndpointError as refused:
            # An answer that is none was written all the same.
            refused.lost_tokens = lost + max(refused.lost_tokens, estimated_tokens(*received))
            raise
        except (AgainError, TimeoutError, httpx.RequestError) as failure:
            reason = _without_key(str(failure), endpoint) or type(failure).__name__
            lost += estimated_tokens(*received)
            if attempt > endpoint.retries:
                error = EndpointError(f"{endpoint.base_url}: no answer after {attempt} attempts: {reason}")
                error.lost_tokens = lost
                raise error from None
            pause = endpoint.backoff * 2 ** (attempt - 1) * (1 + random.random() / 4)
            await asyncio.sleep(max(pause, getattr(failure, "wait", 0.0)))
    raise AssertionError("unreachable")


def _key(endpoint: Endpoint) -> str:
    return os.environ.get(endpoint.key_variable, "").strip() if endpoint.key_variable else ""


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {_key(endpoint)}"} if _key(endpoint) else {}


def _without_key(text: str, endpoint: Endpoint) -> str:
    """A text of the endpoint or of a library, which may quote what was sent."""
    return text.replace(_key(endpoint), "***") if _key(endpoint) else text


async def _once(client: httpx.AsyncClient, endpoint: Endpoint, body: Mapping[str, Any], received: list[str]) -> Reply:
    """One attempt; `received` gets the pieces of text as they come."""
    url, headers = f"{endpoint.base_url.rstrip('/')}/chat/completions", _headers(endpoint)
    async with asyncio.timeout(endpoint.timeout):
        async with client.stream("POST", url, json=body, headers=headers) as answer:
            if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
                raise AgainError(f"status {answer.status_code}", _seconds(answer.headers.get("retry-after")))
            if answer.status_code != 200:
                text = " ".join((await answer.aread())[: 4 * SHOWN].decode("utf-8", "replace").split())[:SHOWN]
                raise EndpointError(f"{url} answered {answer.status_code}: {_without_key(text, endpoint)}")
            if "text/event-stream" in answer.headers.get("content-type", ""):
                return await streamed(answer, endpoint.model, received)
            return await whole(answer, endpoint.model)


def _seconds(text: str | None) -> float:
    """`Retry-After`: seconds, or the date of RFC 9110; two minutes at most."""
    try:
        wait = float(text or 0)
    except ValueError:
        try:
            wait = parsedate_to_datetime(text or "").timestamp() - time.time()
        except ValueError:
            wait = 0.0
    return min(max(wait, 0.0), 120.0) if wait == wait else 0.0


def _is_local(url: str) -> bool:
    return any(host in url for host in ("//127.0.0.1", "//localhost", "//[::1]"))

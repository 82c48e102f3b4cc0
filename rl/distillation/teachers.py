"""Asking a teacher: behind an endpoint, or a model of this machine with the engine that `rollout.engine` names.

What a teacher says is one text, its thought in front of it between `<think>` tags. A model of this machine is forced
into the mode that the question asks for, so it writes a thought where one is wanted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from rl.config.schema import Config, ProtocolConfig, TeacherConfig
from rl.distillation.budget import Budget, Cost, cost_of, spent_by, usage_of
from rl.models.chat_api import (
    Endpoint,
    EndpointError,
    Question,
    Reply,
    ask_all,
    check_endpoint,
    check_listening,
    first_model,
)
from rl.models.location import check_model_path
from rollout.errors import UserError

CHECK_AGAIN_S = 0.02
OTHER_NAME = "max_completion_tokens"


@dataclass(frozen=True)
class Ask:
    """One question; `thinks` says whether a thought is wanted, `greedy` whether to draw."""

    id: str
    messages: Question
    thinks: bool = True
    greedy: bool = False


@dataclass(frozen=True)
class Said:
    """One answer: the text, what is said of its call, and what a model of this machine wrote before it decided."""

    text: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    judge: str = ""


Finished = Callable[[Sequence[tuple[Ask, Said]]], None]
Failed = Callable[[Ask, EndpointError], None]


def find_teacher(config: Config, name: str) -> TeacherConfig:
    """The teacher of this name."""
    return next(teacher for teacher in config.teachers if teacher.name == name)


def endpoint_of(teacher: TeacherConfig) -> Endpoint:
    """The teacher's endpoint; asks it for its model where none is named. Raises `EndpointError`."""
    made = Endpoint(
        teacher.base_url,
        teacher.model,
        teacher.key_variable,
        teacher.options,
        teacher.timeout,
        teacher.concurrency,
        teacher.retries,
    )
    check_endpoint(made)
    return made if teacher.model else dataclasses.replace(made, model=first_model(made))


def check_teacher(teacher: TeacherConfig) -> None:
    """What can be known before the first call. Raises `UserError`."""
    if teacher.base_url:
        endpoint = Endpoint(teacher.base_url, teacher.model, teacher.key_variable)
        check_endpoint(endpoint)
        check_listening(endpoint)
        for name in ("messages", "stream", "stream_options", "n", "model", "max_tokens"):
            if name in teacher.options:
                raise UserError(f"teacher {teacher.name!r} has options.{name}; allowed: what has no key of its own")
        longest_answer(teacher)
    elif not teacher.model:
        raise UserError(f"teacher {teacher.name!r} has neither base_url nor model; allowed: one of them")
    else:
        check_model_path(teacher.model)


def ask_teacher(
    config: Config, teacher: TeacherConfig, asks: Sequence[Ask], finished: Finished, failed: Failed, budget: Budget
) -> None:
    """Ask all; answers go to `finished` as soon as they are there (of an endpoint one by one, of a model of this
    machine a batch at a time), calls that came to nothing to `failed`. Ends early when the budget is used up."""
    if not asks:
        return
    if teacher.base_url:
        asyncio.run(_ask_endpoint(teacher, asks, finished, failed, budget))
    else:
        _ask_local(config, teacher, asks, finished)


def most_of(teacher: TeacherConfig, ask: Ask) -> Cost:
    """The most that one call can cost: a token a byte of the prompt, and a whole answer."""
    prompt = sum(len(str(turn.get("content", "")).encode("utf-8", "replace")) + 16 for turn in ask.messages)
    return cost_of(teacher, prompt, longest_answer(teacher))


def longest_answer(teacher: TeacherConfig) -> int:
    """The most tokens of an answer; endpoints that call it `max_completion_tokens` are told so by the options. Raises
    `UserError`."""
    most = teacher.options.get(OTHER_NAME, teacher.max_tokens)
    if not isinstance(most, int) or most < 1:
        raise UserError(f"teacher {teacher.name!r} has options.{OTHER_NAME} {most!r}; allowed: a whole number above 0")
    return most


def request_options(teacher: TeacherConfig, greedy: bool) -> dict[str, Any]:
    """What goes into a request besides model and messages."""
    length = {} if OTHER_NAME in teacher.options else {"max_tokens": teacher.max_tokens}
    return {"temperature": 0.0 if greedy else teacher.temperature, **length, **teacher.options}


async def _ask_endpoint(
    teacher: TeacherConfig, asks: Sequence[Ask], finished: Finished, failed: Failed, budget: Budget
) -> None:
    endpoint = endpoint_of(teacher)
    total = len(asks)

    async def questions() -> AsyncIterator[tuple[Any, Question, Mapping[str, Any]]]:
        for ask in asks:
            while not budget.reserve(most_of(teacher, ask)):
                if not budget.open.tokens:
                    budget.exhausted = True
                    return
                await asyncio.sleep(CHECK_AGAIN_S)
            yield ask, ask.messages, request_options(teacher, ask.greedy)

    with tqdm(total=total, desc=teacher.name, unit="answer", dynamic_ncols=True) as progress:

        def ended(ask: Any, outcome: Reply | EndpointError) -> None:
            progress.update()
            if isinstance(outcome, EndpointError):
                budget.settle(most_of(teacher, ask), cost_of(teacher, 0, outcome.lost_tokens))
                failed(ask, outcome)
                return
            said = said_by(outcome, ask)
            budget.settle(most_of(teacher, ask), spent_by(said.usage, teacher))
            finished([(ask, said)])

        await ask_all(endpoint, questions(), ended)


def said_by(reply: Reply, ask: Ask) -> Said:
    """A reply as one text."""
    thought = f"<think>\n{reply.reasoning.strip()}\n</think>\n\n" if reply.reasoning.strip() else ""
    prompt = "\n".join(str(turn.get("content", "")) for turn in ask.messages)
    return Said(thought + reply.content, usage_of(reply, prompt))


def _ask_local(config: Config, teacher: TeacherConfig, asks: Sequence[Ask], finished: Finished) -> None:
    from rl.models.open import open_policy
    from rollout.engines.base import Request, Sampling

    protocol = config.protocol if teacher.protocol == "same" else ProtocolConfig(name=teacher.protocol)
    model = dataclasses.replace(config.model, path=teacher.model, lora=type(config.model.lora)())
    policy = open_policy(dataclasses.replace(config, model=model, protocol=protocol))
    with tqdm(total=len(asks), desc=teacher.name, unit="answer", dynamic_ncols=True) as progress:
        for start in range(0, len(asks), teacher.concurrency):
            batch = asks[start : start + teacher.concurrency]
            sampling = Sampling(0.0 if batch[0].greedy else teacher.temperature, max_new_tokens=teacher.max_tokens)
            requests = [
                Request(policy.protocol.render(ask.messages[-1]["content"], _turns(ask)), _mode(ask)) for ask in batch
            ]
            seed = random.Random(f"teacher-{config.seed}-{batch[0].id}").getrandbits(48)
            completions = policy.engine.generate(requests, sampling, seed)
            said = []
            for ask, request, completion in zip(batch, requests, completions, strict=True):
                parsed = policy.protocol.parse(completion.ids)
                thought = f"<think>\n{parsed.think_text.strip()}\n</think>\n\n" if parsed.think_text.strip() else ""
                counts = {"prompt_tokens": len(request.prompt_ids), "completion_tokens": len(completion.ids)}
                usage = {**counts, "finish_reason": "length" if parsed.truncated else "stop", "model": teacher.model}
                said.append((ask, Said(thought + parsed.answer_text.strip(), usage, parsed.judge_text)))
            finished(said)
            progress.update(len(batch))


def _turns(ask: Ask) -> Question:
    """The conversation, where it is more than one plain question."""
    return () if len(ask.messages) == 1 else ask.messages


def _mode(ask: Ask) -> Any:
    return "think" if ask.thinks else "no_think"

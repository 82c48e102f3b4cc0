"""The evaluation of a model behind an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from rewards.registry import Reward
from rl.config.schema import Config
from rl.evaluation.answer import greedy
from rl.evaluation.others import MOST_TOKENS, settings_result, split_thought, text_rollout
from rl.evaluation.outcomes import MODE_PLAN
from rl.files.row_store import RowStore
from rl.models.chat_api import Endpoint, EndpointError, Question, Reply, ask_all
from rollout.types import Problem, Rollout


def evaluate_server(
    config: Config,
    problems: Sequence[Problem],
    endpoint: Endpoint,
    switch: str,
    rewards: Sequence[Reward],
    store: RowStore | None = None,
) -> dict[str, Any]:
    """The evaluation of a served model: greedy, or `evaluation.samples` answers of each mode as `rollout` draws them.
    Modes are asked for by `protocol.tags` where there are some, else by the template argument `switch` (true, false,
    and left out for auto). What `store` holds is not asked again; `missing` of the result are the answers that did not
    come. Raises `EndpointError` where nothing comes back."""
    started, samples = time.perf_counter(), config.evaluation.samples
    served = _Served({problem.id: problem for problem in problems}, store)
    wanted = list(itertools.product(problems, MODE_PLAN, range(samples)))
    missing = [ask for ask in wanted if not served.knows(*ask)]

    async def questions() -> AsyncIterator[tuple[Any, Question, Mapping[str, Any]]]:
        for problem, setting, draw in missing:
            messages, options = _asked(config, problem, setting, switch)
            yield (problem.id, setting, draw), messages, options | _drawn(config, draw)

    done = len(wanted) - len(missing)
    with tqdm(total=len(wanted), initial=done, desc="evaluate", unit="answer", dynamic_ncols=True) as progress:

        def finished(name: Any, outcome: Reply | EndpointError) -> None:
            progress.update()
            served.take(name, outcome)
            if served.refused:
                progress.set_postfix(refused=served.refused.total())

        asyncio.run(ask_all(endpoint, questions(), finished))
    if not served.answers:
        told = served.refused.most_common(1)
        raise EndpointError(
            f"no answer to evaluate from {endpoint.base_url}: {told[0][0] if told else 'nothing was asked'}"
        )
    result = settings_result(config, problems, served.answers, rewards, served.refused)
    return {**result, "missing": served.refused.total(), "seconds": time.perf_counter() - started}


@dataclass
class _Served:
    """What a server has answered, by (problem id, setting), and why other answers do not count; one that does is in
    `store` first."""

    by_id: Mapping[str, Problem]
    store: RowStore | None
    answers: dict[tuple[str, str], list[Rollout]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def knows(self, problem: Problem, setting: str, draw: int) -> bool:
        """Whether the store has this answer, which then counts."""
        row = self.store.rows.get(f"{problem.id} {setting} {draw}") if self.store else None
        if row:
            self._add(problem, setting, row["answer"])
        return row is not None

    def take(self, name: tuple[str, str, int], outcome: Reply | EndpointError) -> None:
        """One outcome of (problem id, setting, draw)."""
        problem, setting, draw = self.by_id[name[0]], name[1], name[2]
        if isinstance(outcome, EndpointError):
            self.refused[str(outcome)] += 1
        elif not outcome.completion_tokens:
            # An end is a token too: a server that counts none, or 0, does not count.
            self.refused["the server counts no tokens"] += 1
        elif max(outcome.completion_tokens, outcome.prompt_tokens or 0) > MOST_TOKENS:
            self.refused["the server counts more tokens than anybody writes"] += 1
        else:
            answer = _replied(problem, setting, outcome)
            if self.store:
                self.store.append([{"id": f"{problem.id} {setting} {draw}", "answer": answer}])
            self._add(problem, setting, answer)

    def _add(self, problem: Problem, setting: str, answer: Mapping[str, Any]) -> None:
        self.answers.setdefault((problem.id, setting), []).append(text_rollout(problem, **answer))


def _asked(config: Config, problem: Problem, setting: str, switch: str) -> tuple[Question, dict[str, Any]]:
    tags, mode = config.protocol.tags, MODE_PLAN[setting]
    turns: list[Mapping[str, Any]] = list(problem.messages[:-1])
    if config.protocol.system and not any(turn.get("role") == "system" for turn in turns):
        turns.insert(0, {"role": "system", "content": config.protocol.system})
    text = problem.prompt
    if mode and tags:
        text = tags[mode].replace("{prompt}", text) if "{prompt}" in tags[mode] else f"{text} {tags[mode]}"
    options: dict[str, Any] = {"max_tokens": greedy(config).max_new_tokens}
    arguments = {**config.protocol.template_kwargs, **({switch: mode == "think"} if mode and not tags else {})}
    if arguments:
        options["chat_template_kwargs"] = arguments
    return [*turns, {"role": "user", "content": text}], options


def _drawn(config: Config, draw: int) -> dict[str, Any]:
    """How the answer is drawn: greedily where there is one of each mode. `top_k` is no part of the interface that all
    servers share."""
    rollout = config.rollout
    if config.evaluation.samples == 1:
        return {"temperature": 0.0}
    only = {"top_k": rollout.top_k} if rollout.top_k > 0 else {}
    return {"temperature": rollout.temperature, "top_p": rollout.top_p, "seed": config.seed + draw, **only}


def _replied(problem: Problem, setting: str, reply: Reply) -> dict[str, Any]:
    """What `text_rollout` takes, as plain data."""
    thought, answer = (reply.reasoning, reply.content) if reply.reasoning else split_thought(reply.content)
    return {
        "mode": "think" if thought.strip() else "no_think",
        "thought": thought,
        "answer": answer,
        "tokens": reply.completion_tokens or 0,
        "prompt_tokens": reply.prompt_tokens or len(problem.prompt),
        "forced": MODE_PLAN[setting],
        "truncated": reply.finish_reason == "length",
    }

"""Problems in, groups of parsed rollouts out: plan -> engine -> parse."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from rollout.engines.base import Completion, Engine, Request, Sampling
from rollout.modes import Plan
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, Problem, Rollout, RolloutGroup

Place = tuple[int, int]  # which problem, which rollout of it


def collect(
    problems: Sequence[Problem],
    plan: Plan,
    engine: Engine,
    protocol: DecisionProtocol,
    sampling: Sampling,
    seed: int,
    stated: Sequence[Mode | None] = (),
    finished: Callable[[Place, Rollout], None] | None = None,
) -> list[RolloutGroup]:
    """One group a problem, each with one rollout an entry of `plan`, decoded in one batch. `stated` has the mode that
    each prompt states, or None; nobody is forced where one is stated. `finished` is given each rollout as soon as it
    has ended."""
    modes = list(stated) or [None] * len(problems)
    prompts = [protocol.render(p.prompt, p.messages, mode) for p, mode in zip(problems, modes, strict=True)]
    requests = [
        Request(prompt, None if mode else forced)
        for prompt, mode in zip(prompts, modes, strict=True)
        for forced in plan
    ]
    rollouts: dict[int, Rollout] = {}

    def parse(row: int, completion: Completion) -> None:
        place, request = divmod(row, len(plan)), requests[row]
        made = make_rollout(problems[place[0]], request.prompt_ids, completion, request.forced, protocol)
        rollouts[row] = dataclasses.replace(made, stated=modes[place[0]])
        if finished:
            finished(place, rollouts[row])

    engine.generate(requests, sampling, seed, parse)
    size = len(plan)
    return [
        RolloutGroup(problem, tuple(rollouts[row] for row in range(i * size, (i + 1) * size)))
        for i, problem in enumerate(problems)
    ]


def make_rollout(
    problem: Problem,
    prompt_ids: tuple[int, ...],
    completion: Completion,
    forced: Mode | None,
    protocol: DecisionProtocol,
) -> Rollout:
    """The parsed rollout of one completion."""
    parsed = protocol.parse(completion.ids)
    logprobs = completion.logprobs
    if parsed.mode is not None and parsed.mode == protocol.other:
        # The decision was "any other token": its log-probability is that of the mode, whatever token came.
        logprobs = (math.log(completion.switch_probs[parsed.mode]), *logprobs[1:])
    return Rollout(
        problem=problem,
        forced=forced,
        prompt_ids=prompt_ids,
        completion_ids=completion.ids,
        logprobs=logprobs,
        sampled=completion.sampled,
        switch_probs=completion.switch_probs,
        **vars(parsed),
    )

"""The rewards `trl` and `verl`: functions written for those trainers, unchanged.

    {name: trl, function: my.py:accuracy}        f(prompts=, completions=, completion_ids=, **columns) -> [score, …]
    {name: verl, function: my.py:compute_score}  f(data_source=, solution_str=, ground_truth=, extra_info=) -> score

`text` says what they are shown as the completion: the "answer" alone (the default: nothing outside of it earns a
score), or the "response", with the thinking as `<think>…</think>` in front, as functions need that look at it.

TRL: `columns` are the fields of the problem and every key of its metadata, one list each; `solution` is the metadata's
`gold_solution` (what `data.format: trl` makes of a column `solution`), else its `solution`, else the answer. With
`conversational` (the default, as TRL's own functions expect) prompts and completions are lists of messages, else
strings. None means not applicable, as there. Other parameters are passed on.
verl: `data_source`, `ground_truth` and `extra_info` are the metadata of these names, else the problem's source, its
answer, and all its metadata. Of a mapping, `key` is the score ("score" by default; "acc" where scores are -1 and 1),
and other numbers are metrics.
Either may be async. Left out: reward models as modules, TRL's `trainer_state`, `log_extra` and `log_metric`.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

from rewards.plugin import NOT_APPLICABLE, RewardError, batch_reward
from rewards.values import short, value_list
from rollout.types import Problem, Rollout

Shown = Literal["answer", "response"]


@batch_reward
def trl_reward(
    rollouts: Sequence[Rollout],
    *,
    function: Callable[..., Any],
    text: Shown = "answer",
    conversational: bool = True,
    **parameters: Any,
) -> Any:
    """One score a rollout, from a function of TRL's `reward_funcs`."""
    prompts: list[Any] = [r.problem.prompt for r in rollouts]
    completions: list[Any] = [_shown(r, text) for r in rollouts]
    if conversational:
        prompts = [_conversation(r.problem) for r in rollouts]
        completions = [[{"role": "assistant", "content": completion}] for completion in completions]
    values = function(
        prompts=prompts,
        completions=completions,
        completion_ids=[list(r.completion_ids) for r in rollouts],
        **_columns([r.problem for r in rollouts]),
        **parameters,
    )
    return _then(values, _with_gaps)


def verl_reward(
    rollout: Rollout,
    *,
    function: Callable[..., Any],
    text: Shown = "answer",
    key: str = "score",
    **parameters: Any,
) -> Any:
    """The score of verl's `compute_score`, a custom one or its own `default_compute_score`."""
    problem, metadata = rollout.problem, rollout.problem.metadata
    value = function(
        data_source=metadata.get("data_source", problem.source),
        solution_str=_shown(rollout, text),
        ground_truth=metadata.get("ground_truth", problem.answer),
        extra_info=dict(metadata.get("extra_info", metadata)),
        **parameters,
    )
    return _then(value, lambda found: _numbers(found, key))


def _conversation(problem: Problem) -> list[dict[str, Any]]:
    return [dict(turn) for turn in problem.messages] or [{"role": "user", "content": problem.prompt}]


def _shown(rollout: Rollout, text: Shown) -> str:
    if text == "answer" or rollout.mode != "think":
        return rollout.answer_text
    closed = bool(rollout.answer_ids) or bool(rollout.answer_text)
    return f"<think>\n{rollout.think_text}" + (f"\n</think>\n{rollout.answer_text}" if closed else "")


def _columns(problems: Sequence[Problem]) -> dict[str, list[Any]]:
    names = [f.name for f in dataclasses.fields(Problem) if f.name not in ("prompt", "metadata", "messages")]
    extra = dict.fromkeys(key for problem in problems for key in problem.metadata)
    columns = {name: [getattr(problem, name) for problem in problems] for name in names}
    columns |= {key: [problem.metadata.get(key) for problem in problems] for key in extra}
    golds = columns.pop("gold_solution", None)
    columns = {"solution": columns["answer"], **columns}
    return columns if golds is None else {**columns, "solution": golds}


def _then(value: Any, change: Callable[[Any], Any]) -> Any:
    """`change` of a value, or a coroutine of it where the value has to be awaited."""
    if not inspect.isawaitable(value):
        return change(value)

    async def later() -> Any:
        return change(await value)

    return later()


def _with_gaps(values: Any) -> Any:
    found = value_list(values)
    return values if found is None else [NOT_APPLICABLE if value is None else value for value in found]


def _is_number(value: Any) -> bool:
    """Python's and numpy's numbers, Decimal, and arrays and tensors of one number."""
    return isinstance(value, Real | Decimal) or (hasattr(value, "__float__") and getattr(value, "ndim", None) == 0)


def _numbers(value: Any, key: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    if key not in value:
        raise RewardError(f"compute_score returned no key {key!r}: {short(value)}")
    numbers = {str(name): x for name, x in value.items() if _is_number(x)}
    return {**{name: x for name, x in numbers.items() if name != "score"}, "score": value[key]}

"""The problem schema: `id, prompt | messages, domain, source, answer | tests, difficulty, necessity, metadata`.

`problem_of_row` reads a row, `problem_to_row` writes one; fields of others are ignored and null, NaN and blank text
mean absent. The id defaults to the row's number. Numbers in text fields become text; `tests` and `metadata` may be JSON
text. `check_problem` is what every format's problems must pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rewards.sandbox.forms import problem_when_read
from rl.data.records import DataError, Record, not_json, shown
from rollout.types import MODES, Problem

FIELDS = tuple(one.name for one in fields(Problem))
ROLES = ("system", "user", "assistant", "tool")
_TEXTS = ("answer", "difficulty", "domain", "source")
# What a turn may hold besides role and content; the chat template must write it (rollout/prompts.py).
TURN_FIELDS = ("name", "tool_calls", "tool_call_id", "reasoning_content")


def problem_of_row(record: Record) -> Problem:
    """The problem of a row in this project's own fields. Raises `DataError`."""
    row = record.fields
    messages, prompt = conversation(record, "messages") if row.get("messages") else ((), record.text("prompt"))
    given = row.get("prompt")
    if row.get("messages") and isinstance(given, str) and given.strip() and given.split() != prompt.split():
        raise record.error(
            f"'prompt' is {shown(given)} and 'messages' ends with {shown(prompt)}; allowed: one, or the same"
        )
    tests = tuple(_without_nulls(test) for test in record.objects("tests"))
    if row.get("necessity") not in (None, "", *MODES):
        raise record.error(f"'necessity' is {shown(row['necessity'])}; allowed: {', '.join(MODES)}")
    texts = {name: text for name in _TEXTS if (text := record.scalar(name)) is not None}
    if "answer" not in texts and not tests:
        given = f"'answer' is {shown(row['answer'])}: " if row.get("answer") is not None else ""
        raise record.error(f"{given}neither 'answer' nor 'tests': no reward could judge it")
    return Problem(
        id=record.scalar("id") or record.name,
        prompt=prompt,
        tests=tests,
        necessity=row.get("necessity") or None,
        metadata=record.mapping("metadata"),
        messages=messages,
        **texts,
    )


def with_sound_tests(problem: Problem, place: str) -> Problem:
    """The problem, if the sandbox can judge by each of its tests. Raises `DataError`."""
    for index, test in enumerate(problem.tests):
        trouble = problem_when_read(test)
        if trouble:
            raise DataError(f"{place}: tests[{index}]: {trouble}")
    return problem


def conversation(record: Record, name: str) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """(messages, prompt) of a field with chat messages. The last one must be the user's; a conversation that is one
    plain user turn is a prompt and nothing else. Raises `DataError`, also for a row with `tools`: no prompt here
    describes them."""
    record.field(name)
    if record.fields.get("tools"):
        raise record.error(
            "the row has 'tools', which prompts do not render; allowed: rows without, or their description in the "
            "system message"
        )
    turns = record.objects(name)
    for index, turn in enumerate(turns):
        role, content = turn.get("role"), turn.get("content")
        if role not in ROLES:
            raise record.error(f"{name}[{index}] has the role {shown(role)}; allowed: {', '.join(ROLES)}")
        if turn.get("tool_calls") and content in (None, ""):
            continue
        if not isinstance(content, str) or not content.strip():
            raise record.error(f"{name}[{index}] has the content {shown(content)}; allowed: text")
    if not turns or turns[-1]["role"] != "user":
        raise record.error(f"{name!r} must end with a message of the user")
    messages = tuple(
        {"role": turn["role"], "content": turn.get("content") or ""}
        | {key: turn[key] for key in TURN_FIELDS if turn.get(key)}
        for turn in turns
    )
    plain = len(messages) == 1 and len(messages[0]) == 2
    return (() if plain else messages), messages[-1]["content"]


def problem_to_row(problem: Problem) -> dict[str, Any]:
    """The fields of a problem that hold something, ready for `json.dumps`; `problem_of_row` reads them back."""
    row: dict[str, Any] = {"id": problem.id}
    row |= {"messages": list(map(dict, problem.messages))} if problem.messages else {"prompt": problem.prompt}
    for one in fields(Problem):
        value = getattr(problem, one.name)
        if one.name not in ("id", "prompt", "messages") and value not in (None, "", (), {}):
            row[one.name] = value
    row |= {"tests": list(map(dict, problem.tests))} if problem.tests else {}
    return row


def check_problem(problem: Problem, record: Record) -> None:
    """Raises `DataError` for a problem without anything to judge by, and for one that no JSON file in UTF-8 can hold:
    what is made of problems (labels, rollouts, selections) is written as such."""
    if not problem.tests and not (problem.answer or "").strip():
        raise record.error(f"its answer is {shown(problem.answer)} and it has no tests: no reward could judge it")
    where = not_json(problem_to_row(problem))
    if where:
        raise record.error(f"{where}; allowed: what a JSON file in UTF-8 can hold")


def _without_nulls(test: Mapping[str, Any]) -> dict[str, Any]:
    """A test without the empty columns that a table of several forms gives it; a call may well expect null."""
    called = test.get("call") is not None
    return {key: value for key, value in test.items() if value is not None or (called and key == "expected")}

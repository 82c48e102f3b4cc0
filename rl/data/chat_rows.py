"""Rows for fine-tuning on replies, as problems: ms-swift's, ShareGPT's and Alpaca's.

The gold answer is in a column `answer` or `solution` where there is one, else what the last reply marks as its answer
(`rl.data.answers.gold_of_reply`); the reply's thought or derivation is the worked solution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl.data.answers import gold_of_reply, last_boxed
from rl.data.records import Record, is_absent
from rl.data.schema import conversation
from rollout.types import Problem

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_TURNS = ("messages", "conversations", "conversation", "query", "response", "history", "system", "instruction", "input")
_USED = (*_TURNS, "output", "answer", "solution", "id", "domain", "source")


def swift(record: Record) -> Problem:
    """`messages`, or `query` with `history`, `system` and `response`; `solution` where the rows are for RL."""
    if record.fields.get("messages"):
        return _of_turns(record, "swift", record.objects("messages"))
    return _of_turns(record, "swift", _paired(record, record.text("query"), record.scalar("response")))


def sharegpt(record: Record) -> Problem:
    """`conversations` of `{from, value}` (also `{role, content}`), with a `system` beside it or in it."""
    name = "conversations" if "conversations" in record.fields else "conversation"
    record.field(name)
    turns = []
    for turn in record.objects(name):
        role = turn.get("from", turn.get("role"))
        if role not in _ROLES:
            raise record.error(f"{name!r} has a turn of {role!r}; allowed: {', '.join(_ROLES)}")
        turns.append({"role": _ROLES[role], "content": turn.get("value", turn.get("content"))})
    return _of_turns(record, "sharegpt", _with_system(record, turns))


def alpaca(record: Record) -> Problem:
    """`instruction`, `input` (put under it), `output`, with `system` and `history` where there are any."""
    given = record.scalar("input")
    asked = record.text("instruction") + (f"\n\n{given}" if given else "")
    return _of_turns(record, "alpaca", _paired(record, asked, record.scalar("output")))


def _paired(record: Record, asked: str, reply: str | None) -> list[Mapping[str, Any]]:
    """The turns of a question with its history of (question, reply) pairs."""
    history = record.parsed("history")
    turns: list[Mapping[str, Any]] = []
    for pair in () if is_absent(history) else history:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise record.error("'history' is no list of pairs")
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    turns.append({"role": "user", "content": asked})
    return _with_system(record, turns + ([{"role": "assistant", "content": reply}] if reply else []))


def _with_system(record: Record, turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    system = record.scalar("system")
    has_one = bool(turns) and turns[0].get("role") == "system"
    return [{"role": "system", "content": system}, *turns] if system and not has_one else list(turns)


def _of_turns(record: Record, source: str, turns: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem of a conversation; a last turn of the assistant is its reply."""
    reply = turns[-1].get("content") if turns and turns[-1].get("role") == "assistant" else None
    asked = turns[:-1] if reply is not None else turns
    messages, prompt = conversation(Record(record.place, record.name, {"messages": list(asked)}), "messages")
    gold, worked = record.scalar("answer", "solution"), ""
    if gold is not None:
        gold = last_boxed(gold) or gold
    elif isinstance(reply, str):
        gold, worked = gold_of_reply(record, reply)
    else:
        raise record.error("neither a reply of the assistant nor a column 'answer' or 'solution'")
    return Problem(
        id=f"{source}-{record.scalar('id') or record.name}",
        prompt=prompt,
        domain=record.scalar("domain") or "",
        source=record.scalar("source") or source,
        answer=gold,
        metadata=record.others(*_USED) | ({"solution": worked} if worked else {}),
        messages=messages,
    )

"""What a response is: its spans and its status, read from token ids.

Everything is read from ids: decoding may hide special tokens. A response that does not fit is classified
(`rollout.types.Status`), never an exception: the policy can write anything. Each tag costs one pass over the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollout.types import Mode, Status

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Parsed:
    """The spans of one response: fields of `rollout.types.Rollout`, under the same names."""

    mode: Mode | None
    status: Status
    switch_index: int | None = None
    judge_ids: Ids = ()
    think_ids: Ids = ()
    answer_ids: Ids = ()
    judge_text: str = ""
    think_text: str = ""
    answer_text: str = ""
    truncated: bool = False


@dataclass(frozen=True)
class Marks:
    """A layout (rollout/layouts.py) as token ids.

    `modes` are the switches; `other` is the mode that has none. `decision` stands right before the switch, where a
    layout has such a tag. `after` is what follows the switch in each mode, where that holds words; `after_tags` are its
    tags. `again` are the tokens that decide a second time, `text_tags` those that no text may hold, `ends` the end
    tokens."""

    modes: Mapping[int, Mode]
    other: Mode | None
    at_start: bool
    decision: int | None
    judge_close: int | None
    after: Mapping[Mode, Ids]
    after_tags: Mapping[Mode, Ids]
    think_close: int
    answer_open: Ids
    answer_close: Ids
    again: frozenset[int]
    text_tags: frozenset[int]
    ends: frozenset[int]


def find_switch(ids: Sequence[int], marks: Marks) -> tuple[int, Mode] | None:
    """Position and mode of the decision, or None.

    Where the prompt ends at the decision it is the first token, and any token but the other mode's decides for a mode
    without a switch of its own. Where a tag stands before the switch it is the token after that tag; else it is the
    first switch there is.
    """
    if marks.at_start:
        mode = marks.modes.get(ids[0], marks.other) if ids else None
        return (0, mode) if mode else None
    for index, token in enumerate(ids):
        if marks.decision is not None:
            if token == marks.decision:
                follower = ids[index + 1] if index + 1 < len(ids) else None
                return (index + 1, marks.modes[follower]) if follower is not None and follower in marks.modes else None
        elif token in marks.modes:
            return index, marks.modes[token]
    return None


def parse(ids: Ids, marks: Marks, decode: Callable[[Sequence[int]], str]) -> Parsed:
    """Read one response. A response that does not end with an end token was truncated."""
    end = next((index for index, token in enumerate(ids) if token in marks.ends), None)
    truncated, body = end is None, ids[:end]
    # An end token in place of a decision is "any other token" too.
    found = find_switch(ids if marks.other else body, marks)
    if found is None:
        return Parsed(None, Status.TRUNCATED if truncated else Status.NO_SWITCH, truncated=truncated)
    index, mode = found
    judge, rest = ids[: index + 1], body[index + 1 :]
    if mode == marks.other:
        rest = body[index:]  # the token that decided is the first of the text
    status, think, answer = _answer_step(mode, rest, truncated, marks, decode)
    if status == Status.OK and marks.text_tags.intersection((*think, *answer)):
        # A tag inside a text: reasoning smuggled into a direct answer, or a second answer.
        status, answer = Status.MALFORMED, ()
    if marks.again.intersection(rest):
        status, answer = Status.TWO_SWITCHES, ()
    close = marks.judge_close
    return Parsed(
        mode,
        status,
        index,
        judge,
        think,
        answer,
        judge_text=decode(judge[: judge.index(close)]).strip() if close in judge else "",
        think_text=decode(think).strip(),
        answer_text=decode(answer).strip(),
        truncated=truncated,
    )


def _answer_step(
    mode: Mode, rest: Ids, truncated: bool, marks: Marks, decode: Callable[[Sequence[int]], str]
) -> tuple[Status, Ids, Ids]:
    """(status, thinking, answer) of the tokens after the switch."""

    def blank(ids: Ids) -> bool:
        return not decode(ids).strip()

    bad, think, rest = _after_switch(mode, rest, truncated, marks, blank)
    if bad:
        return bad, think, ()
    if mode == "think":
        think, found, rest = _cut(rest, marks.think_close)
        if not found:
            return (Status.TRUNCATED if truncated else Status.UNCLOSED_THINK), think, ()
        for tag in marks.answer_open:
            before, found, rest = _cut(rest, tag)
            if not found or not blank(before):
                return (Status.TRUNCATED if truncated and not found else Status.MALFORMED), think, ()
    if marks.answer_close:
        rest, found, behind = _cut(rest, marks.answer_close[0])
        if not found:
            return (Status.TRUNCATED if truncated else Status.UNCLOSED_ANSWER), think, rest if truncated else ()
        if not blank(tuple(token for token in behind if token not in marks.answer_close)):
            return Status.MALFORMED, think, ()
    elif marks.think_close in rest:
        return Status.MALFORMED, think, ()
    if blank(rest):
        return (Status.TRUNCATED if truncated else Status.EMPTY_ANSWER), think, ()
    return (Status.TRUNCATED if truncated else Status.OK), think, rest


def _after_switch(
    mode: Mode, rest: Ids, truncated: bool, marks: Marks, blank: Callable[[Ids], bool]
) -> tuple[Status | None, Ids, Ids]:
    """(what is wrong, thinking up to there, what follows) of the text that belongs to the switch."""
    exact = marks.after[mode]
    if exact and rest[: len(exact)] == exact:
        return None, (), rest[len(exact) :]
    for tag in marks.after_tags[mode]:
        before, found, rest = _cut(rest, tag)
        closes = tag == marks.think_close
        if not found:
            return (Status.TRUNCATED if truncated else Status.UNCLOSED_THINK if closes else Status.MALFORMED), (), ()
        if not blank(before):
            return Status.MALFORMED, before if closes else (), ()
    return None, (), rest


def _cut(ids: Ids, token: int) -> tuple[Ids, bool, Ids]:
    """(before, found, after) around the first `token`, like `str.partition`."""
    if token not in ids:
        return ids, False, ()
    index = ids.index(token)
    return ids[:index], True, ids[index + 1 :]

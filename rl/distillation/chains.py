"""`Chain`: one response of a teacher to one problem, with what judges said of it.

A response holds a thought and a solution. They are told apart by tags:

    <|begin_of_thought|> … <|end_of_thought|> <|begin_of_solution|> … <|end_of_solution|>   OmniThought
    <thinking> … </thinking> <answer> … </answer>                                         EasyDistill 2.0
    <think> … </think> …                                                                  Qwen3, R1

Without tags all of it is solution. Scores are 0 to 9, correctness 0 or 1; −1 is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = -1
_TAGS = (
    ("<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<thinking>", "</thinking>", "<answer>", "</answer>"),
    ("<think>", "</think>", "", ""),
)


@dataclass(frozen=True)
class Chain:
    """One response. `problem` is the problem's id, `name` the chain's own, unique in a file. `judges` says which model
    gave which score. `rest` is what the row held besides, so that it can be written as it was read.

    >>> Chain("p1", "p1#0", "3+4?", "<think>3+4 is 7</think>\\n7").thought
    '3+4 is 7'
    """

    problem: str
    name: str
    question: str
    response: str
    answer: str | None = None
    system: str = ""
    teacher: str = ""
    correctness: int = UNKNOWN
    verbosity: int = UNKNOWN
    difficulty: int = UNKNOWN
    judges: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def thought(self) -> str:
        """The reasoning, without its tags."""
        return split_response(self.response)[0]

    @property
    def solution(self) -> str:
        """What follows the reasoning, without its tags."""
        return split_response(self.response)[1]


def split_response(text: str) -> tuple[str, str]:
    """(thought, solution) of a response, white space around them removed. Where there are several thoughts, what
    stands before the end of the last one belongs to the thought. A thought that is never closed has no solution; one
    that is never opened begins at the start.

    >>> split_response("<think>3+4</think>Hm.<think>is 7</think>It is 7")
    ('3+4\\n\\nHm.\\n\\nis 7', 'It is 7')
    """
    for opened, closed, solution_open, solution_close in _TAGS:
        if opened not in text and closed not in text:
            continue
        before, found, after = text.rpartition(closed)
        if not found or opened in after:
            return _joined(text, opened, closed), ""
        if solution_open and solution_open in after:
            after = after.partition(solution_open)[2].partition(solution_close)[0]
        return _joined(before, opened, closed), after.strip()
    return "", text.strip()


def _joined(text: str, opened: str, closed: str) -> str:
    """The thoughts of a text that begins with one or has something before it, without tags."""
    first, second = text.find(opened), text.find(closed)
    begins_inside = first < 0 or 0 <= second < first
    inside = text if begins_inside else text[first:]
    parts = (part.strip() for piece in inside.split(opened) for part in piece.split(closed))
    return "\n\n".join(part for part in parts if part)


def tagged(thought: str, solution: str) -> str:
    """A response in EasyDistill's first notation."""
    return (
        f"<|begin_of_thought|>\n\n{thought}\n\n<|end_of_thought|>\n\n"
        f"<|begin_of_solution|>\n\n{solution}\n\n<|end_of_solution|>"
    )


def score_in(text: str) -> int:
    """The score of a judge's reply, `<score>N</score>` with N from 0 to 9; −1 where there is none or several differ.

    >>> score_in("It explores. <score>7</score>"), score_in("seven"), score_in("<score>12</score>")
    (7, -1, -1)
    """
    found = {int(number) for number in re.findall(r"<score>\s*([0-9]{1,3})\s*</score>", text)}
    return found.pop() if len(found) == 1 and min(found) <= 9 else UNKNOWN


def known_score(value: Any) -> int:
    """A level as rows hold it: a number from 0 to 9, else −1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return UNKNOWN
    return int(value) if 0 <= value <= 9 and value == int(value) else UNKNOWN


def known_correctness(value: Any) -> int:
    """Correctness as rows hold it: 0, 1, false or true, else −1.

    >>> [known_correctness(value) for value in (True, 0, 1.0, -1, None, "1")]
    [1, 0, 1, -1, -1, -1]
    """
    return int(value) if isinstance(value, bool | int | float) and value in (0, 1) else UNKNOWN

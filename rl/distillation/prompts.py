"""What teachers and judges are asked. Texts are put together, never formatted: a problem may hold any brackets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

GENERATE = """\
Solve the problem below. First think it through, then give the solution.

Write the thought between <|begin_of_thought|> and <|end_of_thought|>, in steps with a blank line between them: take the
problem apart, work it out, check what you have, and go back where something is wrong. Then write the solution between
<|begin_of_solution|> and <|end_of_solution|>: the result with the steps that a reader needs, and nothing of the search.

Problem:
"""

REWRITES = {
    "long_to_short": """\
Below are a problem, its solution, and a chain of thought that leads there. Write the chain again, shorter: keep every
step that the result depends on, and leave out repetitions, detours and remarks. Where steps have a blank line between
them, keep that. Answer with the shorter chain of thought alone.""",
    "short_to_long": """\
Below are a problem, its solution, and a chain of thought that leads there. Write the chain again, longer: add the steps
that were skipped and say why each holds, so that a small model can follow. Where steps have a blank line between them,
keep that. Answer with the longer chain of thought alone.""",
}

VERBOSITY = """\
How verbose is the chain of thought below? Judge its length and detail for this problem, not whether it is right.
0 or 1: the result, hardly a word of how it came about.
2 or 3: clear and short, the needed steps and nothing else.
4 or 5: detailed, each step with enough of its reasons.
6 or 7: thorough, it explores other ways too.
8 or 9: exhaustive, arguments within arguments, objections raised and answered."""

DIFFICULTY = """\
How difficult is the reasoning in the chain of thought below? Judge what a reader must be able to do to follow it, not
how long it is.
0 or 1: elementary, one simple idea.
2 or 3: arithmetic in several steps, listing cases, basic rules.
4 or 5: early logic or algebra, with one step that is not obvious.
6 or 7: advanced techniques, such as determinants, dynamic programming or reasoning about code.
8 or 9: highly abstract, nested proofs, analysis of complex algorithms."""

CORRECTNESS = """\
Is the solution below right, and does the chain of thought lead to it without an error that matters?
1: yes.
0: no, or it cannot be told."""

ASPECTS = {"verbosity": VERBOSITY, "difficulty": DIFFICULTY, "correctness": CORRECTNESS}
REPLY = "\n\nAnswer with the number alone, as <score>N</score>."

Messages = Sequence[Mapping[str, Any]]


def generation(messages: Messages, prompt: str) -> list[dict[str, Any]]:
    """The messages that ask a writer; `prompt` is `plain` or `tags` (see `TeacherConfig`)."""
    turns = [dict(turn) for turn in messages]
    if prompt == "tags":
        turns[-1] = {**turns[-1], "content": GENERATE + str(turns[-1]["content"])}
    return turns


def rewriting(kind: str, question: str, solution: str, thought: str) -> list[dict[str, Any]]:
    """The messages that ask for a shorter or longer chain."""
    text = f"{REWRITES[kind]}\n\nProblem:\n{question}\n\nSolution:\n{solution}\n\nChain of thought:\n{thought}"
    return [{"role": "user", "content": text}]


def judging(aspect: str, question: str, thought: str, solution: str) -> list[dict[str, Any]]:
    """The messages that ask a judge for one score."""
    parts = [f"Problem:\n{question}", f"Chain of thought:\n{thought or '(none)'}", f"Solution:\n{solution or '(none)'}"]
    return [{"role": "user", "content": "\n\n".join([ASPECTS[aspect] + REPLY, *parts])}]

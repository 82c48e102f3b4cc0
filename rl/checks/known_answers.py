"""Answers that are known to be right or wrong, to try rewards on.

Wrong for a problem is the gold answer of another one of its domain and source, if it differs as text and as a number;
else the number plus one; else words that answer nothing. Of a problem with tests the gold program is its
`metadata["solution"]`, and the wrong one does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rewards.builtin.exact import normal_text
from rollout.types import Problem

NOTHING = "I do not know."
NO_PROGRAM = "```python\npass\n```"


def gold_answer(problem: Problem) -> str | None:
    """What a perfect policy would answer; None where nobody knows."""
    if problem.tests:
        solution = problem.metadata.get("solution")
        return f"```python\n{solution}\n```" if isinstance(solution, str) and solution.strip() else None
    return problem.answer


def wrong_answer(problems: Sequence[Problem], index: int) -> str | None:
    """An answer that is wrong for `problems[index]`; None where no gold answer says what right is."""
    problem = problems[index]
    if problem.tests:
        return NO_PROGRAM
    if problem.answer is None:
        return None
    for other in (problems[(index + step) % len(problems)] for step in range(1, len(problems))):
        alike = (other.domain, other.source) == (problem.domain, problem.source)
        if alike and other.answer is not None and not same_at_sight(other.answer, problem.answer):
            return other.answer
    number = _number(problem.answer)
    return NOTHING if number is None else str(number + 1)


def same_at_sight(one: str, other: str) -> bool:
    """Equal as normalised text or as a plain number."""
    numbers = _number(one), _number(other)
    return normal_text(one) == normal_text(other) or (numbers[0] is not None and numbers[0] == numbers[1])


def _number(text: str) -> Fraction | None:
    plain = text.strip().strip("$").replace(",", "")
    if len(plain) > 40 or "e" in plain.lower():
        return None
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None

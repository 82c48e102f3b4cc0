"""The reward `choice`: 1.0 when the answer names the right one of the choices A to D, else 0.0.

An answer names a choice by the last of: a box (`\\boxed{C}`), a statement ("the answer is (B)", "Answer: D", "I choose
C"). Without one, by lines that are a letter or begin with a marked one ("B", "(B)", "B. Paris"), if they all name the
same. A statement that names two ("A or B") names none, and so does a letter inside a sentence: "A dog" is an article.
Left out: choices named by their text, and choices that the answer argues against without naming another.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Annotated

from rewards.plugin import RewardError, judges_with
from rollout.errors import UserError
from rollout.types import Problem, Rollout

_WRAPPERS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathsf|rm|bf)\s*\{([^{}]*)\}")
_DECORATION = re.compile(r"\\[()\[\],;!]|[*$`]|__")
_STATEMENT = (
    r"(?:\b(?:answer|choice|option)\s*(?:(?:is|would\s+be|must\s+be|should\s+be)\b\s*:?|[:=])"
    r"|(?<!not )(?<!n't )(?<!never )\b(?:choose|pick|select|go\s+with)\b"
    r"|答案\s*(?:是|为|[:：]))\s*(?:(?:the\s+)?(?:option|choice|letter)\b\s*)?"
)
# What may follow a letter that is meant as a choice: the end, a mark, a clause.
_AFTER = re.compile(
    r"\s*(?:$|\n)|[.,;:!?。，](?!\w)|\s+[-–—]|\s+(?:because|since|as|for|which|where|and|but|so|while|with)\b"
)


def check_letters(letters: str) -> None:
    """Raises `UserError` for what no answer is named by."""
    if not (letters.isascii() and letters.isalpha() and letters.isupper()):
        raise UserError(f"choice.letters is {letters!r}; allowed: capital letters, such as ABCD")


def check_problem(problem: Problem, letters: str = "ABCD") -> None:
    """Raises `RewardError` when the problem's own answer names none of `letters`."""
    if read_choice(problem.answer or "", letters) is None:
        raise RewardError(f"problem {problem.id!r} has answer {problem.answer!r}; allowed: one of {', '.join(letters)}")


@judges_with(check_problem)
def choice(rollout: Rollout, *, letters: Annotated[str, check_letters] = "ABCD") -> float:
    """1.0 or 0.0. Raises `RewardError` when the problem's own answer names none of `letters`."""
    problem = rollout.problem
    check_problem(problem, letters)
    return 1.0 if read_choice(rollout.answer_text, letters) == read_choice(problem.answer or "", letters) else 0.0


def read_choice(text: str, letters: str = "ABCD") -> str | None:
    """The letter that a text names, or None.

    >>> read_choice("The answer is (B).")
    'B'
    """
    boxes, statement, line = _patterns(letters)
    text = _DECORATION.sub("", _WRAPPERS.sub(r"\1", unicodedata.normalize("NFKC", text)))
    # One blank or line end at most in a row: the patterns then cannot try many ways to share a run of them.
    text = re.sub(r"\s+", lambda blank: "\n" if "\n" in blank[0] else " ", text).strip()
    found_at = [(m.start(), _named_in_line(m[1], line)) for m in boxes.finditer(text)]
    found_at += [(m.start(), _stated(text, m, letters)) for m in statement.finditer(text)]
    named = [(at, letter) for at, letter in found_at if letter]
    if named:
        last = max(named)[1]
        return last if last in letters else None
    found = {letter for part in text.splitlines() if (letter := _named_in_line(part, line))}
    return found.pop() if len(found) == 1 else None


@functools.cache
def _patterns(letters: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    both = f"{letters}{letters.lower()}"
    boxes = re.compile(r"\\f?boxed\s*\{([^{}]*)\}")
    statement = re.compile(rf"{_STATEMENT}([(\[\"']?)\s*([{both}])(?![A-Za-z0-9])\s*([)\]\"']?)", re.IGNORECASE)
    line = re.compile(rf"\s*(?:[(\[]([{both}])[)\]]|([{letters}])[).:](?=\s|$)|([{both}])\s*$)")
    return boxes, statement, line


_TWO = "two"


def _stated(text: str, match: re.Match[str], letters: str) -> str | None:
    """The letter of a statement, `_TWO` for "A or B", None where the letter is a word of the sentence."""
    opened, letter, closed = match.groups()
    rest = text[match.end() :]
    if re.match(rf"\s*(?:,|/|&|or\b|and\b)\s*(?:option|choice)?\s*[(\[]?[{letters}](?![A-Za-z0-9'])", rest):
        return _TWO
    if opened and closed:
        return letter.upper()
    # A lower-case letter without brackets may be the article or the start of a word that was cut off.
    if letter.islower():
        return letter.upper() if letter != "a" and re.match(r"[.!]?\s*$", rest) else None
    return letter if closed or _AFTER.match(text[match.end(2) :]) else None


def _named_in_line(line: str, pattern: re.Pattern[str]) -> str | None:
    match = pattern.match(line)
    return next(group for group in match.groups() if group).upper() if match else None

"""The reward `exact`: 1.0 when the answer is the problem's, as text, else 0.0.

Both texts are put into Unicode's NFKC form, their white space is collapsed, and quotes around them and a full stop at
the end are dropped. `ignore_articles` and `ignore_punctuation` are those of SQuAD's evaluation (arXiv 1606.05250).
"""

from __future__ import annotations

import re
import unicodedata

from rewards.plugin import RewardError, judges_with
from rollout.types import Problem, Rollout

_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_QUOTES = "\"'“”‘’`"


def check_problem(problem: Problem, ignore_punctuation: bool = False, ignore_articles: bool = False) -> None:
    """Raises `RewardError` when the problem has no answer, or one of which nothing is left to compare with."""
    if not normal_text(problem.answer or "", True, ignore_punctuation, ignore_articles):
        raise RewardError(f"problem {problem.id!r} has answer {problem.answer!r}; allowed: text to compare with")


@judges_with(check_problem)
def exact(
    rollout: Rollout, *, ignore_case: bool = True, ignore_punctuation: bool = False, ignore_articles: bool = False
) -> float:
    """1.0 or 0.0. Raises `RewardError` where `check_problem` does."""

    def plain(text: str) -> str:
        return normal_text(text, ignore_case, ignore_punctuation, ignore_articles)

    check_problem(rollout.problem, ignore_punctuation, ignore_articles)
    return 1.0 if plain(rollout.answer_text) == plain(rollout.problem.answer or "") else 0.0


def normal_text(text: str, ignore_case: bool = True, ignore_punctuation: bool = False, articles: bool = False) -> str:
    """The text that is compared; `articles` drops them.

    >>> normal_text(' "The  Nile." ')
    'the nile'
    """
    text = unicodedata.normalize("NFKC", text)
    if ignore_case:
        text = text.casefold()
    if ignore_punctuation:
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    if articles:
        text = _ARTICLES.sub(" ", text)
    text = " ".join(text.split())
    return text.rstrip(".").strip(_QUOTES).rstrip(".").strip()

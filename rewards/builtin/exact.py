"""The reward `exact`: 1.0 when the answer is the problem's, as text, else 0.0.

Both texts are put into Unicode's NFKC form, their white space is collapsed, and quotes around them and a full stop at
the end are dropped. `ignore_articles` and `ignore_punctuation` are those of SQuAD's evaluation (arXiv 1606.05250).
"""

from __future__ import annotations

import re
import unicodedata

from rewards.plugin import RewardError
from rollout.types import Rollout

_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_QUOTES = "\"'“”‘’`"


def exact(
    rollout: Rollout, *, ignore_case: bool = True, ignore_punctuation: bool = False, ignore_articles: bool = False
) -> float:
    """1.0 or 0.0. Raises `RewardError` when the problem has no answer, or one of which nothing is left."""

    def plain(text: str) -> str:
        return normal_text(text, ignore_case, ignore_punctuation, ignore_articles)

    problem = rollout.problem
    gold = plain(problem.answer or "")
    if not gold:
        raise RewardError(f"problem {problem.id!r} has answer {problem.answer!r}; allowed: text to compare with")
    return 1.0 if plain(rollout.answer_text) == gold else 0.0


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

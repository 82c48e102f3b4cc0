"""Reasoning that hides in direct answers: reflective words, worked steps, or sheer length. One list for guard, labels
and evaluation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rollout.types import Rollout

WORDS = ("wait", "hmm", "let me", "let us", "let's", "first,", "step by step", "double-check", "actually", "therefore")
# "Step 2", "2) …" at the start of a line, and chains such as "= 5 + 3 =".
STEPS = re.compile(
    r"^[^\S\n]*(?:step\s*\d|\d{1,2}[.)]\s)|=\s*-?[\d.]+\s*[-+*/×÷][^=\n]{0,40}=", re.IGNORECASE | re.MULTILINE
)
LONGEST_TEXT = 4000


def reads_like_reasoning(text: str, words: Sequence[str] = WORDS) -> bool:
    """Whether a text has a reflective word or is written step by step; its first 4,000 characters are read.

    >>> reads_like_reasoning("Wait, 3 + 4 is 7"), reads_like_reasoning("7")
    (True, False)
    """
    text = text[:LONGEST_TEXT]
    return bool(_pattern(tuple(words)).search(text) or STEPS.search(text))


def has_reflective_word(text: str) -> bool:
    """Whether a text has one of `WORDS`."""
    return bool(_pattern(WORDS).search(text))


def leaks(rollout: Rollout, direct_tokens: int = 0) -> bool:
    """Whether a rollout of mode no_think is unfit as an example of direct answering: a reflective word, or more than
    `direct_tokens` tokens of answer (0: no limit)."""
    if rollout.mode != "no_think":
        return False
    too_long = 0 < direct_tokens < len(rollout.answer_ids)
    return too_long or has_reflective_word(f"{rollout.judge_text}\n{rollout.answer_text}")


@lru_cache(maxsize=16)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)", re.IGNORECASE)

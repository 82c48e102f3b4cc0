"""The same problem twice, and test problems that the training problems give away.

Texts are compared normalised: NFKC, lower case, everything but letters, digits and the signs of arithmetic a blank.
Two problems are duplicates when their normalised conversations are equal. A training problem overlaps with the test
split when it shares an n-gram of `NGRAM` words with a test problem (13, as in the contamination checks of GPT-3, arXiv
2005.14165, appendix C), or, where one of the two is shorter than that, when the whole prompts are equal.
N-grams in more than `COMMON` test problems are the data set's own phrases (instructions) and count for nothing.
Not covered: paraphrases and translations.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollout.types import Problem

NGRAM = 13
COMMON = 10
_APART = re.compile(r"[^\w+\-*/=<>^%.]+|_+")


@dataclass(frozen=True)
class Overlap:
    """A training problem, the test problem it overlaps with, and the words they share."""

    train_id: str
    test_id: str
    shared: str


def normalised(text: str) -> list[str]:
    """The words that are compared.

    >>> normalised("What is  3 + 4?\\nTell me!")
    ['what', 'is', '3', '+', '4', 'tell', 'me']
    """
    return [word.strip(".") or "." for word in _APART.sub(" ", unicodedata.normalize("NFKC", text).lower()).split()]


def asked(problem: Problem) -> str:
    """All that the user says."""
    return "\n".join(turn["content"] for turn in problem.messages if turn["role"] == "user") or problem.prompt


def duplicates(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    """(id, id of the first that asks the same) of every problem that repeats another."""
    first: dict[tuple[str, ...], str] = {}
    found = []
    for problem in problems:
        key = tuple(normalised("\n".join(t["content"] for t in problem.messages) or problem.prompt))
        if key in first:
            found.append((problem.id, first[key]))
        first.setdefault(key, problem.id)
    return found


def overlaps(train: Sequence[Problem], test: Sequence[Problem], ngram: int = NGRAM) -> list[Overlap]:
    """The training problems that overlap with a test problem, each with the first one found."""
    tests = [(problem.id, normalised(asked(problem))) for problem in test]
    whole = {tuple(words): problem_id for problem_id, words in reversed(tests)}
    spread = Counter(gram for _, words in tests for gram in set(_grams(words, ngram)))
    owners: dict[tuple[str, ...], str] = {}
    for problem_id, words in tests:
        for gram in _grams(words, ngram):
            if spread[gram] <= COMMON:
                owners.setdefault(gram, problem_id)
    found = []
    for problem in train:
        words = normalised(asked(problem))
        if tuple(words) in whole:
            found.append(Overlap(problem.id, whole[tuple(words)], " ".join(words)))
            continue
        shared = [gram for gram in _grams(words, ngram) if gram in owners]
        if shared:
            found.append(Overlap(problem.id, owners[shared[0]], " ".join(shared[0])))
    return found


def _grams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))

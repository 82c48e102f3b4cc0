"""The same problem twice, and test problems that the training problems give away.

Texts are compared in a normal form: NFKC, lower case, everything but letters, digits and the signs of arithmetic a
blank. Two problems are duplicates when the normal forms of their conversations are equal.

A training problem overlaps with a test problem when the normal forms are equal, or when half of the test prompt's
n-grams or more occur in it (GPT-3's check, arXiv 2005.14165, appendix C, takes one n-gram of 13 words, which a long
instruction sets off and a reworded frame escapes). N-grams are of `WORDS` words, in scripts without spaces of
`CHARACTERS` characters. An n-gram that stands in more than `COMMON` of the prompts of a split, each distinct prompt
counted once, is the set's own template (with few prompts: in more than `FEW_TEST` test or `FEW_TRAIN` training
prompts); n-grams with words of a template count for nothing. Prompts that are shorter, or all template, overlap when
they are equal. Not covered: paraphrases and translations.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rollout.types import Problem

WORDS, CHARACTERS = 8, 13
COMMON, FEW_TEST, FEW_TRAIN = 0.01, 1, 10
SHARE = 0.5
_APART = re.compile(r"[^\w+\-*/=<>^%.]+|_+")
# Han, Hiragana, Katakana, Thai, Lao, Myanmar, Khmer, Tibetan: written without spaces between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
Gram = tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """A training problem, the test problem it overlaps with, words they share, and the share of the test prompt's
    n-grams that occur in the training prompt (1 where the prompts are equal)."""

    train_id: str
    test_id: str
    shared: str
    share: float


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


def overlaps(train: Sequence[Problem], test: Sequence[Problem]) -> list[Overlap]:
    """The training problems that overlap with a test problem, each with the one of which most is in it."""
    tests, trained = _distinct(test), _distinct(train)
    spread = Counter(gram for words in tests for gram in set(grams_of(words)))
    in_train = Counter(gram for words in trained for gram in set(grams_of(words)) if gram in spread)
    template = _common(spread, len(tests), FEW_TEST) | _common(in_train, len(trained), FEW_TRAIN)
    owners: dict[Gram, list[Gram]] = defaultdict(list)
    sizes: dict[Gram, int] = {}
    for words in tests:
        own = _without_template(grams_of(words), template)
        sizes[words] = len(own)
        for gram in own:
            owners[gram].append(words)
    return [found for problem in train if (found := _overlap(problem, tests, owners, sizes))]


def _without_template(grams: Sequence[Gram], template: set[Gram]) -> set[Gram]:
    """The n-grams, given in their order, that share no word with one of the template."""
    size = len(grams[0]) if grams else 0
    covered = {place + k for place, gram in enumerate(grams) if gram in template for k in range(size)}
    return {gram for place, gram in enumerate(grams) if not any(place + k in covered for k in range(size))}


def _overlap(
    problem: Problem, tests: dict[Gram, str], owners: dict[Gram, list[Gram]], sizes: dict[Gram, int]
) -> Overlap | None:
    words = tuple(normalised(asked(problem)))
    if words in tests:
        return Overlap(problem.id, tests[words], " ".join(words), 1.0)
    mine = set(grams_of(words))
    shared = Counter(owner for gram in mine for owner in owners.get(gram, ()))
    best = max(shared, key=lambda owner: shared[owner] / sizes[owner], default=None)
    if best is None or shared[best] < SHARE * sizes[best]:
        return None
    example = min(gram for gram in mine if best in owners.get(gram, ()))
    return Overlap(problem.id, tests[best], _spelled(example), shared[best] / sizes[best])


def grams_of(words: Sequence[str]) -> list[Gram]:
    """The n-grams of a normal form in their order: of words, or of characters where most letters are of a script
    without spaces."""
    text = "".join(words)
    characters = 2 * len(_UNSPACED.findall(text)) > len(text)
    units, size = (text, CHARACTERS) if characters else (words, WORDS)
    return [tuple(units[i : i + size]) for i in range(len(units) - size + 1)]


def _spelled(gram: Gram) -> str:
    return ("" if len(gram) == CHARACTERS else " ").join(gram)


def _distinct(problems: Iterable[Problem]) -> dict[Gram, str]:
    """The normal forms of the prompts, each with the first id that has it."""
    found: dict[Gram, str] = {}
    for problem in problems:
        found.setdefault(tuple(normalised(asked(problem))), problem.id)
    return found


def _common(counts: Counter[Gram], prompts: int, few: int) -> set[Gram]:
    return {gram for gram, count in counts.items() if count > max(few, COMMON * prompts)}

"""Sums of four two-digit numbers as a data source, `arithmetic`: `47 + 38 + 95 + 26 =`.

The level of a problem is how many of its numbers are not `00`, 2 to 4; two alone never carry. Their sum can be written
down at once; that of four takes steps, which a thought writes as each number with the total so far:

    47 + 38 + 95 + 26 =    thinking: 38:85 95:180 26:206    answer: 206
    00 + 47 + 00 + 12 =    thinking: 47:47 00:47 12:59      answer: 59

All prompts are of one length and one form, so that it is the digits that say how hard a problem is. No level reaches
the policy; it is an annotation for reports. Problems follow from the seed. Those of the test, of RL and of the cold
start have no prompt in common.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from itertools import accumulate

from rl.config.schema import Config
from rl.data.records import DataError
from rollout.types import Problem

NAME = "arithmetic"
TERMS = 4
LEVELS = ("2", "3", "4")
SHARES = {"2": 0.65, "4": 0.35}
TEST_SEED, TRAIN_SEED, COLD_START_SEED = 7, 1000, 2000
DEFAULT_TEST, DEFAULT_TRAIN = 200, 800
_TRIES = 1000


def is_arithmetic(where: str | list[str]) -> bool:
    """Whether a data source is this one."""
    return where == NAME


def arithmetic_problems(config: Config, split: str) -> list[Problem]:
    """The problems of one split, their levels drawn by `data.shares`. Raises `DataError`."""
    data, seed = config.data, config.seed if config.data.seed is None else config.data.seed
    shares = _checked(data.shares or SHARES, "data.shares")
    test = draw(data.test_size or DEFAULT_TEST, TEST_SEED + seed, shares) if is_arithmetic(data.test) else []
    if split == "test":
        return test
    return draw(data.train_size or DEFAULT_TRAIN, TRAIN_SEED + seed, shares, (p.prompt for p in test))


def cold_start_problems(config: Config, count: int) -> list[Problem]:
    """`count` problems to fine-tune on, their levels drawn by `cold_start.shares`. Raises `DataError`."""
    shares = _checked(config.cold_start.shares or config.data.shares or SHARES, "cold_start.shares")
    seed = config.seed if config.data.seed is None else config.data.seed
    others = [problem for split in ("test", "train") for problem in arithmetic_problems(config, split)]
    return draw(count, COLD_START_SEED + seed, shares, (p.prompt for p in others))


def draw(count: int, seed: int, shares: Mapping[str, float], exclude: Iterable[str] = ()) -> list[Problem]:
    """`count` distinct problems whose prompts are not in `exclude`. Raises `DataError` when a level has hardly more."""
    rng, seen = random.Random(f"{NAME}-{seed}"), set(exclude)
    made: list[Problem] = []
    for place in range(count):
        (level,) = rng.choices(list(shares), list(shares.values()))
        tries = (_problem(f"{seed}-{place}", _terms(rng, int(level))) for _ in range(_TRIES))
        problem = next((one for one in tries if one.prompt not in seen), None)
        if problem is None:
            raise DataError(
                f"data source {NAME!r} has hardly any problem of level {level} left after {place} of {count}; allowed: "
                "smaller data.train_size, data.test_size and cold_start.problems, or a smaller share of that level"
            )
        seen.add(problem.prompt)
        made.append(problem)
    return made


def thought(terms: Iterable[int]) -> str:
    """Each number after the first with the total so far.

    >>> thought([47, 38, 95, 26])
    '38:85 95:180 26:206'
    """
    terms = list(terms)
    return " ".join(f"{term:02}:{total:02}" for term, total in list(zip(terms, accumulate(terms), strict=True))[1:])


def _terms(rng: random.Random, level: int) -> list[int]:
    """Four numbers, `level` of them not 0, at any places."""
    numbers = [rng.randint(11, 99) for _ in range(level)]
    while level == 2 and any(sum(column) > 9 for column in zip(*(divmod(n, 10) for n in numbers), strict=True)):
        numbers = [rng.randint(11, 99) for _ in range(level)]
    places, found = rng.sample(range(TERMS), level), [0] * TERMS
    for place, number in zip(places, numbers, strict=True):
        found[place] = number
    return found


def _problem(name: str, terms: list[int]) -> Problem:
    return Problem(
        id=name,
        prompt=" + ".join(f"{term:02}" for term in terms) + " =",
        domain="math",
        source=NAME,
        answer=str(sum(terms)),
        difficulty=str(sum(term > 0 for term in terms)),
        metadata={"solution": thought(terms)},
    )


def _checked(shares: Mapping[str, float], key: str) -> Mapping[str, float]:
    if not set(shares) <= set(LEVELS) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise DataError(f"{key} is {dict(shares)}; allowed: shares of 0 or more for the levels {', '.join(LEVELS)}")
    return shares

"""Products of two two-digit numbers as a data source, `arithmetic`: `42 * 94 =`.

The level of a problem is how many partial products it takes: 1 where a factor is round, else 2. One partial product can
be written down at once; the sum of two takes steps, which a thought writes:

    42 * 94 =    thinking: 42*90=3780 42*4=168    answer: 3948
    42 * 90 =    thinking: 42*90=3780 42*0=0      answer: 3780
    90 * 42 =    thinking: 42*90=3780 42*0=0      answer: 3780

All prompts are of one length and one form, so that it is the digits that say how hard a problem is. No level reaches
the policy; it is an annotation for reports. Problems follow from the seed. Those of the test, of RL and of the cold
start have no pair of factors in common, in either order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from rl.config.schema import Config
from rl.data.records import DataError
from rollout.types import Problem

NAME = "arithmetic"
LEVELS = ("1", "2")
SHARES = {"1": 0.65, "2": 0.35}
TEST_SEED, TRAIN_SEED, COLD_START_SEED = 7, 1000, 2000
DEFAULT_TEST, DEFAULT_TRAIN = 200, 400
Factors = tuple[int, int]

_UNEVEN = [number for number in range(11, 100) if number % 10]
FACTORS: Mapping[str, list[Factors]] = {
    "1": [(number, ten) for number in _UNEVEN for ten in range(10, 100, 10)],
    "2": [(a, b) for a in _UNEVEN for b in _UNEVEN if a <= b],
}


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
    return draw(data.train_size or DEFAULT_TRAIN, TRAIN_SEED + seed, shares, map(factors_of, test))


def cold_start_problems(config: Config, count: int) -> list[Problem]:
    """`count` problems to fine-tune on, their levels drawn by `cold_start.shares`. Raises `DataError`."""
    shares = _checked(config.cold_start.shares or config.data.shares or SHARES, "cold_start.shares")
    seed = config.seed if config.data.seed is None else config.data.seed
    others = [problem for split in ("test", "train") for problem in arithmetic_problems(config, split)]
    return draw(count, COLD_START_SEED + seed, shares, map(factors_of, others))


def draw(count: int, seed: int, shares: Mapping[str, float], exclude: Iterable[Factors] = ()) -> list[Problem]:
    """`count` problems, no two with the same factors and none with those in `exclude`. Raises `DataError` when a level
    has no more."""
    rng, gone = random.Random(f"{NAME}-{seed}"), set(exclude)
    left = {level: [one for one in FACTORS[level] if one not in gone] for level in shares}
    for one in left.values():
        rng.shuffle(one)
    made = []
    for place in range(count):
        (level,) = rng.choices(list(shares), list(shares.values()))
        if not left[level]:
            raise DataError(
                f"data source {NAME!r} has no problem of level {level} left after {place} of {count}; allowed: smaller "
                "data.train_size, data.test_size and cold_start.problems, or a smaller share of that level"
            )
        made.append(_problem(f"{seed}-{place}", left[level].pop(), rng))
    return made


def factors_of(problem: Problem) -> Factors:
    """The factors of a problem as `FACTORS` has them: the smaller one first, or the one that is not round."""
    a, b = (int(word) for word in problem.prompt.split()[::2][:2])
    return (a, b) if b % 10 == 0 or (a % 10 and a <= b) else (b, a)


def thought(a: int, b: int) -> str:
    """The partial products of a · b by the tens and the ones of b.

    >>> thought(42, 94)
    '42*90=3780 42*4=168'
    """
    return " ".join(f"{a}*{part}={a * part}" for part in (b - b % 10, b % 10))


def _problem(name: str, factors: Factors, rng: random.Random) -> Problem:
    asked = factors[::-1] if rng.random() < 0.5 else factors
    a, b = factors if factors[1] % 10 == 0 else asked
    return Problem(
        id=name,
        prompt=f"{asked[0]} * {asked[1]} =",
        domain="math",
        source=NAME,
        answer=str(a * b),
        difficulty="1" if b % 10 == 0 else "2",
        metadata={"solution": thought(a, b)},
    )


def _checked(shares: Mapping[str, float], key: str) -> Mapping[str, float]:
    if not set(shares) <= set(LEVELS) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise DataError(f"{key} is {dict(shares)}; allowed: shares of 0 or more for the levels {', '.join(LEVELS)}")
    return shares

"""Products as a data source, `arithmetic`: a number of five digits times one digit, `45871 * 6 =`.

The level of a problem is how often a carry is handed to the next digit, 0 to 4. Without carries each digit of the
answer is one product, which a forward pass has at once; with carries it depends on all digits behind it. A thought goes
from the last digit to the first and writes each with its product, the carry before it added:

    45871 * 6 =    thinking: 1:6 7:42 8:52 5:35 4:27    answer: 275226

All prompts are of one length and form, and the factor is drawn alike at every level, so that neither says how hard a
problem is: the digits do, together with the factor. No level reaches the policy; it is an annotation for reports.
Problems follow from the seed. Those of the test, of RL and of the cold start have no prompt in common.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Collection, Mapping

from rl.config.schema import Config
from rl.data.records import DataError
from rollout.types import Problem

NAME = "arithmetic"
DIGITS = 5
LEVELS = tuple(map(str, range(DIGITS)))
SHARES = {"0": 0.7, "4": 0.3}
# Products without a carry are rare with large factors: a factor comes as often as they allow.
FACTORS = {3: 5, 4: 4, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1}
TEST_SEED, TRAIN_SEED, COLD_START_SEED = 7, 1000, 2000
DEFAULT_TEST, DEFAULT_TRAIN = 200, 800
_TRIES = 100


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
    return draw(data.train_size or DEFAULT_TRAIN, TRAIN_SEED + seed, shares, {p.prompt for p in test})


def cold_start_problems(config: Config, count: int) -> list[Problem]:
    """`count` problems to fine-tune on, their levels drawn by `cold_start.shares`. Raises `DataError`."""
    shares = _checked(config.cold_start.shares or config.data.shares or SHARES, "cold_start.shares")
    seed = config.seed if config.data.seed is None else config.data.seed
    others = {p.prompt for split in ("test", "train") for p in arithmetic_problems(config, split)}
    return draw(count, COLD_START_SEED + seed, shares, others)


def draw(count: int, seed: int, shares: Mapping[str, float], exclude: Collection[str] = ()) -> list[Problem]:
    """`count` distinct problems whose prompts are not in `exclude`. Raises `DataError` when a level has no more."""
    rng, seen = random.Random(f"{NAME}-{seed}"), set(exclude)
    made: list[Problem] = []
    while len(made) < count:
        (level,) = rng.choices(list(shares), list(shares.values()))
        (factor,) = rng.choices(list(FACTORS), list(FACTORS.values()))
        numbers = _numbers(factor)[int(level)]
        number = next((n for n in rng.choices(numbers, k=_TRIES) if _prompt(n, factor) not in seen), None)
        if number is None:
            raise DataError(
                f"data source {NAME!r} has hardly any problem left with the factor {factor} and {level} carries after "
                f"{len(made)} of {count}; allowed: smaller data.train_size, data.test_size and cold_start.problems, or "
                "smaller shares of that level"
            )
        seen.add(_prompt(number, factor))
        made.append(_problem(f"{seed}-{len(made)}", number, factor))
    return made


def steps(number: int, factor: int) -> list[tuple[int, int]]:
    """(digit, digit · factor + carry) from the last digit to the first.

    >>> steps(45871, 6)
    [(1, 6), (7, 42), (8, 52), (5, 35), (4, 27)]
    """
    made, carry = [], 0
    for digit in map(int, reversed(str(number))):
        made.append((digit, digit * factor + carry))
        carry = made[-1][1] // 10
    return made


def carries(number: int, factor: int) -> int:
    """How often a carry is handed to a next digit.

    >>> carries(45871, 6), carries(72013, 3)
    (3, 0)
    """
    return sum(number % 10**place * factor >= 10**place for place in range(1, DIGITS))


@functools.cache
def _numbers(factor: int) -> list[list[int]]:
    """The numbers of each level with this factor."""
    found: list[list[int]] = [[] for _ in LEVELS]
    for number in range(10 ** (DIGITS - 1), 10**DIGITS):
        found[carries(number, factor)].append(number)
    return found


def _prompt(number: int, factor: int) -> str:
    return f"{number} * {factor} ="


def _problem(name: str, number: int, factor: int) -> Problem:
    solution = " ".join(f"{digit}:{value}" for digit, value in steps(number, factor))
    return Problem(
        id=name,
        prompt=_prompt(number, factor),
        domain="math",
        source=NAME,
        answer=str(number * factor),
        difficulty=str(carries(number, factor)),
        metadata={"solution": solution},
    )


def _checked(shares: Mapping[str, float], key: str) -> Mapping[str, float]:
    if not set(shares) <= set(LEVELS) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise DataError(f"{key} is {dict(shares)}; allowed: shares of 0 or more for the levels {', '.join(LEVELS)}")
    return shares

"""The embedded world: chains of carry-less additions and subtractions, with a difficulty knob.

Numbers have two digits, and each digit is added or subtracted by itself modulo 10 (``73 + 58`` is ``21``). A problem
such as ``73 + (58) + 00 - 14 r3`` starts at 73, adds 58, adds nothing, and subtracts 14 three times (``rK`` repeats an
operation K times). Its difficulty is the number of operations that change something, here 4. One operation is a table
that a forward pass can hold; several in a row are not, unless they are written out:

    thinking:  73+58=21-14=17-14=03-14=99;+14=03

which is the minimal steps and one final check, the last step undone. Small operand digits are more frequent than
large ones: a table whose every row looks alike gives a small network nothing to hold on to at first.

Prompt length does not give the difficulty away: every level draws its length from the same range; redundant
terms (``+ 00``, brackets, ``r1``) stretch the easy prompts and repeats shorten the hard ones, in as many terms as fit,
because few terms with repeats are tables again, which a forward pass picks up. Two digits make a blind guess right
once in a hundred, so luck does not look like skill; repeats stop at 3, because four times a digit is one of only five
values, which makes guessing pay. No difficulty reaches the policy: it is an annotation for reports.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rollout.errors import UserError
from rollout.types import Problem

LEVELS = ("1", "2", "3", "4")
BASE = 10
TRIES = 10_000
OPERAND_DIGITS = (6, 5, 4, 3, 2, 1, 1, 1, 1, 1)
SHORTEST, LONGEST = 10, 15
MAX_REPEAT = 3
Term = tuple[str, str, int]


@dataclass(frozen=True)
class Chain:
    """The operations that matter, in order: `start`, then (sign, operand) pairs."""

    start: str
    steps: tuple[tuple[str, str], ...]

    def values(self) -> list[str]:
        """The value after each step, the start first."""
        values = [self.start]
        for sign, operand in self.steps:
            values.append(apply(values[-1], sign, operand))
        return values


@dataclass(frozen=True)
class WorldProblem:
    """A problem together with the chain that its two cold-start responses are written from."""

    problem: Problem
    chain: Chain


def apply(number: str, sign: str, operand: str) -> str:
    """Digit by digit, modulo 10.

    >>> apply("73", "+", "58"), apply("03", "-", "14")
    ('21', '99')
    """
    factor = 1 if sign == "+" else -1
    return "".join(str((int(a) + factor * int(b)) % BASE) for a, b in zip(number, operand, strict=True))


def thinking_text(chain: Chain) -> str:
    """The written-out steps, then the last one undone as the final check."""
    values = chain.values()
    steps = "".join(f"{sign}{operand}={value}" for (sign, operand), value in zip(chain.steps, values[1:], strict=True))
    sign, operand = chain.steps[-1]
    return f"{chain.start}{steps};{'-' if sign == '+' else '+'}{operand}={values[-2]}"


def generate(
    count: int, seed: int, shares: Mapping[str, float], exclude: frozenset[str] = frozenset()
) -> Iterator[WorldProblem]:
    """`count` distinct problems whose prompts are not in `exclude`, difficulties drawn by `shares`. Raises `UserError`
    where hardly any are left."""
    rng = random.Random(f"step-srpo-world-{seed}")
    levels, weights = list(shares), list(shares.values())
    seen, made, again = set(exclude), 0, 0
    while made < count:
        check_room(again, made, count, shares)
        level = rng.choices(levels, weights)[0]
        prompt, chain = make_problem(rng, int(level))
        if prompt in seen:
            again += 1
            continue
        seen.add(prompt)
        again = 0
        problem = Problem(f"{seed}-{made}", prompt, "math", "tiny", chain.values()[-1], difficulty=level)
        yield WorldProblem(problem, chain)
        made += 1


def check_room(again: int, made: int, count: int, shares: Mapping[str, float]) -> None:
    """Raises `UserError` where so many prompts in a row were there before that hardly any are left."""
    if again == TRIES:
        raise UserError(
            f"{again} prompts in a row were there before, after {made} problems of {count} with the shares "
            f"{dict(shares)}; allowed: fewer problems, or other shares"
        )


def make_problem(rng: random.Random, operations: int) -> tuple[str, Chain]:
    """One prompt with this many effective operations, and the chain it stands for."""
    length = rng.randint(SHORTEST, LONGEST)
    repeats = _composition(rng, operations, length)
    terms = [(rng.choice("+-"), _operand(rng), count) for count in repeats]
    start = f"{rng.randrange(BASE)}{rng.randrange(BASE)}"
    chain = Chain(start, tuple((sign, operand) for sign, operand, count in terms for _ in range(count)))
    return _render(rng, start, terms, length), chain


def _operand(rng: random.Random) -> str:
    """Two digits, not both 0, drawn by the weights `OPERAND_DIGITS`."""
    operand = "00"
    while operand == "00":
        operand = "".join(map(str, rng.choices(range(BASE), OPERAND_DIGITS, k=2)))
    return operand


def _size(repeats: list[int]) -> int:
    return 2 + sum(3 + (count > 1) for count in repeats)


def _composition(rng: random.Random, total: int, length: int) -> list[int]:
    """Repeat counts that add up to `total` in a prompt of at most `length` tokens, in as many terms as fit."""
    options = [c for c in _COMPOSITIONS[total] if _size(list(c)) <= length]
    most = max(map(len, options))
    return list(rng.choice([c for c in options if len(c) == most]))


def _all_compositions(total: int) -> list[tuple[int, ...]]:
    if total == 0:
        return [()]
    return [(k, *rest) for k in range(1, min(total, MAX_REPEAT) + 1) for rest in _all_compositions(total - k)]


_COMPOSITIONS = {int(level): _all_compositions(int(level)) for level in LEVELS}


def _render(rng: random.Random, start: str, terms: list[Term], length: int) -> str:
    """The terms as a prompt, stretched to `length` tokens by redundant ones where they fit."""
    chunks = [[start]]
    chunks += [[sign, operand] + ([f"r{count}"] if count > 1 else []) for sign, operand, count in terms]
    missing = length - _size([count for _, _, count in terms])
    while missing > 0:
        plain = [i for i, chunk in enumerate(chunks) if i and chunk[-1][0] != "r"]
        bare = [i for i, chunk in enumerate(chunks) if "(" not in chunk]
        kinds = (("r1", 1, plain), ("()", 2, bare), ("00", 3, [0]))
        choices = [kind for kind, size, free in kinds if size <= missing and free]
        if not choices:
            break
        kind = rng.choice(choices)
        if kind == "r1":
            chunks[rng.choice(plain)].append("r1")
        elif kind == "00":
            chunks.insert(rng.randint(1, len(chunks)), [rng.choice("+-"), "00"])
        else:
            index = rng.choice(bare)
            at = 1 if index else 0
            chunks[index][at : at + 1] = ["(", chunks[index][at], ")"]
        missing -= {"r1": 1, "()": 2, "00": 3}[kind]
    return " ".join(word for chunk in chunks for word in chunk)

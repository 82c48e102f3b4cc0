"""Small worlds of a machine with eight states: each move is a fixed permutation of them, drawn once.

A problem such as ``3 a . c ~ b`` starts in state 3 and makes the moves a, c, b; fillers do nothing. Its difficulty is
the number of moves, no two of them the same, so that a written-out step tells where in the prompt the next one is. One
move is a table that a forward pass can hold; several, being permutations without any pattern, are not, unless the
states are written out:

    thinking:  a 5 c 0 b 3

Every level draws its length from the same range, so prompt length says nothing about difficulty. A mark in front makes
other kinds of problems of the same length: ``=`` voids the moves (the answer is the start), ``?`` makes the answer a
number that nothing in the prompt tells.

A `pair` is two such machines of ten states that make the same moves: ``37 a . c ~ b``, thinking ``37 a 59 c 81 b 87``.
A blind guess is right once in a hundred times instead of once in eight, so luck does not look like skill. In a `walk`
a thought goes through the fillers too, so that thinking costs the same where it is not needed; two `domains` turn a
surface cue round.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

MOVES = "abcdef"
FILLERS = ".~^"
MARKS = "=?"
STATES = "01234567"
DIGITS = "0123456789"
SHORTEST, LONGEST = 4, 6
LONG = (7, 8)
CHAIN_LEVELS = ("1", "2", "3", "4")


def permutations(names: Sequence[str], states: Sequence[str]) -> dict[str, dict[str, str]]:
    """A fixed table for each name: what each state becomes."""
    rng = random.Random(f"{len(names)} moves of {len(states)} states")
    tables: dict[str, dict[str, str]] = {}
    known = [list(states)]
    for name in names:
        images = list(states)
        while images in known:
            rng.shuffle(images)
        known.append(images)
        tables[name] = dict(zip(states, images, strict=True))
    return tables


TABLES = permutations(MOVES, STATES)
DIGIT_TABLES = permutations(MOVES, DIGITS)


def chain(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) of a problem with this many moves; level ``none`` has no answer to find."""
    hopeless = level == "none"
    moves = rng.sample(MOVES, rng.randint(1, SHORTEST) if hopeless else int(level))
    start = rng.choice(STATES)
    words, state = [], start
    for move in moves:
        state = TABLES[move][state]
        words += [move, state]
    answer = rng.choice(STATES) if hopeless else state
    prompt = " ".join([*(["?"] if hopeless else []), start, *stretched(rng, moves)])
    return prompt, answer, " ".join(words)


def pair(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) of a problem with this many moves of two digits."""
    moves = rng.sample(MOVES, int(level))
    start = digits = rng.choice(DIGITS) + rng.choice(DIGITS)
    words = [start]
    for move in moves:
        digits = "".join(DIGIT_TABLES[move][digit] for digit in digits)
        words += [move, digits]
    return " ".join([start, *stretched(rng, moves)]), digits, " ".join(words)


def kind(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking): ``moves`` makes three to six moves, ``void`` shows as many that do nothing."""
    moves = rng.sample(MOVES, rng.randint(3, LONGEST))
    start = state = rng.choice(STATES)
    words = []
    for move in moves:
        state = start if level == "void" else TABLES[move][state]
        words += [move, state]
    return " ".join([*(["="] if level == "void" else []), start, *moves]), state, " ".join(words)


def walk(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) of a problem with this many moves, where a thought goes through every place of the
    prompt, fillers too: it takes the same tokens whether it is needed or not. Level ``4-long`` draws its length above
    those of the other levels."""
    moves, _, reach = level.partition("-")
    made = rng.sample(MOVES, int(moves))
    start = state = rng.choice(STATES)
    places = stretched(rng, made, LONG if reach else (SHORTEST, LONGEST))
    words = []
    for place in places:
        state = TABLES[place][state] if place in TABLES else state
        words += [place, state]
    return " ".join([start, *places]), state, " ".join(words)


def domains(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) in one of two domains, told by the mark in front, where the same cue, the kind of the
    fillers, says opposite things: among ``.`` the moves of domain ``=`` count and those of domain ``?`` are void, among
    ``~`` it is the other way round. Neither mark nor cue alone says which."""
    mark, counts = rng.choice(MARKS), level == "moves"
    filler = "." if counts == (mark == "=") else "~"
    moves = rng.sample(MOVES, 4)
    start = state = rng.choice(STATES)
    places = stretched(rng, moves, (5, LONGEST), filler)
    words = []
    for place in places:
        state = TABLES[place][state] if counts and place in TABLES else state
        words += [place, state]
    return " ".join([mark, start, *places]), state, " ".join(words)


def stretched(
    rng: random.Random, moves: Sequence[str], lengths: tuple[int, int] = (SHORTEST, LONGEST), fillers: str = FILLERS
) -> list[str]:
    """The moves in order among fillers, in as many places as the length drawn."""
    length = rng.randint(*lengths)
    places = sorted(rng.sample(range(length), len(moves)))
    slots = [rng.choice(fillers) for _ in range(length)]
    for place, move in zip(places, moves, strict=True):
        slots[place] = move
    return slots

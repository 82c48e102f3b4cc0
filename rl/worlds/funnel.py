"""Machines whose last move lets a blind guess be right more or less often: the gain of thinking is set by design.

A problem such as ``7 b d a k`` starts at 7 and makes three moves of `rl/worlds/machine.py` among ten digits, which no
forward pass of a small policy holds. The last letter is a funnel: it maps most digits to one output of its own and the
others each to another. Without knowing what the moves came to, that one output is the best answer, and it is right
with the letter's share. Written out, every answer is certain:

    thinking:  b 3 d 9 a 1 k 4

A letter of level j lets j of ten digits escape, so thinking gains j tenths: ten letters of ten levels are a continuum.
Every problem has the same length and every letter comes alike; that k lets one digit escape and u eight must be found
out from pass rates.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from rl.worlds.machine import DIGIT_TABLES, DIGITS, MOVES
from rl.worlds.programs import NAMES

MOVES_BEFORE = 3


def funnels(letters: Mapping[str, int], name: str) -> dict[str, dict[str, str]]:
    """A fixed table for each letter: what each digit becomes; `letters` says how many digits escape its one output."""
    rng = random.Random(f"funnels {name}")
    tables = {}
    for letter, escaping in letters.items():
        common, *others = rng.sample(DIGITS, len(DIGITS))
        images = [*others[:escaping], *[common] * (len(DIGITS) - escaping)]
        rng.shuffle(images)
        tables[letter] = dict(zip(DIGITS, images, strict=True))
    return tables


def dealt(levels: Sequence[int], name: str) -> dict[str, int]:
    """The levels in an order that the alphabet does not give away, one a letter."""
    order = list(levels)
    random.Random(f"levels {name}").shuffle(order)
    return dict(zip(NAMES, order, strict=True))


CONTINUUM = dealt(range(10), "continuum")
CONTINUUM_TABLES = funnels(CONTINUUM, "continuum")
THIN = dealt([0, 0, 0, 0, 0, 4, 4, 4, 4, 4], "thin")
THIN_TABLES = funnels(THIN, "thin")


def continuum(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) where as many digits as the level says escape."""
    return _problem(rng, level, CONTINUUM, CONTINUUM_TABLES)


def thin(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) where none (level 0) or four (level 4) of ten digits escape."""
    return _problem(rng, level, THIN, THIN_TABLES)


def _problem(
    rng: random.Random, level: str, levels: Mapping[str, int], tables: Mapping[str, Mapping[str, str]]
) -> tuple[str, str, str]:
    letter = rng.choice([letter for letter, escaping in levels.items() if str(escaping) == level])
    moves = rng.sample(MOVES, MOVES_BEFORE)
    start = state = rng.choice(DIGITS)
    words = []
    for move in [*moves, letter]:
        state = (tables[letter] if move == letter else DIGIT_TABLES[move])[state]
        words += [move, state]
    return " ".join([start, *moves, letter]), state, " ".join(words)

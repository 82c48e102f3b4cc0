"""A small world whose answers are programs: rearrange four arguments as a row of moves says; tests decide.

A problem such as ``k . m ~ p`` names moves that each replace the indices 0 to 3 by others. The answer is the program
that makes all of them at once,

    f=lambda*x:[x[2],x[0],x[3],x[1]]

and the reward `code` runs it. The program for one move is a table; for several the indices are written out after each:

    thinking:  k 1 0 3 2 m 3 0 1 2 p 2 0 3 1
"""

from __future__ import annotations

import random

from rl.worlds.machine import permutations, stretched

OPEN = "f=lambda*x:["
PROGRAM_WORDS = (OPEN, "x[0]", "x[1]", "x[2]", "x[3]", ",", "]", *"klmnopqstu")
NAMES = "klmnopqstu"
INDICES = "0123"
TABLES = permutations(NAMES, INDICES)
ARGUMENTS = (11, 22, 33, 44)


def program(rng: random.Random, level: str) -> tuple[str, str, str]:
    """(prompt, answer, thinking) of a problem with this many moves."""
    moves = rng.sample(NAMES, int(level))
    indices = list(INDICES)
    words: list[str] = []
    for move in moves:
        indices = [TABLES[move][index] for index in indices]
        words += [move, *indices]
    return " ".join(stretched(rng, moves)), source(indices), " ".join(words)


def source(indices: list[str]) -> str:
    """The program that returns its arguments in this order."""
    return OPEN + ",".join(f"x[{index}]" for index in indices) + "]"


def tests(answer: str) -> tuple[dict[str, object], ...]:
    """One call with distinct arguments: a wrong order fails it."""
    order = [int(piece[0]) for piece in answer.removeprefix(OPEN).split("x[")[1:]]
    return ({"call": "f", "args": list(ARGUMENTS), "expected": [ARGUMENTS[i] for i in order]},)

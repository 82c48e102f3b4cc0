"""The embedded worlds by name: `tiny` is that of carry-less sums (rl/worlds/world.py), `tiny:NAME` a small one.

    pair      the demo's: chain with two digits, whose answers nobody guesses, and no level between easy and hard
    chain     thinking helps from the second move on; two thirds need none of it
    never     one move or no answer at all: thinking never helps
    always    three and four moves: thinking always helps
    kind      thinking helps on one of two kinds of problems, whatever their length
    easy95    one problem in twenty needs thinking
    flipped   chain, with one correctness score in ten turned round in training
    code      the answers are programs and tests decide

A world brings what it must set in a run's configuration as overrides, the easy and hard levels among them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rl.worlds import machine, programs
from rl.worlds import world as sums
from rollout.errors import UserError, nearest
from rollout.types import Problem

Make = Callable[[random.Random, str], tuple[str, str, str]]
CHAIN = {"1": 0.6, "2": 0.05, "3": 0.1, "4": 0.25}


@dataclass(frozen=True)
class Worked:
    """A problem with the thinking that the cold start writes for it."""

    problem: Problem
    thinking: str


Draw = Callable[[int, int, Mapping[str, float], frozenset[str]], Iterator[Worked]]


@dataclass(frozen=True)
class World:
    """`draw(count, seed, shares, exclude)` gives that many distinct problems whose prompts are not in `exclude`,
    difficulties drawn by `shares`; `shares` are those where the configuration names none, `settings` what else it needs
    there, as overrides."""

    name: str
    levels: tuple[str, ...]
    shares: Mapping[str, float]
    draw: Draw
    easy: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def overrides(self) -> list[str]:
        """`section.key=value` for everything that this world sets."""
        source, easy, hard = f"tiny:{self.name}", json.dumps(self.easy), json.dumps(self.hard)
        own = [f"data.train={source}", f"data.test={source}", f"data.easy={easy}", f"data.hard={hard}"]
        return [*own, *self.settings]


def drawn_by(make: Make, domain: str = "math", tests: Callable[[str], Any] = lambda answer: ()) -> Draw:
    """A world's `draw` from a function of one problem."""

    def draw(count: int, seed: int, shares: Mapping[str, float], exclude: frozenset[str]) -> Iterator[Worked]:
        rng = random.Random(f"{make.__name__}-{seed}")
        levels, weights = list(shares), list(shares.values())
        seen, made = set(exclude), 0
        while made < count:
            level = rng.choices(levels, weights)[0]
            prompt, answer, thinking = make(rng, level)
            if prompt in seen:
                continue
            seen.add(prompt)
            problem = Problem(f"{seed}-{made}", prompt, domain, "tiny", answer, tests(answer), difficulty=level)
            yield Worked(problem, thinking)
            made += 1

    return draw


def _sums(count: int, seed: int, shares: Mapping[str, float], exclude: frozenset[str]) -> Iterator[Worked]:
    for made in sums.generate(count, seed, shares, exclude):
        yield Worked(made.problem, sums.thinking_text(made.chain))


_CHAIN_COLD_START = f"cold_start.shares={json.dumps(CHAIN)}"
_CODE = "rewards=[{name: judge, margin: 0.25}, {name: code, wall_s: 2.0, reuse: true}, {name: format, weight: 0.2}]"
_CHAIN = drawn_by(machine.chain)
_LEVELS = machine.CHAIN_LEVELS
SUMS = World("sums", sums.LEVELS, {}, _sums)
PAIR = World("pair", _LEVELS, {"1": 0.66, "3": 0.1, "4": 0.24}, drawn_by(machine.pair), ("1",), ("4",))
WORLDS = {
    world.name: world
    for world in (
        World("chain", _LEVELS, CHAIN, _CHAIN, ("1",), ("3", "4")),
        World("never", ("1", "none"), {"1": 0.8, "none": 0.2}, _CHAIN, ("1",)),
        World("always", _LEVELS, {"3": 0.5, "4": 0.5}, _CHAIN, (), ("3", "4")),
        World("kind", ("void", "moves"), {"void": 0.6, "moves": 0.4}, drawn_by(machine.kind), ("void",), ("moves",)),
        World("easy95", _LEVELS, {"1": 0.95, "4": 0.05}, _CHAIN, ("1",), ("4",), (_CHAIN_COLD_START,)),
        World("flipped", _LEVELS, CHAIN, _CHAIN, ("1",), ("3", "4"), ("control.flip_rewards=0.1",)),
        World("code", _LEVELS, CHAIN, drawn_by(programs.program, "code", programs.tests), ("1",), ("3", "4"), (_CODE,)),
    )
}


def find_world(source: str) -> World:
    """The world of `tiny` or `tiny:NAME`. Raises `UserError` with the nearest name."""
    _, separator, name = source.partition(":")
    if not separator:
        return SUMS
    named = {PAIR.name: PAIR, **WORLDS}
    if name not in named:
        worlds = [f"tiny:{one}" for one in named]
        hint = nearest(f"tiny:{name}", worlds, f"allowed: tiny, {', '.join(worlds)}")
        raise UserError(f"no embedded world {source!r}; {hint}")
    return named[name]

"""The embedded worlds by name: `tiny` is that of carry-less sums (rl/worlds/world.py), `tiny:NAME` a small one.

    pair        the demo's: chain with two digits, whose answers nobody guesses, and no level between easy and hard

For development, where algorithms may be tried and tuned:
    walk        thinking helps from the second move on; six problems in ten need none of it
    kind        thinking helps on one of two kinds of problems, whatever their length
    rare        one problem in ten needs thinking
    flipped     walk, with one correctness score in ten turned round in training
    longer      walk; the test has lengths that RL never showed

For the test, run once when everything is settled:
    continuum   ten levels; the gain of thinking rises from nothing to nine tenths, through the judge's margin
    thin        thinking gains 10 points over all problems, and one correctness score in ten is turned round
    distilled   the start thinks nearly always, as distilled models do, and direct answers have to be found
    domains     two domains, in which the surface cue for difficulty says opposite things
    shift       the test has levels and lengths that RL never showed
    long        walk for ten times the tokens: do routing or answers drift?

Checks, where a constant mode does as well as any router or nearly so; they count in no mean:
    chain       as walk, but thoughts skip the fillers: a thought that is not needed costs next to nothing
    never       one move or no answer at all: thinking never helps
    always      three and four moves: thinking always helps
    code        the answers are programs and tests decide
    thinker     as distilled, from a shorter cold start: three of five starts hardly know direct answers

A world brings what it must set in a run's configuration as overrides, the easy and hard levels among them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl.worlds import funnel, machine, programs
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
    difficulties drawn by `shares`; `shares` are those where the configuration names none, `test_shares` those of the
    test problems where they differ, `settings` what else it needs there, as overrides."""

    name: str
    levels: tuple[str, ...]
    shares: Mapping[str, float]
    draw: Draw
    easy: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    test_shares: Mapping[str, float] | None = None

    @property
    def overrides(self) -> list[str]:
        """`section.key=value` for everything that this world sets."""
        source, easy, hard = f"tiny:{self.name}", json.dumps(self.easy), json.dumps(self.hard)
        own = [f"data.train={source}", f"data.test={source}", f"data.easy={easy}", f"data.hard={hard}"]
        return [*own, *self.settings]


def drawn_by(make: Make, domain: str = "math", tests: Callable[[str], Any] = lambda answer: ()) -> Draw:
    """A world's `draw` from a function of one problem. A prompt that was there is drawn anew with its level, so that of
    a level with few prompts there are fewer than its share. `draw` raises `UserError` where hardly any are left."""

    def draw(count: int, seed: int, shares: Mapping[str, float], exclude: frozenset[str]) -> Iterator[Worked]:
        rng = random.Random(f"{make.__name__}-{seed}")
        levels, weights = list(shares), list(shares.values())
        seen, made, again = set(exclude), 0, 0
        while made < count:
            sums.check_room(again, made, count, shares)
            level = rng.choices(levels, weights)[0]
            prompt, answer, thinking = make(rng, level)
            if prompt in seen:
                again += 1
                continue
            seen.add(prompt)
            again = 0
            problem = Problem(f"{seed}-{made}", prompt, domain, "tiny", answer, tests(answer), difficulty=level)
            yield Worked(problem, thinking)
            made += 1

    return draw


def _sums(count: int, seed: int, shares: Mapping[str, float], exclude: frozenset[str]) -> Iterator[Worked]:
    for made in sums.generate(count, seed, shares, exclude):
        yield Worked(made.problem, sums.thinking_text(made.chain))


def _cold(shares: Mapping[str, float]) -> str:
    return f"cold_start.shares={json.dumps(shares)}"


_CODE = "rewards=[{name: judge, margin: 0.25}, {name: code, wall_s: 2.0, reuse: true}, {name: format, weight: 0.2}]"
_THINKS = "cold_start.think_share=0.9"
_FLIPS = "control.flip_rewards=0.1"
_LONG = ("trainer.token_budget=400000", "trainer.steps=20000", "evaluation.every=10")
_SEEN = {"1": 0.2, "3": 0.15, "1-long": 0.25, "2-long": 0.1, "4-long": 0.3}
_ROOM = ("rollout.max_new_tokens=24", "cold_start.steps=500")
_LEVELS = machine.CHAIN_LEVELS
_CHAIN, _WALK = drawn_by(machine.chain), drawn_by(machine.walk)
_EASY, _HARD = ("1",), ("3", "4")
_CONTINUUM = dict(zip("0123456789", (0.42, 0.14, 0.1, 0.08, 0.06, 0.05, 0.05, 0.04, 0.03, 0.03), strict=True))
_REACHES = {"1": 0.2, "4": 0.2, "1-long": 0.3, "3-long": 0.3}
_SHIFTED = ("1", "3", "1-long", "2-long", "4-long")
_KINDS = {"void": 0.6, "moves": 0.4}
SUMS = World("sums", sums.LEVELS, {}, _sums)
PAIR = World("pair", _LEVELS, {"1": 0.66, "3": 0.1, "4": 0.24}, drawn_by(machine.pair), ("1",), ("4",))
DEVELOPMENT = (
    World("walk", _LEVELS, CHAIN, _WALK, _EASY, _HARD),
    World("kind", ("void", "moves"), _KINDS, drawn_by(machine.kind), ("void",), ("moves",)),
    World("rare", _LEVELS, {"1": 0.9, "4": 0.1}, _WALK, ("1",), ("4",), (_cold(CHAIN),)),
    World("flipped", _LEVELS, CHAIN, _WALK, _EASY, _HARD, (_FLIPS,)),
    World(
        "longer",
        tuple(_REACHES),
        {"1": 0.6, "4": 0.4},
        _WALK,
        ("1", "1-long"),
        ("4", "3-long"),
        (_cold(_REACHES), *_ROOM),
        {"1-long": 0.6, "3-long": 0.4},
    ),
)
TEST = (
    World(
        "continuum", tuple(_CONTINUUM), _CONTINUUM, drawn_by(funnel.continuum), ("0", "1"), ("5", "6", "7", "8", "9")
    ),
    World("thin", ("0", "4"), {"0": 0.75, "4": 0.25}, drawn_by(funnel.thin), ("0",), ("4",), (_FLIPS,)),
    World("distilled", _LEVELS, CHAIN, _WALK, _EASY, _HARD, (_THINKS, "cold_start.steps=900")),
    World("domains", ("void", "moves"), _KINDS, drawn_by(machine.domains), ("void",), ("moves",)),
    World(
        "shift",
        _SHIFTED,
        {"1": 0.6, "3": 0.4},
        _WALK,
        ("1", "1-long"),
        ("3", "4-long"),
        (_cold(_SEEN), *_ROOM),
        {"1-long": 0.6, "2-long": 0.1, "4-long": 0.3},
    ),
    World("long", _LEVELS, CHAIN, _WALK, _EASY, _HARD, _LONG),
)
CHECKS = (
    World("chain", _LEVELS, CHAIN, _CHAIN, _EASY, _HARD),
    World("never", ("1", "none"), {"1": 0.8, "none": 0.2}, _CHAIN, _EASY),
    World("always", _LEVELS, {"3": 0.5, "4": 0.5}, _CHAIN, (), _HARD),
    World("code", _LEVELS, CHAIN, drawn_by(programs.program, "code", programs.tests), _EASY, _HARD, (_CODE,)),
    World("thinker", _LEVELS, CHAIN, _WALK, _EASY, _HARD, (_THINKS,)),
)
GROUPS = {"development": DEVELOPMENT, "test": TEST, "checks": CHECKS}
WORLDS = {world.name: world for group in GROUPS.values() for world in group}


def named_worlds(names: Sequence[str]) -> list[str]:
    """World names; `development`, `test` and `checks` stand for their worlds, `all` for every one. Raises `UserError`
    with the nearest name."""
    groups = {name: [world.name for world in group] for name, group in GROUPS.items()} | {"all": list(WORLDS)}
    known = [*groups, *WORLDS, PAIR.name]
    for name in names:
        if name not in known:
            hint = nearest(name, known, f"allowed: {', '.join(known)}")
            raise UserError(f"no world {name!r}; {hint}")
    return list(dict.fromkeys(world for name in names for world in groups.get(name, [name])))


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

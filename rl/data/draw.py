"""Which problems are taken where fewer are wanted than there are: drawn by the seed, because the first ones of a file
are often all of one kind.

    data.draw: random      by a number that follows from seed and id alone
    data.draw: domain      the same number of each domain, as far as they go
    data.draw: difficulty  the same number of each difficulty

A smaller draw is part of a larger one, the order of the file is kept, and neither order nor company of the rows changes
who is drawn. Problems that are made from a seed are a draw already: of those the first are taken.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from rl.config.schema import Config
from rollout.types import Problem


def drawn(problems: Sequence[Problem], count: int | None, config: Config) -> list[Problem]:
    """`count` of the problems (None or 0: all) in their order, by `data.draw` and `data.seed` (default: the run's)."""
    if not count or count >= len(problems):
        return list(problems)
    seed = config.seed if config.data.seed is None else config.data.seed
    chosen = {problem.id for problem in _ranked(problems, seed, config.data.draw)[:count]}
    return [problem for problem in problems if problem.id in chosen]


def _ranked(problems: Sequence[Problem], seed: int, way: str) -> list[Problem]:
    """The problems in the order in which they are drawn: kinds take turns, by the place of each within its kind."""
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in sorted(problems, key=lambda one: _number(seed, one.id)):
        kinds[_kind(problem, way)].append(problem)
    turns = [(turn, kind, problem) for kind, members in kinds.items() for turn, problem in enumerate(members)]
    return [problem for _, _, problem in sorted(turns, key=lambda one: one[:2])]


def _kind(problem: Problem, way: str) -> str:
    if way == "domain":
        return problem.domain
    return problem.difficulty or "" if way == "difficulty" else ""


def _number(seed: int, problem_id: str) -> bytes:
    return hashlib.sha256(f"draw-{seed}-{problem_id}".encode()).digest()

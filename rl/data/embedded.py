"""The embedded worlds as a data source: `tiny`, or `tiny:NAME`. No prompt of the test split is in the train split."""

from __future__ import annotations

from rl.config.schema import Config
from rl.data.records import DataError
from rollout.types import Problem

TEST_SEED, TRAIN_SEED = 7, 1000


def is_tiny(where: str | list[str]) -> bool:
    """Whether a data source is an embedded world: `tiny` or `tiny:NAME`."""
    return isinstance(where, str) and where.partition(":")[0] == "tiny"


def embedded_problems(config: Config, where: str, split: str, size: int | None) -> list[Problem]:
    """The problems of one split; they follow from the seed."""
    from rl.worlds.worlds import find_world

    world = find_world(where)
    shares = config.data.shares or world.shares
    test_shares = config.data.shares or world.test_shares or shares
    if not shares or not set(shares) <= set(world.levels) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        levels = ", ".join(world.levels)
        raise DataError(f"data.shares is {dict(shares)}; allowed: shares of 0 or more for the levels {levels}")
    test_size = config.data.test_size or 500
    seed = config.seed if config.data.seed is None else config.data.seed
    test = [w.problem for w in world.draw(test_size, TEST_SEED + seed, test_shares, frozenset())]
    if split == "test":
        return test
    held_out = frozenset(p.prompt for p in test)
    return [w.problem for w in world.draw(size or 2000, TRAIN_SEED + seed, shares, held_out)]

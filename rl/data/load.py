"""From `data.train` and `data.test` to problems.

A bad row is an error that names its place (`data.on_bad_row: stop`), or is left out and counted (`skip`) up to
`data.max_bad_share` of the rows; above that the source is refused all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from rl.config.schema import Config
from rl.data.embedded import embedded_problems, is_tiny
from rl.data.files import rows_of
from rl.data.formats import adapter
from rl.data.gym_tasks import PREFIX, gym_problems
from rl.data.records import DataError, Record
from rl.data.schema import unique_ids, with_sound_tests
from rollout.types import Problem

logger = logging.getLogger(__name__)
SHOWN = 3


@dataclass(frozen=True)
class Loaded:
    """The problems of one split and what was left out: one line for each bad row."""

    where: str
    problems: list[Problem]
    bad: tuple[str, ...] = ()


def load_problems(config: Config, split: str) -> list[Problem]:
    """The `train` or `test` problems of a run, in a fixed order. Raises `DataError`."""
    loaded = read_problems(config, split)
    if loaded.bad:
        total = len(loaded.problems) + len(loaded.bad)
        shown = "; ".join(loaded.bad[:SHOWN])
        logger.warning("data.%s: %d of %d rows left out: %s", split, len(loaded.bad), total, shown)
    return loaded.problems


def read_problems(config: Config, split: str) -> Loaded:
    """The same with the bad rows. `data.train_size` and `data.test_size` take the first problems."""
    data = config.data
    where = data.train if split == "train" else data.test
    size = data.train_size if split == "train" else data.test_size
    if is_tiny(where):
        loaded = Loaded(where, embedded_problems(config, where, split, size))
    elif where.startswith(PREFIX):
        loaded = Loaded(where, gym_problems(config, split))
    else:
        loaded = _adapted(rows_of(where, data.path), where, config)
    problems = loaded.problems[:size]
    if not problems:
        raise DataError(f"data.{split} {where!r} holds no problems")
    twice = unique_ids(problems)
    if twice is not None:
        raise DataError(f"data {where!r}: the id {twice!r} is used twice")
    return Loaded(where, problems, loaded.bad)


def _adapted(rows: Iterable[Record | DataError], where: str, config: Config) -> Loaded:
    data, adapt = config.data, adapter(config.data.format)
    problems: list[Problem] = []
    bad: list[str] = []
    for row in rows:
        try:
            if isinstance(row, DataError):
                raise row
            problems.append(with_sound_tests(adapt(row), row.place))
        except DataError as error:
            if data.on_bad_row == "stop":
                raise
            bad.append(str(error))
    total = len(problems) + len(bad)
    if len(bad) > data.max_bad_share * total:
        raise DataError(
            f"data source {where!r}: {len(bad)} of {total} rows are bad ({bad[0]}); allowed: a share of "
            f"data.max_bad_share, {data.max_bad_share}"
        )
    return Loaded(where, problems, tuple(bad))

"""From `data.train` and `data.test` to problems.

A bad row is an error that names its place (`data.on_bad_row: stop`), or is left out and counted (`skip`) up to
`data.max_bad_share` of the rows; above that the source is refused all the same. Bad is what cannot be read, what the
rewards of the run could not judge, and an id that was used before. `rl/data/prompts.py` adds what needs a tokenizer.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rewards.problems import check_problem as check_judged
from rewards.registry import Reward, build_rewards
from rl.config.schema import Config
from rl.data.arithmetic import arithmetic_problems, is_arithmetic
from rl.data.draw import drawn
from rl.data.embedded import embedded_problems, is_tiny
from rl.data.files import local_files, rows_of
from rl.data.formats import FORMATS, adapter
from rl.data.gym_tasks import gym_problems
from rl.data.records import DataError, Record
from rl.data.schema import check_problem, with_sound_tests
from rl.data.settings import check_settings, columns_of, format_of, is_generated
from rollout.types import Problem

logger = logging.getLogger(__name__)
SHOWN = 3


@dataclass(frozen=True)
class Loaded:
    """The problems of one split; one line for each row that was left out, and for what was left out of rows; how many
    rows were read, of which the problems may be a draw; and by id the place of every problem."""

    where: str
    problems: list[Problem]
    bad: tuple[str, ...] = ()
    read: int = 0
    notes: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    def lines(self, split: str) -> list[str]:
        """What was left out, for people."""
        told = []
        if self.bad:
            shown = "; ".join(self.bad[:SHOWN]) + ("; …" if len(self.bad) > SHOWN else "")
            told.append(f"data.{split}: {len(self.bad)} of {self.read} rows left out: {shown}")
        return [*told, *(f"data.{split}: {note}" for note in self.notes)]


def source_files(config: Config) -> list[Path]:
    """The files on this machine that the data of a run is read from, and the labelled ones of its cold start."""
    data, cold = config.data, config.cold_start
    found = [Path(name) for name in (cold.labels, cold.gears.labels) if name]
    for split, where in (("train", data.train), ("test", data.test)):
        if not is_generated(where):
            found += local_files(where, data.path, split)
    return found


def load_problems(config: Config, split: str) -> list[Problem]:
    """The `train` or `test` problems of a run, in a fixed order. Raises `DataError`."""
    return load_split(config, split).problems


def load_split(config: Config, split: str) -> Loaded:
    """The same with their places; what was left out is logged."""
    loaded = read_problems(config, split)
    for line in loaded.lines(split):
        logger.warning("%s", line)
    return loaded


def read_problems(config: Config, split: str, *, keep_going: bool = False) -> Loaded:
    """The same with the bad rows. `data.train_size` and `data.test_size` draw that many by the seed. `keep_going`
    leaves bad rows out whatever the configuration says and however many there are, for those who list them."""
    data = config.data
    where = data.train if split == "train" else data.test
    size = data.train_size if split == "train" else data.test_size
    check_settings(data)
    rewards = build_rewards(config.rewards) if config.rewards else []
    rewards = [reward for reward in rewards if split == "train" or reward.step == "answer"]
    loaded = _collected(_problems(config, split), where, rewards, config, keep_going)
    if not loaded.problems and not (keep_going and loaded.bad):
        raise DataError(f"data.{split} {where!r} holds no problems")
    return replace(loaded, problems=take(loaded.problems, size, config, where))


def take(problems: list[Problem], count: int | None, config: Config, where: str | list[str]) -> list[Problem]:
    """`count` of the problems of a source (None or 0: all): drawn, or the first where they are made from a seed."""
    return problems[: count or None] if is_generated(where) else drawn(problems, count, config)


Found = tuple[Problem, Record]


def _problems(config: Config, split: str) -> Iterator[Callable[[], Found]]:
    """Each row as a function that reads it, or raises `DataError`."""
    data = config.data
    where = data.train if split == "train" else data.test
    if isinstance(where, str) and is_generated(where):
        size = data.train_size if split == "train" else data.test_size
        if is_tiny(where):
            made = embedded_problems(config, where, split, size)
        else:
            made = arithmetic_problems(config, split) if is_arithmetic(where) else gym_problems(config, split)
        for number, problem in enumerate(made[:size], 1):
            yield functools.partial(_made, problem, Record(f"{where}:{number}", str(number), {}))
        return
    format_name, columns = format_of(data, split), columns_of(data, split)
    for row in rows_of(where, data.path, split):
        yield functools.partial(_adapted, row, format_name, columns)


def _made(problem: Problem, record: Record) -> Found:
    return problem, record


def _adapted(row: Record | DataError, format_name: str, columns: Mapping[str, str]) -> Found:
    if isinstance(row, DataError):
        raise row
    record = row.renamed(columns)
    try:
        return adapter(format_name)(record), record
    except DataError as error:
        raise DataError(f"{error}{_hint(record, format_name)}") from error


def _hint(record: Record, format_name: str) -> str:
    """Which formats read a row that is none of the project's own, for those who named no format."""
    if format_name != "problems":
        return ""
    fitting = []
    for name, adapt in FORMATS.items():
        try:
            adapt(record)
        except DataError:
            continue
        fitting.append(name)
    return f" (data.format is {format_name}; this row is read by {', '.join(fitting)})" if fitting else ""


def _collected(
    rows: Iterable[Callable[[], Found]], where: Any, rewards: list[Reward], config: Config, keep_going: bool
) -> Loaded:
    data = config.data
    problems: list[Problem] = []
    places: dict[str, str] = {}
    bad: list[str] = []
    notes: Counter[str] = Counter()
    for row in rows:
        try:
            problem, record = row()
            problem = with_sound_tests(problem, record.place)
            _check(problem, record, rewards, places)
        except DataError as error:
            if data.on_bad_row == "stop" and not keep_going:
                raise
            bad.append(str(error))
            continue
        problems.append(problem)
        places[problem.id] = record.place
        notes.update(record.notes)
    if not keep_going:
        check_share(len(bad), len(problems) + len(bad), bad, where, data.max_bad_share)
    told = tuple(f"{note} (in {count} rows)" for note, count in notes.items())
    return Loaded(str(where), problems, tuple(bad), len(problems) + len(bad), told, places)


def _check(problem: Problem, record: Record, rewards: list[Reward], places: Mapping[str, str]) -> None:
    check_problem(problem, record)
    if problem.id in places:
        raise record.error(f"the id {problem.id!r} is used twice, first at {places[problem.id]}")
    if rewards:
        try:
            check_judged(problem, rewards)
        except ValueError as error:
            raise record.error(str(error)) from error


def check_share(bad: int, total: int, lines: list[str], where: Any, allowed: float) -> None:
    """Raises `DataError` when more than the allowed share of the rows is bad."""
    if bad > allowed * total:
        raise DataError(
            f"data source {where!r}: {bad} of {total} rows are bad ({lines[0]}); allowed: a share of "
            f"data.max_bad_share, {allowed}"
        )

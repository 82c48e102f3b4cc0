"""`reasoning-gym` tasks as a data source: `reasoning_gym:chain_sum?min_terms=2&max_terms=3#easy`.

The query sets fields of the task's own configuration, the part after `#` is the difficulty that reports show, and `|`
joins several tasks, which then take turns. Problems follow from the seed; no prompt of the test split is in the train
split. The entry goes into `metadata["reasoning_gym"]`, for rewards that call the task's own scorer, and worked steps,
where there are any (rl/data/gym_steps.py), into `metadata["solution"]`.

A task's scorer is not always one to train on: some give credit for a substring, `game_of_life_halting` gives full
marks to anything, and some tasks have no answer text. A task is refused unless its scorer gives exactly 1.0 to the
gold answer and less to a wrong one. Needs the extra `reasoning_gym` (pip install '.[reasoning_gym]').
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import yaml

from rl.config.schema import Config
from rl.data.gym_steps import worked_steps
from rl.data.records import DataError
from rollout.errors import nearest
from rollout.types import Problem

PREFIX = "reasoning_gym:"
DEFAULT_SIZE = 500
TEST_SEED, TRAIN_SEED = 7, 1000
WRONG = "none of the above"
_SEEDS_APART = 1_000_003
_TRIES = 4


@dataclass(frozen=True)
class Task:
    """One task of a source: its name, the fields of its configuration, and a difficulty to report."""

    name: str
    settings: dict[str, Any]
    difficulty: str | None


def gym_problems(config: Config, split: str) -> list[Problem]:
    """The problems of one split, `data.train_size` or `data.test_size` of them. Raises `DataError`."""
    data, seed = config.data, config.seed * _SEEDS_APART
    test_size = data.test_size or DEFAULT_SIZE
    if split == "test":
        return _draw(str(data.test), seed + TEST_SEED, test_size)
    held_out: set[str] = set()
    if isinstance(data.test, str) and data.test.startswith(PREFIX):
        held_out = {problem.prompt for problem in _draw(data.test, seed + TEST_SEED, test_size)}
    return _draw(str(data.train), seed + TRAIN_SEED, data.train_size or DEFAULT_SIZE, held_out)


def parse_source(where: str) -> list[Task]:
    """The tasks of a source. Raises `DataError`.

    >>> parse_source("reasoning_gym:chain_sum?min_terms=2#easy")
    [Task(name='chain_sum', settings={'min_terms': 2}, difficulty='easy')]
    """
    tasks = []
    for part in where.removeprefix(PREFIX).split("|"):
        call, _, difficulty = part.strip().partition("#")
        name, _, query = call.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        if not name or any("=" not in setting for setting in query.split("&") if query):
            raise DataError(f"data source {where!r}; allowed: {PREFIX}TASK?field=value&field=value#difficulty")
        twice = next((key for key, _ in pairs if [one for one, _ in pairs].count(key) > 1), None)
        if twice is not None:
            raise DataError(f"data source {where!r} sets {twice!r} twice; allowed: once")
        settings = {key: yaml.safe_load(value) for key, value in pairs}
        for key in ("seed", "size"):
            if key in settings:
                raise DataError(
                    f"data source {where!r} sets {key!r}; allowed: data.train_size, data.test_size and seed"
                )
        tasks.append(Task(name, settings, difficulty or None))
    return tasks


def _draw(where: str, seed: int, count: int, held_out: Collection[str] = ()) -> list[Problem]:
    """The first `count` problems of the source's tasks in turn, no prompt twice and none of `held_out`."""
    tasks = parse_source(where)
    shares = [len(range(turn, count, len(tasks))) for turn in range(len(tasks))]
    seen = set(held_out)
    drawn = [_distinct(task, f"{seed}-{turn}", seed, shares[turn], seen) for turn, task in enumerate(tasks)]
    return [drawn[index % len(tasks)][index // len(tasks)] for index in range(count)]


def _distinct(task: Task, label: str, seed: int, count: int, seen: set[str]) -> list[Problem]:
    """`count` problems whose prompts are not in `seen`, which grows by them; `label` goes into their ids."""
    dataset = _create(task, seed, count * _TRIES + len(seen))
    _check_scorer(task, dataset)
    problems: list[Problem] = []
    for index in range(len(dataset)):
        if len(problems) == count:
            break
        problem = _problem(task, dataset, label, index)
        if problem.prompt not in seen:
            seen.add(problem.prompt)
            problems.append(problem)
    if len(problems) < count:
        raise DataError(
            f"task {task.name!r} with {task.settings} gave {len(problems)} distinct problems, {count} are wanted; "
            "allowed: smaller data.train_size and data.test_size, or settings with more room"
        )
    return problems


def _problem(task: Task, dataset: Any, label: str, index: int) -> Problem:
    entry = dataset[index]
    if not isinstance(entry["answer"], str) or not entry["answer"].strip():
        raise DataError(f"task {task.name!r} has a problem without answer text; allowed: tasks with a text answer")
    metadata = {"reasoning_gym": {"task": task.name, "settings": task.settings, "entry": _plain(entry)}}
    steps = worked_steps(task.name, entry)
    return Problem(
        id=f"{task.name}-{label}-{index}",
        prompt=entry["question"],
        domain=dataset.category,
        source=f"{PREFIX}{task.name}",
        answer=entry["answer"],
        difficulty=task.difficulty,
        metadata=metadata | ({"solution": steps} if steps is not None else {}),
    )


def _create(task: Task, seed: int, size: int) -> Any:
    try:
        from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as error:
        raise DataError(
            f"data source {PREFIX}{task.name} needs reasoning-gym ({error}): pip install '.[reasoning_gym]'"
        ) from error
    if task.name not in DATASETS:
        hint = nearest(task.name, DATASETS)
        raise DataError(f"no reasoning-gym task {task.name!r}{hint and f'; {hint}'}")
    known = [field.name for field in dataclasses.fields(DATASETS[task.name][1])]
    for key in task.settings:
        if key not in known:
            raise DataError(f"task {task.name!r} has no setting {key!r}; allowed: {', '.join(known)}")
    try:
        return create_dataset(task.name, seed=seed, size=size, **task.settings)
    except (AssertionError, TypeError, ValueError) as error:
        raise DataError(f"task {task.name!r} refuses {task.settings}: {' '.join(str(error).split())}") from error


def _check_scorer(task: Task, dataset: Any) -> None:
    """Refuse a scorer that does not know its own gold answer, or takes anything for it."""
    entry = dataset[0]
    gold = entry["answer"]
    if not isinstance(gold, str):
        raise DataError(f"task {task.name!r} has no answer text ({gold!r}); allowed: tasks with a text answer")
    if dataset.score_answer(gold, entry) != 1.0:
        raise DataError(f"task {task.name!r} does not score its own gold answer 1.0: no reward could judge it")
    try:
        fooled = dataset.score_answer(WRONG, entry) >= 1.0
    except Exception:
        # A scorer that breaks on what it cannot read does not take it for an answer.
        fooled = False
    if fooled:
        raise DataError(f"task {task.name!r} scores a wrong answer 1.0: no reward could judge it")


def _plain(entry: Any) -> Any:
    """The entry as JSON has it."""
    return json.loads(json.dumps(entry, default=str))

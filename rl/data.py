"""Problems from files: jsonl, a hub data set, or the embedded world. A bad line is an error that names file:line.

Formats: `problems` has this project's fields (`id, prompt, domain, source, answer, tests, difficulty, necessity`; id
defaults to the line number), `gsm8k` has `question` and `answer` with the gold number after `####`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rl.config import Config, DataConfig
from rollout.errors import UserError
from rollout.types import MODES, Problem

TEST_SEED, TRAIN_SEED = 7, 1000


class DataError(UserError):
    """Data that cannot be used; one line, with its place."""


def load_problems(config: Config, split: str) -> list[Problem]:
    """The `train` or `test` problems of a run, in a fixed order. Raises `DataError`."""
    data = config.data
    where = data.train if split == "train" else data.test
    size = data.train_size if split == "train" else data.test_size
    if is_tiny(where):
        problems = _tiny(config, where, split, size)
    elif where.startswith("hub:"):
        problems = _parse(_hub_rows(where), data)
    else:
        problems = _parse(_jsonl_rows(Path(data.path) / where), data)
    if size is not None:
        problems = problems[:size]
    if not problems:
        raise DataError(f"data.{split} {where!r} holds no problems")
    _check_ids(problems, where)
    return problems


def read_gsm8k_thinking(config: Config, split: str) -> dict[str, str]:
    """The worked solutions of GSM8K by problem id, calculator marks removed: the cold start's thinking texts."""
    where = config.data.train if split == "train" else config.data.test
    rows = _hub_rows(where) if where.startswith("hub:") else _jsonl_rows(Path(config.data.path) / where)
    thinking = {}
    for place, row in rows:
        text = str(_field(row, "answer", place)).rpartition("####")[0]
        thinking[_gsm8k(row, place).id] = _without_marks(text).strip()
    return thinking


def _without_marks(text: str) -> str:
    parts = text.split("<<")
    return parts[0] + "".join(part.partition(">>")[2] for part in parts[1:])


def is_tiny(where: str) -> bool:
    """Whether a data source is an embedded world: `tiny` or `tiny:NAME`."""
    return where.partition(":")[0] == "tiny"


def _tiny(config: Config, where: str, split: str, size: int | None) -> list[Problem]:
    from rl.tiny.worlds import find_world

    world = find_world(where)
    shares = config.data.shares or world.shares
    if not shares or not set(shares) <= set(world.levels) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        levels = ", ".join(world.levels)
        raise DataError(f"data.shares is {dict(shares)}; allowed: shares of 0 or more for the levels {levels}")
    test_size = config.data.test_size or 500
    test = [w.problem for w in world.draw(test_size, TEST_SEED + config.seed, shares, frozenset())]
    if split == "test":
        return test
    held_out = frozenset(p.prompt for p in test)
    return [w.problem for w in world.draw(size or 2000, TRAIN_SEED + config.seed, shares, held_out)]


def _jsonl_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not path.is_file():
        raise DataError(f"no data file {str(path)!r} (looked in {Path.cwd()}); set data.path or data.train/data.test")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise DataError(f"{place}: not valid UTF-8 (byte {error.start})") from error
            except json.JSONDecodeError as error:
                raise DataError(f"{place}: not valid JSON ({error.msg} at column {error.colno})") from error
            if not isinstance(row, dict):
                raise DataError(f"{place}: holds a {type(row).__name__}; allowed: an object with fields")
            yield place, row


def _hub_rows(where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from datasets import load_dataset

    parts = where.split(":")[1:]
    if len(parts) not in (2, 3):
        raise DataError(f"data source {where!r}; allowed: hub:ID:SPLIT or hub:ID:CONFIG:SPLIT")
    rows = load_dataset(*parts[:-1], split=parts[-1])
    for number, row in enumerate(rows, 1):
        yield f"{where}:{number}", row


def _parse(rows: Iterable[tuple[str, Mapping[str, Any]]], data: DataConfig) -> list[Problem]:
    parse = {"problems": _problem, "gsm8k": _gsm8k}[data.format]
    return [parse(row, place) for place, row in rows]


def _field(row: Mapping[str, Any], name: str, place: str) -> Any:
    if name not in row:
        raise DataError(f"{place}: no field {name!r}; it has {', '.join(map(str, row)) or 'none'}")
    return row[name]


def _gsm8k(row: Mapping[str, Any], place: str) -> Problem:
    question, answer = _field(row, "question", place), str(_field(row, "answer", place))
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{place}: 'question' is {question!r}; allowed: text")
    if "####" not in answer:
        raise DataError(f"{place}: the field 'answer' has no '####' before its gold number")
    gold = answer.rpartition("####")[2].strip().replace(",", "")
    return Problem(f"gsm8k-{place.rpartition(':')[2]}", str(question), "math", "gsm8k", gold)


def _problem(row: Mapping[str, Any], place: str) -> Problem:
    known = {f.name for f in fields(Problem)}
    values = {key: value for key, value in row.items() if key in known and value is not None}
    prompt = _field(row, "prompt", place)
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{place}: 'prompt' is {prompt!r}; allowed: text")
    tests = values.get("tests", ())
    if not isinstance(tests, list | tuple) or any(not isinstance(t, Mapping) for t in tests):
        raise DataError(f"{place}: 'tests' is no list of objects")
    if values.get("necessity") not in (None, *MODES):
        raise DataError(f"{place}: 'necessity' is {values['necessity']!r}; allowed: {', '.join(MODES)}")
    if values.get("answer") is None and not tests:
        raise DataError(f"{place}: neither 'answer' nor 'tests': no reward could judge it")
    for name in ("answer", "difficulty", "domain", "source"):
        if name in values:
            values[name] = str(values[name])
    values["id"] = str(values.get("id", place.rpartition(":")[2]))
    return Problem(**{**values, "tests": tuple(tests)})


def _check_ids(problems: list[Problem], where: str) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise DataError(f"data {where!r}: the id {problem.id!r} is used twice")
        seen.add(problem.id)

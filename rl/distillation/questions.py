"""What teachers are asked: the training problems of the run, or a file of questions that need no gold answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.data.load import load_problems, take
from rl.data.records import Record
from rl.data.schema import problem_of_row
from rl.distillation.formats import ChainError, read_objects
from rl.files.finished import settings_of
from rl.models.inputs import data_settings, file_digest, input_digests
from rollout.types import Problem

TEXTS = ("problem", "instruction", "question", "prompt")


@dataclass(frozen=True)
class Question:
    """One question; `problem.answer` is None where nobody knows."""

    problem: Problem
    system: str = ""

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The conversation that ends with the question."""
        turns = list(self.problem.messages) or [{"role": "user", "content": self.problem.prompt}]
        has_system = any(turn.get("role") == "system" for turn in turns)
        return [*([{"role": "system", "content": self.system}] if self.system and not has_system else []), *turns]


def load_questions(config: Config) -> list[Question]:
    """The questions of a run, `distill.problems` of them. Raises `UserError`."""
    count = config.distill.problems or None
    if config.distill.questions:
        found = read_questions(Path(config.distill.questions))
        return [found[i] for i in sorted(_places(len(found), count, config))]
    problems = take(load_problems(config, "train"), count, config, config.data.train)
    return [Question(problem, config.protocol.system) for problem in problems]


def question_settings(config: Config) -> dict[str, Any]:
    """What the questions depend on, but for their number."""
    if config.distill.questions:
        return file_digest("distill.questions", config.distill.questions)
    settings = data_settings(config, "train") | settings_of(config, ["protocol.system"])
    return settings | input_digests(config, ("train",), plug_ins=False)


def read_questions(path: Path) -> list[Question]:
    """The questions of a JSON array or of JSON lines. Raises `ChainError` with file and row."""
    found: list[Question] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(read_objects(path), 1):
        question = _question(row, number, f"{path}: row {number}")
        name = question.problem.id
        if name in seen:
            raise ChainError(f"{path}: row {number} has the id {name!r} of row {seen[name]}; allowed: one id each")
        seen[name] = number
        found.append(question)
    if not found:
        raise ChainError(f"{path} holds no questions; allowed: rows with {', '.join(TEXTS)}")
    return found


def _question(row: Mapping[str, Any], number: int, place: str) -> Question:
    text = next((row[name] for name in TEXTS if isinstance(row.get(name), str) and row[name].strip()), None)
    messages = row.get("messages")
    if text is None and not messages:
        raise ChainError(f"{place} has no question; allowed: text in one of {', '.join(TEXTS)}")
    name = str(row["id"]) if row.get("id") not in (None, "") else str(number - 1)
    record = Record(place, name, {**row, "prompt": text, "id": name})
    known = row.get("tests") or record.scalar("answer") is not None
    # A row is read as data is; a question without an answer gets one for the reading alone.
    problem = problem_of_row(record if known else Record(place, name, {**record.fields, "answer": "?"}))
    system = row.get("system")
    if not known:
        problem = Problem(problem.id, problem.prompt, problem.domain, problem.source, messages=problem.messages)
    return Question(problem, system if isinstance(system, str) else "")


def _places(total: int, count: int | None, config: Config) -> list[int]:
    import random

    if count is None or count >= total:
        return list(range(total))
    return random.Random(f"questions-{config.seed}").sample(range(total), count)

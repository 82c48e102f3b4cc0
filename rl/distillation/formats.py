"""Rows of other projects as chains, and chains as their rows. What is read and written in one format comes out as it
was, key by key.

    omnithought   question, reasoning[{full_response, thought, solution, teacher, thought_correctness_verify,
                  Reasoning_Verbosity{judge, level}, Cognitive_Difficulty{judge, level}}]; OmniThought and its -0528
    easydistill   instruction, output, and after scoring reasoning_verbosity, cognitive_difficulty, logical_correctness
    easydistill2  problem or instruction, response, system, id, and the same scores
    messages      messages (system, user, assistant) and metadata: rows for fine-tuning
    chains        our own: every field of `Chain`

A file is a JSON array or one object a line.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rl.distillation.chains import UNKNOWN, Chain, known_score, tagged
from rl.files.json_lines import json_lines
from rollout.errors import UserError

SCORES = {
    "verbosity": "reasoning_verbosity",
    "difficulty": "cognitive_difficulty",
    "correctness": "logical_correctness",
}
LEVELS = {"verbosity": "Reasoning_Verbosity", "difficulty": "Cognitive_Difficulty"}
Row = Mapping[str, Any]


class ChainError(UserError):
    """Rows that hold no chains; one line with the place."""


def read_chains(path: Path, name: str = "") -> list[Chain]:
    """The chains of a file; the format is found by its keys unless named. Raises `ChainError` with file and row."""
    chains: list[Chain] = []
    for number, row in enumerate(read_objects(path), 1):
        place = f"{path}: row {number}"
        kind = name or format_of(row, place)
        try:
            chains += READERS[kind](row, str(number - 1))
        except (KeyError, TypeError, AttributeError) as error:
            raise ChainError(f"{place} is no row of the format {kind!r}: {type(error).__name__} {error}") from error
    return chains


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON array or of JSON lines. Raises `ChainError`."""
    try:
        data = path.read_bytes()
        if not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            return [row for _, row in json_lines(path)]
        rows = json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise ChainError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise ChainError(f"{path} is neither a JSON array nor JSON lines: {error}") from error
    bad = next((i for i, row in enumerate(rows, 1) if not isinstance(row, dict)), None)
    if bad is not None:
        raise ChainError(f"{path}: row {bad} is no object")
    return rows


def format_of(row: Row, place: str) -> str:
    """The format that a row's keys belong to. Raises `ChainError`."""
    for name, keys in (
        ("omnithought", {"question", "reasoning"}),
        ("messages", {"messages"}),
        ("chains", {"problem", "name", "question", "response"}),
        ("easydistill", {"instruction", "output"}),
        ("easydistill2", {"problem", "response"}),
        ("easydistill2", {"instruction", "response"}),
    ):
        if keys <= set(row):
            return name
    raise ChainError(f"{place} has the keys {', '.join(sorted(map(str, row)))}; allowed: those of {', '.join(READERS)}")


def write_rows(chains: Sequence[Chain], name: str) -> list[dict[str, Any]]:
    """The chains as rows of a format. Raises `ChainError` for a format that is none."""
    if name not in WRITERS:
        raise ChainError(f"the format is {name!r}; allowed: {', '.join(WRITERS)}")
    return list(WRITERS[name](chains))


def _omnithought(row: Row, number: str) -> list[Chain]:
    problem, others = _id(row, number), {key: value for key, value in row.items() if key != "reasoning"}
    chains = []
    for index, one in enumerate(row["reasoning"]):
        levels = {ours: one.get(theirs) or {} for ours, theirs in LEVELS.items()}
        response = one.get("full_response") or tagged(str(one.get("thought", "")), str(one.get("solution", "")))
        verified = one.get("thought_correctness_verify")
        chains.append(
            Chain(
                problem,
                f"{problem}#{index}",
                row["question"],
                str(response),
                teacher=str(one.get("teacher") or ""),
                correctness=UNKNOWN if verified is None else int(bool(verified)),
                verbosity=known_score(levels["verbosity"].get("level")),
                difficulty=known_score(levels["difficulty"].get("level")),
                judges={ours: str(level["judge"]) for ours, level in levels.items() if level.get("judge")},
                rest={"omnithought": {"row": others, "chain": one}},
            )
        )
    return chains


def _from_omnithought(chains: Sequence[Chain]) -> Iterable[dict[str, Any]]:
    for _, members in groupby(chains, key=lambda chain: chain.problem):
        group = list(members)
        row = _kept(group[0], "omnithought").get("row") or {"question": group[0].question}
        yield {**row, "reasoning": [_reasoning(chain) for chain in group]}


def _reasoning(chain: Chain) -> dict[str, Any]:
    kept = _kept(chain, "omnithought").get("chain")
    made: dict[str, Any] = dict(kept) if kept else {"full_response": chain.response, "teacher": chain.teacher}
    if not kept:
        made |= {"thought": chain.thought, "solution": chain.solution}
    for ours, theirs in LEVELS.items():
        level = getattr(chain, ours)
        if level != known_score((made.get(theirs) or {}).get("level")):
            made[theirs] = {"judge": chain.judges.get(ours, ""), "level": level}
    if chain.correctness != UNKNOWN and bool(made.get("thought_correctness_verify")) != bool(chain.correctness):
        made["thought_correctness_verify"] = bool(chain.correctness)
    return made


def _flat(row: Row, number: str, question: str, response: str, kind: str) -> list[Chain]:
    problem = _id(row, number)
    correctness = row.get(SCORES["correctness"])
    return [
        Chain(
            problem,
            f"{problem}#0",
            str(row[question]),
            str(row[response]),
            system=str(row.get("system") or ""),
            correctness=correctness if correctness in (0, 1) and not isinstance(correctness, bool) else UNKNOWN,
            verbosity=known_score(row.get(SCORES["verbosity"])),
            difficulty=known_score(row.get(SCORES["difficulty"])),
            rest={kind: dict(row)},
        )
    ]


def _easydistill(row: Row, number: str) -> list[Chain]:
    return _flat(row, number, "instruction", "output", "easydistill")


def _easydistill2(row: Row, number: str) -> list[Chain]:
    return _flat(row, number, "problem" if "problem" in row else "instruction", "response", "easydistill2")


def _to_flat(chain: Chain, kind: str, question: str, response: str) -> dict[str, Any]:
    row = dict(_kept(chain, kind))
    if not row:
        row = {question: chain.question, response: chain.response}
        row |= {"system": chain.system} if chain.system and kind == "easydistill2" else {}
        row |= {"id": chain.problem} if kind == "easydistill2" else {}
    for ours, theirs in SCORES.items():
        value = getattr(chain, ours)
        read = row.get(theirs)
        same = (read if read in (0, 1) else UNKNOWN) if ours == "correctness" else known_score(read)
        if value != same:
            row[theirs] = value
    return row


def _messages(row: Row, number: str) -> list[Chain]:
    turns = {turn["role"]: str(turn["content"]) for turn in row["messages"]}
    problem = _id(row.get("metadata") or {}, number)
    teacher = str((row.get("metadata") or {}).get("model") or "")
    rest = {"messages": dict(row)}
    question, response = turns["user"], turns["assistant"]
    return [
        Chain(problem, f"{problem}#0", question, response, system=turns.get("system", ""), teacher=teacher, rest=rest)
    ]


def _to_messages(chain: Chain) -> dict[str, Any]:
    kept = dict(_kept(chain, "messages"))
    if kept:
        return kept
    turns = [{"role": "system", "content": chain.system}] if chain.system else []
    turns += [{"role": "user", "content": chain.question}, {"role": "assistant", "content": chain.response}]
    return {"messages": turns, "metadata": {"id": chain.problem, "model": chain.teacher}}


def _own(row: Row, number: str) -> list[Chain]:
    return [Chain(**row)]


def _kept(chain: Chain, kind: str) -> Mapping[str, Any]:
    return chain.rest.get(kind) or {}


def _id(row: Row, number: str) -> str:
    return str(row.get("id") or row.get("request_id") or number)


READERS = {
    "omnithought": _omnithought,
    "easydistill": _easydistill,
    "easydistill2": _easydistill2,
    "messages": _messages,
    "chains": _own,
}
WRITERS = {
    "omnithought": _from_omnithought,
    "easydistill": lambda chains: [_to_flat(c, "easydistill", "instruction", "output") for c in chains],
    "easydistill2": lambda chains: [_to_flat(c, "easydistill2", "problem", "response") for c in chains],
    "messages": lambda chains: [_to_messages(c) for c in chains],
    "chains": lambda chains: [dataclasses.asdict(c) for c in chains],
}

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
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rl.data.records import not_json
from rl.distillation.chains import UNKNOWN, Chain, known_correctness, known_score, tagged
from rl.files.json_lines import Repeated, json_lines, object_once
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
    """The chains of a file; the format is found by its keys unless named. Names that come twice get a number. Raises
    `ChainError` with file and row."""
    return chains_of(read_objects(path), str(path), name)


def chains_of(rows: Sequence[Row], where: str, name: str = "") -> list[Chain]:
    """The chains of rows; see `read_chains`."""
    if name and name not in READERS:
        raise ChainError(f"the format is {name!r}; allowed: {', '.join(READERS)}")
    chains: list[Chain] = []
    seen: Counter[str] = Counter()
    for number, row in enumerate(rows, 1):
        place = f"{where}: row {number}"
        if trouble := not_json(row):
            raise ChainError(f"{place}: {trouble}; allowed: what a JSON file in UTF-8 can hold")
        kind = name or format_of(row, place)
        try:
            found = READERS[kind](row, str(number - 1))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ChainError(f"{place} is no row of the format {kind!r}: {reason}") from error
        for chain in found:
            seen[chain.name] += 1
            again = seen[chain.name] > 1
            chains.append(dataclasses.replace(chain, name=f"{chain.name}+{seen[chain.name]}") if again else chain)
    return chains


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON array or of JSON lines. Raises `ChainError`."""
    try:
        data = path.read_bytes()
        if not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            return [row for _, row in json_lines(path)]
        rows = json.loads(data.decode("utf-8-sig"), object_pairs_hook=object_once)
    except UserError as error:
        raise ChainError(str(error)) from error
    except OSError as error:
        raise ChainError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ChainError(f"{path} is not UTF-8 (byte {error.start}); allowed: JSON in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ChainError(f"{path} is neither a JSON array nor JSON lines: {error}") from error
    for number, row in enumerate(rows, 1):
        if isinstance(row, Repeated):
            raise ChainError(f"{path}: row {number} {row.told}")
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
    if not isinstance(row["reasoning"], list) or not row["reasoning"]:
        raise ValueError("its 'reasoning' is no list of chains")
    for index, one in enumerate(row["reasoning"]):
        levels = {ours: one.get(theirs) or {} for ours, theirs in LEVELS.items()}
        response = one.get("full_response") or tagged(str(one.get("thought", "")), str(one.get("solution", "")))
        chains.append(
            Chain(
                problem,
                f"{problem}#{index}",
                _text(row["question"]),
                _text(response),
                teacher=str(one.get("teacher") or ""),
                correctness=known_correctness(one.get("thought_correctness_verify")),
                verbosity=known_score(levels["verbosity"].get("level")),
                difficulty=known_score(levels["difficulty"].get("level")),
                judges={ours: str(level["judge"]) for ours, level in levels.items() if level.get("judge")},
                rest={"omnithought": {"row": others, "chain": one}},
            )
        )
    return chains


def _from_omnithought(chains: Sequence[Chain]) -> Iterable[dict[str, Any]]:
    for _, members in groupby(chains, key=_one_row):
        group = list(members)
        row = _kept(group[0], "omnithought").get("row") or {"question": group[0].question}
        yield {**row, "reasoning": [_reasoning(chain) for chain in group]}


def _one_row(chain: Chain) -> tuple[str, str, Any]:
    """What the chains of one row have in common."""
    return chain.problem, chain.question, _kept(chain, "omnithought").get("row")


def _reasoning(chain: Chain) -> dict[str, Any]:
    kept = _kept(chain, "omnithought").get("chain")
    made: dict[str, Any] = dict(kept) if kept else {"full_response": chain.response, "teacher": chain.teacher}
    if not kept:
        made |= {"thought": chain.thought, "solution": chain.solution}
    for ours, theirs in LEVELS.items():
        level = getattr(chain, ours)
        if level != known_score((made.get(theirs) or {}).get("level")):
            made[theirs] = {"judge": chain.judges.get(ours, ""), "level": level}
    if chain.correctness != known_correctness(made.get("thought_correctness_verify")) and chain.correctness != UNKNOWN:
        made["thought_correctness_verify"] = bool(chain.correctness)
    return made


def _flat(row: Row, number: str, question: str, response: str, kind: str) -> list[Chain]:
    problem = _id(row, number)
    return [
        Chain(
            problem,
            f"{problem}#0",
            _text(row[question]),
            _text(row[response]),
            system=str(row.get("system") or ""),
            correctness=known_correctness(row.get(SCORES["correctness"])),
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
        same = known_correctness(read) if ours == "correctness" else known_score(read)
        if value != same:
            row[theirs] = value
    return row


def _messages(row: Row, number: str) -> list[Chain]:
    roles = [turn["role"] for turn in row["messages"]]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"its turns are {', '.join(map(str, roles)) or 'none'}; allowed: system, user, assistant")
    turns = {turn["role"]: _text(turn["content"]) for turn in row["messages"]}
    metadata = row.get("metadata") or {}
    problem, teacher = _id(metadata, number), str(metadata.get("model") or "")
    return [
        Chain(
            problem,
            f"{problem}#0",
            turns["user"],
            turns["assistant"],
            system=turns.get("system", ""),
            teacher=teacher,
            rest={"messages": dict(row)},
        )
    ]


def _to_messages(chain: Chain) -> dict[str, Any]:
    kept = dict(_kept(chain, "messages"))
    if kept:
        return kept
    turns = [{"role": "system", "content": chain.system}] if chain.system else []
    turns += [{"role": "user", "content": chain.question}, {"role": "assistant", "content": chain.response}]
    return {"messages": turns, "metadata": {"id": chain.problem, "model": chain.teacher}}


def _own(row: Row, number: str) -> list[Chain]:
    chain = Chain(**{key: value for key, value in row.items() if key != "id"})
    for name in ("problem", "name", "question", "response", "system", "teacher"):
        _text(getattr(chain, name))
    levels = [known_score(value) for value in (chain.verbosity, chain.difficulty)]
    if levels != [chain.verbosity, chain.difficulty] or known_correctness(chain.correctness) != chain.correctness:
        raise ValueError("a score is none; allowed: 0 to 9, correctness 0 or 1, and -1")
    if not isinstance(chain.judges, dict) or not isinstance(chain.rest, dict):
        raise ValueError("judges or rest is no object")
    return [chain]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is no text")
    return value


def _kept(chain: Chain, kind: str) -> Mapping[str, Any]:
    return chain.rest.get(kind) or {}


def _id(row: Row, number: str) -> str:
    found = (row.get(name) for name in ("id", "request_id"))
    return next((str(value) for value in found if value not in (None, "")), number)


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

"""GSM8K (arXiv 2110.14168), MATH (arXiv 2103.03874, also as MATH-500), DeepScaleR, DeepMath, AIME and the set of
Open-Reasoner-Zero.

A worked solution is kept as `metadata["solution"]`: the cold start's thinking text.
"""

from __future__ import annotations

import re
from typing import Any

from rl.data.answers import last_boxed, thinking_of
from rl.data.records import DataError, Record
from rollout.types import Problem

_CALCULATOR = re.compile(r"<<.*?>>", re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,15})?")
_LEVEL = re.compile(r"(?:Level\s*)?(\d+)")


def gsm8k(record: Record) -> Problem:
    """`question`, and `answer` with the gold number after `####` and calculator marks `<<…>>` in the solution."""
    question, answer = record.text("question"), str(record.field("answer"))
    if "####" not in answer:
        raise DataError(f"{record.place}: the field 'answer' has no '####' before its gold number")
    solution, _, gold = answer.rpartition("####")
    return Problem(
        id=f"gsm8k-{record.name}",
        prompt=question,
        domain="math",
        source="gsm8k",
        answer=gold.strip().replace(",", ""),
        metadata={"solution": _CALCULATOR.sub("", solution).strip()},
    )


def math(record: Record) -> Problem:
    """`problem`, `solution`, `level` ("Level 3" or 3), `type` or `subject`. The gold is in a verified column `answer`
    where there is one (MATH-500), else in the last `\\boxed` of the solution."""
    return _of_columns(record, "math", ("problem",))


def deepscaler(record: Record) -> Problem:
    """DeepScaleR: `problem`, `answer`, `solution` (often empty)."""
    return _of_columns(record, "deepscaler", ("problem",))


def aime(record: Record) -> Problem:
    """AIME as several people publish it: `problem`, `Problem`, `question` or `Question`, `answer` or `Answer`, and
    `solution` or `Solution` where there is one."""
    return _of_columns(record, "aime", ("problem", "Problem", "question", "Question"))


def deepmath(record: Record) -> Problem:
    """DeepMath-103K (arXiv 2504.11456): `question`, `final_answer`, `difficulty`, `topic` and three solutions of
    DeepSeek-R1, of which the shortest is kept."""
    gold = record.scalar("final_answer")
    if gold is None:
        raise record.error("no 'final_answer'")
    solutions = [text for k in (1, 2, 3) if (text := record.scalar(f"r1_solution_{k}"))]
    thoughts = {"solution": thinking_of(min(solutions, key=len))} if solutions else {}
    topic = record.scalar("topic")
    return Problem(
        id=f"deepmath-{record.name}",
        prompt=record.text("question"),
        domain="math",
        source="deepmath",
        answer=last_boxed(gold) or gold,
        difficulty=record.scalar("difficulty"),
        metadata=thoughts | ({"topic": topic} if topic else {}),
    )


def orz(record: Record) -> Problem:
    """Open-Reasoner-Zero (arXiv 2503.24290): a list of two turns, `{from: human, value}` and `{from: assistant,
    ground_truth: {value}}`, bare or as the columns "0" and "1"."""
    turns = record.objects("conversations") or [one for key in ("0", "1") if (one := record.mapping(key))]
    if len(turns) != 2:
        raise record.error(f"holds {len(turns)} turns; allowed: a question and its ground truth")
    asked, answered = (Record(record.place, record.name, turn) for turn in turns)
    gold = Record(record.place, record.name, answered.mapping("ground_truth")).scalar("value")
    if gold is None:
        raise record.error("the second turn has no 'ground_truth.value'")
    prompt = asked.text("value")
    return Problem(id=f"orz-{record.name}", prompt=prompt, domain="math", source="orz", answer=last_boxed(gold) or gold)


def _of_columns(record: Record, source: str, asked: tuple[str, ...]) -> Problem:
    """A question, a solution and an answer, of which either may be missing."""
    prompt, solution = record.text(*asked), record.scalar("solution", "Solution") or ""
    gold = record.scalar("answer", "Answer")
    gold = (last_boxed(gold) or gold) if gold else last_boxed(solution)
    if not gold:
        what = "the field 'solution' has no \\boxed answer" if solution else "neither 'answer' nor 'solution'"
        raise record.error(f"{what}; it has {', '.join(record.fields)}" if not solution else what)
    metadata = {"solution": solution.strip()} if solution and _concludes(solution, gold) else {}
    if solution and not metadata:
        record.notes.append("a solution ends in another answer than the verified one and is left out")
    kind = record.scalar("type", "subject")
    name = record.scalar("unique_id", "id", "ID") if source != "math" else record.scalar("unique_id")
    return Problem(
        id=f"{source}-{name or record.name}",
        prompt=prompt,
        domain="math",
        source=source,
        answer=gold,
        difficulty=_level(record.fields.get("level")),
        metadata=metadata | ({"type": kind} if kind else {}),
    )


def _concludes(solution: str, gold: str) -> bool:
    """Whether a solution ends in the gold answer, as far as a glance shows: two numbers that differ do not."""
    boxed = last_boxed(solution)
    numbers = [text.replace(",", "").strip("$ ") for text in (boxed, gold)]
    return not all(_NUMBER.fullmatch(text) for text in numbers) or float(numbers[0]) == float(numbers[1])


def _level(value: Any) -> str | None:
    """ "3" for "Level 3" or 3; None for "Level ?"."""
    found = _LEVEL.fullmatch(str(value))
    return found[1] if found else None

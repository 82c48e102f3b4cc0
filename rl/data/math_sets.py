"""GSM8K (arXiv 2110.14168) and MATH (Hendrycks et al., arXiv 2103.03874, also as MATH-500).

Both carry a worked solution, kept as `metadata["solution"]`: the cold start's thinking text.
"""

from __future__ import annotations

import re
from typing import Any

from rl.data.records import DataError, Record
from rollout.types import Problem

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{|[^\s{])")
_CALCULATOR = re.compile(r"<<.*?>>", re.DOTALL)
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
    """`problem`, `solution` (gold in its last `\\boxed`, else in `answer`), `level` ("Level 3" or 3), `type` or
    `subject`."""
    prompt, solution = record.text("problem"), record.text("solution")
    gold = last_boxed(solution) or str(record.fields.get("answer") or "")
    if not gold:
        raise DataError(f"{record.place}: the field 'solution' has no \\boxed answer")
    kind = record.fields.get("type") or record.fields.get("subject")
    metadata: dict[str, Any] = {"solution": solution.strip()}
    return Problem(
        id=f"math-{record.fields.get('unique_id') or record.name}",
        prompt=prompt,
        domain="math",
        source="math",
        answer=gold,
        difficulty=_level(record.fields.get("level")),
        metadata=metadata | ({"type": str(kind)} if kind else {}),
    )


def _level(value: Any) -> str | None:
    """ "3" for "Level 3" or 3; None for "Level ?"."""
    found = _LEVEL.fullmatch(str(value))
    return found[1] if found else None


def last_boxed(text: str) -> str:
    """What stands in the last `\\boxed{…}` (or `\\boxed 7`) whose braces close; empty without one.

    >>> last_boxed(r"so \\boxed{1}, no: \\boxed{\\frac{1}{2}}")
    '\\\\frac{1}{2}'
    """
    for match in reversed(list(_BOX.finditer(text))):
        if match[1] != "{":
            return match[1]
        depth = 1
        for end in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                return text[match.end() : end].strip()
    return ""

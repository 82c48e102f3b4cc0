"""HumanEval (arXiv 2107.03374) and MBPP (arXiv 2108.07732): programs judged by the data set's own assertions.

The prompts ask for a whole program in a Python block, which is what the `code` reward runs; the reference program is
kept as `metadata["solution"]`. Of MBPP's assertions the prompt shows the first, which fixes name and signature; the
others stay hidden.
"""

from __future__ import annotations

from typing import Any

from rl.data.records import DataError, Record
from rollout.types import Problem

COMPLETE = (
    "Complete this Python function. Answer with the whole function in one Python code block.\n\n```python\n{}\n```"
)
WRITE = "{} Answer with one Python code block.\nYour code should pass this test:\n\n{}"


def humaneval(record: Record) -> Problem:
    """`task_id`, `prompt` (header and docstring), `canonical_solution` (the body), `test` (defines `check`) and
    `entry_point`."""
    prompt, entry = record.text("prompt"), record.text("entry_point")
    test = record.text("test")
    if "def check(" not in test:
        raise DataError(f"{record.place}: the field 'test' defines no check(candidate)")
    return Problem(
        id=record.text("task_id"),
        prompt=COMPLETE.format(prompt.strip("\n")),
        domain="code",
        source="humaneval",
        tests=({"assert": f"{test.rstrip()}\n\ncheck({entry})"},),
        metadata={"solution": prompt + record.text("canonical_solution"), "entry_point": entry},
    )


def mbpp(record: Record) -> Problem:
    """`task_id`, `text` (`prompt` in the sanitized set), `code`, `test_list`, and `test_setup_code` or
    `test_imports`."""
    task = record.text("text" if "text" in record.fields else "prompt")
    asserts = record.field("test_list")
    if not isinstance(asserts, list) or not asserts or any(not isinstance(one, str) for one in asserts):
        raise DataError(f"{record.place}: 'test_list' is {asserts!r:.80}; allowed: a list of assertions")
    setup = _setup(record)
    return Problem(
        id=f"mbpp-{record.field('task_id')}",
        prompt=WRITE.format(task.strip(), asserts[0].strip()),
        domain="code",
        source="mbpp",
        tests=tuple({"assert": setup + one} for one in asserts),
        metadata={"solution": record.text("code").replace("\r\n", "\n")},
    )


def _setup(record: Record) -> str:
    lines: Any = record.fields.get("test_imports") or record.fields.get("test_setup_code") or ""
    text = "\n".join(lines) if isinstance(lines, list) else str(lines)
    return text.replace("\r\n", "\n").strip() + "\n" if text.strip() else ""

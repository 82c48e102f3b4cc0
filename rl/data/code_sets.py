"""HumanEval (arXiv 2107.03374), MBPP (arXiv 2108.07732), APPS (arXiv 2105.09938), TACO (arXiv 2312.14852) and
LiveCodeBench (arXiv 2403.07974): programs judged by the data set's own tests.

The prompts ask for a whole program in a Python block, which is what the `code` reward runs; the reference program is
kept as `metadata["solution"]`. Of MBPP's assertions the prompt shows the first, which fixes name and signature; the
others stay hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl.data.code_io import input_output, livecodebench_tests
from rl.data.records import DataError, Record
from rollout.types import Problem

COMPLETE = (
    "Complete this Python function. Answer with the whole function in one Python code block.\n\n```python\n{}\n```"
)
WRITE = "{} Answer with one Python code block.\nYour code should pass this test:\n\n{}"

PROGRAM = (
    "{}\n\nWrite a Python program that reads the input from standard input and prints the output. Answer with one "
    "Python code block."
)
FUNCTION = "{}\n\nUse this header. Answer with one Python code block.\n\n```python\n{}\n```"


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


def apps(record: Record) -> Problem:
    """`question`, `input_output` (JSON text of `inputs`, `outputs` and perhaps `fn_name`), `starter_code`, `solutions`
    (JSON text of a list), `difficulty`, `problem_id`."""
    return _of_inputs(record, "apps", record.scalar("problem_id"))


def taco(record: Record) -> Problem:
    """APPS's columns and more; `difficulty` is EASY to VERY_HARD."""
    return _of_inputs(record, "taco", record.scalar("id"))


def _of_inputs(record: Record, source: str, name: str | None) -> Problem:
    question, starter = record.text("question"), record.scalar("starter_code") or ""
    programs = [one for one in record.parsed("solutions") or () if isinstance(one, str) and one.strip()]
    is_method = "class Solution" in (starter or (programs[0] if programs else ""))
    tests = input_output(record, record.field("input_output"), is_method)
    solution = {"solution": programs[0].replace("\r\n", "\n")} if programs else {}
    return Problem(
        id=f"{source}-{name or record.name}",
        prompt=_with_header(question, starter, tests),
        domain="code",
        source=source,
        tests=tests,
        difficulty=record.scalar("difficulty"),
        metadata=solution,
    )


def livecodebench(record: Record) -> Problem:
    """`question_content`, `starter_code`, `public_test_cases`, `private_test_cases` (packed), `metadata.func_name`,
    `difficulty`, `question_id`, `contest_date`."""
    function = record.mapping("metadata").get("func_name")
    names = ("public_test_cases", "private_test_cases")
    tests = tuple(test for name in names for test in livecodebench_tests(record, name, function))
    question, starter = record.text("question_content"), record.scalar("starter_code") or ""
    dates = {key: str(record.fields[key]) for key in ("platform", "contest_date") if record.fields.get(key)}
    return Problem(
        id=f"livecodebench-{record.scalar('question_id') or record.name}",
        prompt=_with_header(question, starter, tests),
        domain="code",
        source="livecodebench",
        tests=tests,
        difficulty=record.scalar("difficulty"),
        metadata=dates,
    )


def _with_header(question: str, starter: str, tests: Sequence[Mapping[str, Any]]) -> str:
    """The question with how to answer it: a program, or the function that the tests call."""
    if starter.strip():
        return FUNCTION.format(question.strip(), starter.rstrip())
    called = next((test["call"] for test in tests if "call" in test), None)
    if called is None:
        return PROGRAM.format(question.strip())
    kind, _, method = called.rpartition(".")
    named = f"the class {kind} with the method {method}" if kind else f"the function {method}"
    return f"{question.strip()}\n\nDefine {named}. Answer with one Python code block."

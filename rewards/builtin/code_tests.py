"""The reward `code`: the share of a problem's tests that the program in the answer passes.

The program is the last fenced Python block of the answer, else the last fenced block without a language, else the whole
answer; what it lacks of the prompt's code is put before it (`rewards.builtin.code_prompt`). It runs in
`rewards.sandbox`, which judges it from outside. An answer without a program, a program that is broken and one that
hangs are worth 0.0; a problem without tests is a `ValueError`; broken machinery raises.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Gt

from rewards.builtin.code_prompt import complete, with_helpers
from rewards.parameters import AboveZero
from rewards.plugin import RewardError, judges_with, parallel
from rewards.sandbox import Limits, SandboxError, SandboxUnavailable, run_tests
from rewards.sandbox.forms import validate
from rollout.types import Problem, Rollout

_LANGUAGE = re.compile(r"[ \t]*(\w*)")
_PYTHON = ("python", "python3", "py")


def extract_program(text: str) -> str:
    """The program in an answer; "" if there is none. A block that was cut off counts as far as it goes."""
    blocks = _blocks(text)
    for languages in (_PYTHON, ("",)):
        programs = [body for language, body in blocks if language.lower() in languages]
        if programs:
            return programs[-1].strip("\n")
    return text.strip("\n") if text.strip() else ""


def check_problem(problem: Problem) -> None:
    """Raises `RewardError` for a problem without tests, or with one that is of no form of the sandbox."""
    if not problem.tests:
        raise RewardError(f"problem {problem.id!r} has no tests: the code reward needs at least one")
    try:
        validate(problem.tests)
    except ValueError as error:
        raise RewardError(f"problem {problem.id!r}: {error}") from error


def _blocks(text: str) -> list[tuple[str, str]]:
    """Language and body of every fenced block, line by line: a pattern over the whole text would start again at each
    fence that is never closed."""
    blocks: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.split("\n"):
        fence = line.lstrip(" \t")
        if inside and fence.startswith("```"):
            inside = False
        elif inside:
            blocks[-1][1].append(line)
        elif fence.startswith("```") and "`" not in fence[3:]:
            found = _LANGUAGE.match(fence, 3)
            blocks.append((found[1] if found else "", []))
            inside = True
    if inside and not blocks[-1][1]:  # a fence at the very end opens nothing
        blocks.pop()
    return [(language, "\n".join(body)) for language, body in blocks]


@judges_with(check_problem)
@parallel
def code_tests(
    rollout: Rollout,
    *,
    cpu_s: AboveZero = Limits.cpu_s,
    wall_s: AboveZero = Limits.wall_s,
    memory_mb: Annotated[int, Gt(0)] = Limits.memory_mb,
    output_kb: Annotated[int, Gt(0)] = Limits.output_kb,
    reuse: bool = False,
) -> float:
    """The fraction of `rollout.problem.tests` passed, within these limits for all tests together. With `reuse` a
    program that was run on the same tests before is not run again: for programs whose results do not change."""
    problem = rollout.problem
    if not problem.tests:
        raise ValueError(f"problem {problem.id!r} has no tests: the code reward needs at least one")
    program = extract_program(rollout.answer_text)
    if not program:
        return 0.0
    program = complete(program, problem.prompt)
    tests = [with_helpers(test, problem.prompt) for test in problem.tests]
    limits = Limits(cpu_s=cpu_s, wall_s=wall_s, memory_mb=memory_mb, output_kb=output_kb)
    try:
        passed = _known(program, json.dumps(tests), limits) if reuse else _passed(program, tests, limits)
    except ValueError as error:
        raise ValueError(f"problem {problem.id!r}: {error}") from error
    return sum(passed) / len(passed)


@functools.lru_cache(maxsize=1 << 16)
def _known(program: str, tests: str, limits: Limits) -> list[bool]:
    return _passed(program, json.loads(tests), limits)


def _passed(program: str, tests: Sequence[Mapping[str, Any]], limits: Limits) -> list[bool]:
    """A worker that something outside has ended, such as a machine short of memory, is replaced, and the program begins
    anew; a second time it is an error."""
    try:
        return run_tests(program, tests, limits).passed
    except SandboxUnavailable:
        raise
    except SandboxError:
        return run_tests(program, tests, limits).passed

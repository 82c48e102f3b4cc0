"""The worker side of the reward `reasoning_gym`: the package's scorer on one answer, in a process of its own.

Some of the package's scorers evaluate the answer as code, which could print its own verdict. Two walls: here `eval` in
those scorers reads literals only, and sympy's `parse_expr` takes arithmetic only; and before its first answer the
process gives up writing files, starting programs and the network (Landlock and seccomp, Linux on x86_64 and aarch64).
"""

from __future__ import annotations

import ast
import functools
import importlib
import json
import re
from collections.abc import Callable
from typing import Any

import sympy
from reasoning_gym.factory import create_dataset
from sympy.parsing import sympy_parser

from rewards.workers.confined import confine

_EVALUATE_ANSWERS = (
    "algorithmic.string_insertion",
    "algorithmic.spiral_matrix",
    "algorithmic.binary_matrix",
    "games.n_queens",
)
_PARSE_ANSWERS = ("games.puzzle24", "games.countdown")
_ARITHMETIC = re.compile(r"[\w\s+\-*/^().,]*")
_ATTRIBUTE = re.compile(r"\.\s*[^\W\d]|__")
_NAMES = re.compile(r"[^\W\d]\w*")
_KNOWN = re.compile(r"\w|a?(?:sin|cos|tan)h?|cot|sec|csc|exp|log|ln|sqrt|Abs|pi")
_real_parse_expr = sympy_parser.parse_expr


def handle(job: dict[str, Any]) -> dict[str, Any]:
    """`{"answer", "task", "settings", "entry"}` to `{"score"}`, or to `{"error"}` if it is not the answer's fault."""
    try:
        score = _scorer(job["task"], json.dumps(job["settings"], sort_keys=True))
        confine()
    except (OSError, TypeError, ValueError, AssertionError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    try:
        return {"score": float(score(job["answer"], job["entry"]))}
    except Exception:
        # A scorer that chokes on what a model wrote: the answer is wrong.
        return {"score": 0.0}


def _parse_arithmetic(text: str, *arguments: Any, **options: Any) -> Any:
    """sympy's `parse_expr` for text that can only be arithmetic: numbers, operators, variables of one letter, and the
    elementary functions. Raises `ValueError` on anything else."""
    known = all(_KNOWN.fullmatch(name) for name in _NAMES.findall(text))
    if not known or not _ARITHMETIC.fullmatch(text) or _ATTRIBUTE.search(text):
        raise ValueError("not arithmetic")
    return _real_parse_expr(text, *arguments, **options)


def _disarm() -> None:
    for name in _EVALUATE_ANSWERS:
        vars(importlib.import_module(f"reasoning_gym.{name}"))["eval"] = ast.literal_eval
    for name in _PARSE_ANSWERS:
        vars(importlib.import_module(f"reasoning_gym.{name}"))["parse_expr"] = _parse_arithmetic
    sympy.parse_expr = _parse_arithmetic


_disarm()


@functools.cache
def _scorer(task: str, settings: str) -> Callable[[str, dict[str, Any]], float]:
    return create_dataset(task, **json.loads(settings)).score_answer

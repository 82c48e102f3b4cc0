"""What a coding problem's prompt already holds in Python: imports, helpers, and the header that the answer completes.

HumanEval's prompts define helpers that the tests call (32, 38, 50), import names that the header needs, and end in a
function without a body. `complete` puts that code before a program that lacks it, and the program wins where both
define a name; `with_helpers` puts the helpers into the test's own text, where no program can replace them. Only the
prompt is parsed here; the program, which nobody trusts, is only looked at as text. Not covered: other languages.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_FENCE = re.compile(r"^```[ \t]*(?:python3?|py)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_FUTURE = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)
_DEFINITION = re.compile(r"^(?:async def|def|class) ", re.MULTILINE)
_STATEMENT = re.compile(r"^(?:return|yield|raise|if|for|while|try|with|match)\b", re.MULTILINE)
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


@dataclass(frozen=True)
class PromptCode:
    """The Python code of a prompt: all of it as `header`, which ends in the function `target` without a body, and
    `helpers`, what it defines completely; `names` are those that the helpers define."""

    header: str
    target: str
    helpers: str
    names: frozenset[str]


def complete(program: str, prompt: str) -> str:
    """The program with what it takes from the prompt before it; the program itself where the prompt has no code."""
    code = prompt_code(prompt)
    if code is None:
        return program
    lines = textwrap.dedent(program.strip("\n"))
    if not _defines(lines, code.target) and (_STATEMENT.search(lines) or not _DEFINITION.search(lines)):
        return f"{code.header}\n{_as_body(program)}\n"
    if not code.helpers:
        return lines
    future = "".join(_FUTURE.findall(lines[:2000]))
    return f"{future}{code.helpers}\n\n\n{_FUTURE.sub('', lines, count=20) if future else lines}"


def with_helpers(test: Mapping[str, Any], prompt: str) -> Mapping[str, Any]:
    """An `assert` test whose text calls helpers of the prompt, with their definitions in it, and one that defines
    `check(candidate)` without calling it, with the call on the prompt's function; any other as it is."""
    code = prompt_code(prompt) if isinstance(test, Mapping) and "assert" in test else None
    text = str(test["assert"]) if code else ""
    if code and len(re.findall(r"\bcheck\b", text)) == 1 and re.search(r"^def check\(", text, re.MULTILINE):
        test = {**test, "assert": f"{text.rstrip()}\n\n\ncheck({code.target})\n"}
    if code is None or not any(re.search(rf"\b{name}\b", text) for name in code.names):
        return test
    return {**test, "assert": f"{code.helpers}\n\n\n{test['assert']}"}


@lru_cache(maxsize=4096)
def prompt_code(prompt: str) -> PromptCode | None:
    """The code of a prompt that ends in an unfinished function, alone or in a fenced block; None if it has none."""
    for text in [*_FENCE.findall(prompt), prompt]:
        tree = _parse(text) if "def " in text else None
        functions = [node for node in tree.body if isinstance(node, _FUNCTIONS)] if tree else []
        if tree is None or not functions or not _is_stub(functions[-1]):
            continue
        kept = [n for n in tree.body if isinstance(n, _KEPT) and not (isinstance(n, _FUNCTIONS) and _is_stub(n))]
        helpers = "\n".join(_source(text, node) for node in kept)
        names = {n.name for n in kept if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        return PromptCode(text.rstrip(), functions[-1].name, helpers, frozenset(names))
    return None


def _defines(program: str, name: str) -> bool:
    """Whether a line of the program defines, assigns or imports the name; linear, whatever the program looks like."""
    line = rf"^(?:(?:async )?def {name}\b|{name}\b[^\n]*=|(?:from \S+ )?import [^\n]*\b{name}\b)"
    return re.search(line, program, re.MULTILINE) is not None


def _as_body(program: str) -> str:
    """The program as an indented body; its first line may have lost its indentation on the way."""
    first, _, rest = program.strip("\n").partition("\n")
    if first[:1] not in (" ", "\t") and textwrap.dedent(rest) != rest:
        return f"    {first}\n{rest}"
    return textwrap.indent(textwrap.dedent(f"{first}\n{rest}"), "    ")


def _parse(text: str) -> ast.Module | None:
    """The tree of a text that may lack the last function's body."""
    for candidate in (text, text.rstrip() + "\n    pass\n"):
        try:
            return ast.parse(candidate)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function has nothing but imports, a docstring, `pass` or `...`."""
    return all(
        isinstance(node, ast.Pass | ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )


def _source(text: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])

"""Reads an `assert` test that only calls a function of the program on literals, so that the judge can do it itself.

Most tests of MBPP and HumanEval are of this kind: `assert f(2) == 3`, or `def check(candidate): …` with such lines and
`check(f)`. They need no second interpreter: each call becomes a request for data, and the judge compares the answers as
Python's `==`, `!=`, `is` and truth would. `plain_checks` is None for any other text, which then runs as it is in
`checker.py`. Not covered: stopping at the first assertion that fails; later calls of the same text are made as well.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from rewards.sandbox import compare, wire

_BUILTINS = frozenset(vars(builtins))
_SINGLETONS = (None, True, False)


class _NotPlainError(Exception):
    pass


@dataclass(frozen=True)
class Check:
    """A request to the program, what its raw answer must fulfil, and the source of the assertion."""

    request: list[Any]
    holds: Callable[[Any], bool]
    source: str


@lru_cache(maxsize=1024)
def plain_checks(text: str) -> tuple[Check, ...] | None:
    """The checks of a test's text in their order; None if it does anything else."""
    try:
        return tuple(_of_module(ast.parse(text).body))
    except (_NotPlainError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _of_module(body: list[ast.stmt]) -> Iterable[Check]:
    """The checks of a module; a function `check` counts where it is called."""
    functions: dict[str, ast.FunctionDef] = {}
    called: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            functions[statement.name] = statement
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _of_check(statement.value, functions)
            called.add(ast.unparse(statement.value.func))
        else:
            yield from _of_statement(statement, {}, functions.keys())
    if functions.keys() - called:  # left to whoever runs tests
        raise _NotPlainError


def _of_check(call: ast.Call, functions: dict[str, ast.FunctionDef]) -> Iterable[Check]:
    """`check(f)` with `def check(candidate): …` before it."""
    function = functions.get(call.func.id) if isinstance(call.func, ast.Name) else None
    candidates = [a.id for a in call.args if isinstance(a, ast.Name)]
    if function is None or len(candidates) != 1 or len(call.args) != 1 or call.keywords or function.decorator_list:
        raise _NotPlainError
    parameters = function.args
    if (
        len(parameters.args) != 1
        or parameters.vararg
        or parameters.kwonlyargs
        or parameters.kwarg
        or parameters.posonlyargs
    ):
        raise _NotPlainError
    for statement in function.body:
        yield from _of_statement(statement, {parameters.args[0].arg: candidates[0]}, functions.keys())


def _of_statement(statement: ast.stmt, names: dict[str, str], taken: Iterable[str]) -> Iterable[Check]:
    """The checks of an assertion; nothing for what has no effect on one: docstrings, constants, standard imports."""
    if isinstance(statement, ast.Assert):
        yield from _of_condition(statement.test, names, taken)
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        modules = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else [statement.module]
        if not all(str(module).split(".")[0] in sys.stdlib_module_names for module in modules):
            raise _NotPlainError
        if isinstance(statement, ast.ImportFrom):
            raise _NotPlainError  # it may bind the name under test
    elif isinstance(statement, ast.Assign):
        ast.literal_eval(statement.value)
        if not all(isinstance(t, ast.Name) and t.id.isupper() for t in statement.targets):
            raise _NotPlainError
    elif not isinstance(statement, ast.Pass) and not _is_constant(statement):
        raise _NotPlainError


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _of_condition(node: ast.expr, names: dict[str, str], taken: Iterable[str]) -> Iterable[Check]:
    source = ast.unparse(node)
    if isinstance(node, ast.Constant) and node.value is True:
        return
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for part in node.values:
            yield from _of_condition(part, names, taken)
    elif isinstance(node, ast.Call):
        yield Check(_request(node, names, taken), compare.truth, source)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield Check(_request(node.operand, names, taken), _negated(compare.truth), source)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield _comparison(node, names, taken, source)
    else:
        raise _NotPlainError


def _comparison(node: ast.Compare, names: dict[str, str], taken: Iterable[str], source: str) -> Check:
    called, other = node.left, node.comparators[0]
    if not isinstance(called, ast.Call):
        called, other = other, called
    expected, operator = ast.literal_eval(other), type(node.ops[0])
    holds: Callable[[Any], bool] = compare.equal_to(expected)
    if operator in (ast.Is, ast.IsNot):
        if not any(expected is value for value in _SINGLETONS):
            raise _NotPlainError
        holds = partial(compare.same, expected)
    elif operator not in (ast.Eq, ast.NotEq):
        raise _NotPlainError
    positive = operator in (ast.Eq, ast.Is)
    return Check(_request(called, names, taken), holds if positive else _negated(holds), source)


def _negated(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda raw: not holds(raw)


def _request(call: ast.expr, names: dict[str, str], taken: Iterable[str]) -> list[Any]:
    """The frame that asks for the value of a call on literals."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _NotPlainError
    name = names.get(call.func.id, call.func.id)
    if name in _BUILTINS or name in taken or any(keyword.arg is None for keyword in call.keywords):
        raise _NotPlainError
    args = [ast.literal_eval(argument) for argument in call.args]
    kwargs = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    return ["call", name, wire.encode(args), wire.encode(kwargs)]

"""What an `assert` test defines and leaves to a test runner to call: it is called here.

Functions and classes whose name begins with `test` or `Test`, unittest's cases, and `check(candidate)`, which gets the
function under test; not those that the text itself mentions elsewhere, since then it runs them. `holds_assertion` says
of a text, without running it, whether any assertion in it can be reached; a text without one would pass every program.
Not covered: pytest's fixtures and parameters.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import FunctionType
from typing import Any

NO_ASSERTION = "no assertion of this test can run"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ENDS = (ast.Return, ast.Break, ast.Continue)
_EXITS = ("exit", "quit", "_exit", "abort")


def is_collected(name: str) -> bool:
    """Whether a test runner calls what has this name."""
    return name.lower().startswith("test") or name in ("check", "runTest")


def prepare(text: str) -> None:
    """Keep `unittest.main` from looking for tests elsewhere and from ending the process; `run` runs the cases."""
    if "unittest" in text:
        import unittest

        unittest.main = lambda *args, **kwargs: None  # type: ignore[assignment]


def run(text: str, namespace: dict[str, Any], entry: Callable[[], Any]) -> None:
    """Call what the text's names hold and the text itself did not; the first failure is raised, and so is a text that
    asserts nothing."""
    if not holds_assertion(text):
        raise AssertionError(NO_ASSERTION)
    tree = ast.parse(text)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for node in tree.body:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and node.name not in used:
            found = namespace.get(node.name)
            if isinstance(found, FunctionType) and is_collected(node.name):
                _call(found, entry)
            elif isinstance(found, type):
                _run_class(found, entry)


def _call(function: Callable[..., Any], entry: Callable[[], Any]) -> None:
    import inspect  # too heavy for every program to be forked with

    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind < 2]
    result = function(*[entry() for _ in needed])
    if inspect.iscoroutine(result):
        import asyncio

        asyncio.run(result)


def _run_class(found: type, entry: Callable[[], Any]) -> None:
    unittest = sys.modules.get("unittest")
    if unittest is not None and issubclass(found, unittest.TestCase):
        outcome = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(found).run(outcome)
        failed = [*outcome.failures, *outcome.errors, *((case, "unexpected") for case in outcome.unexpectedSuccesses)]
        if failed or outcome.testsRun == len(outcome.skipped):
            why = failed[0][1].strip().rpartition("\n")[2] if failed else f"{found.__name__} ran nothing"
            raise AssertionError(why)
    elif found.__name__.startswith("Test"):
        for name in [n for n in vars(found) if n.startswith("test")]:
            case = found()
            getattr(case, "setup_method", lambda: None)()
            _call(getattr(case, name), entry)


@lru_cache(maxsize=4096)
def holds_assertion(text: str) -> bool:
    """Whether an assertion of the text can be reached: an `assert` of something else than a constant, a `raise`, a call
    of something named like `assertEqual` or of `exit` with a failure. Raises `SyntaxError` for what is not Python."""
    return _Reach(ast.parse(text)).found()


class _Reach:
    """Follows a text from its top level and from what a runner calls into every function that is mentioned."""

    def __init__(self, tree: ast.Module) -> None:
        self._defined: dict[str, list[list[ast.stmt]]] = {}
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                self._defined.setdefault(node.name, []).append(node.body)
        self._waiting: list[list[ast.stmt]] = [tree.body]
        self._seen: set[str] = set()

    def found(self) -> bool:
        """Whether an assertion is reached."""
        while self._waiting:
            if any(self._asserts(statement) for statement in self._reached(self._waiting.pop())):
                return True
        return False

    def _reached(self, block: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement in block:
            yield statement
            if isinstance(statement, (*_ENDS, ast.Raise)) or _is_exit(statement):
                return

    def _asserts(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.Raise):
            return True
        if isinstance(statement, ast.Assert):
            return not _is_certain(statement.test)
        if isinstance(statement, _FUNCTIONS):
            if is_collected(statement.name):
                self._enter(statement.name)
            return any(self._mentions(decorator) for decorator in statement.decorator_list)
        if isinstance(statement, ast.ClassDef):
            self._waiting.append(statement.body)
            return False
        if isinstance(statement, ast.If | ast.While) and isinstance(statement.test, ast.Constant):
            self._waiting.append(statement.body if statement.test.value else statement.orelse)
            return False
        if isinstance(statement, ast.Try) and _is_swallowed(statement):
            self._waiting += [
                b for b in (*(h.body for h in statement.handlers), statement.orelse, statement.finalbody) if b
            ]
            return False
        self._waiting += [b for b in _blocks(statement) if b]
        return self._mentions(statement)

    def _enter(self, name: str) -> None:
        if name not in self._seen:
            self._seen.add(name)
            self._waiting += self._defined.get(name, [])

    def _mentions(self, node: ast.AST) -> bool:
        """Enter every function that an expression of the statement names; whether one of them is an assertion."""
        stack, found = [node], False
        while stack:
            part = stack.pop()
            name = part.id if isinstance(part, ast.Name) else part.attr if isinstance(part, ast.Attribute) else ""
            self._enter(name)
            found = found or (name not in self._defined and name.lower().startswith(("assert", "raises", "fail")))
            found = found or (isinstance(part, ast.Expr) and _is_exit(part) and not _is_success(part.value))
            stack += [c for c in ast.iter_child_nodes(part) if not isinstance(c, ast.stmt)]
        return found


def _is_certain(test: ast.expr) -> bool:
    """Whether a condition holds whatever the program does: it names nothing, or is a tuple: `(x == 3, "why")`."""
    if isinstance(test, ast.Tuple | ast.List | ast.Set):
        return any(not isinstance(item, ast.Starred) for item in test.elts)
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return not any(isinstance(node, ast.Name) for node in ast.walk(test))


def _is_swallowed(statement: ast.Try) -> bool:
    """Whether no failure in the body gets out: an AssertionError is caught, and no exit with a failure is there."""
    kinds = [
        kind
        for handler in statement.handlers
        for kind in (handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])
    ]
    names = {"BaseException" if kind is None else getattr(kind, "id", getattr(kind, "attr", "")) for kind in kinds}
    exits = any(_is_exit(node) for part in statement.body for node in ast.walk(part) if isinstance(node, ast.stmt))
    return bool(names & {"BaseException", "Exception", "AssertionError"}) and not exits


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    nested = [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
    fields = ("body", "orelse", "finalbody")
    return [getattr(node, name, []) for node in (statement, *nested) for name in fields]


def _is_exit(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    name = getattr(call, "func", None)
    return isinstance(call, ast.Call) and (getattr(name, "id", None) or getattr(name, "attr", None)) in _EXITS


def _is_success(call: ast.expr) -> bool:
    codes = call.args if isinstance(call, ast.Call) else []
    return not codes or (isinstance(codes[0], ast.Constant) and not codes[0].value)

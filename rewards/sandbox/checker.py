"""The second interpreter: runs `assert` tests and reaches the program only through proxies that exchange plain data.

A test's names are looked up in this order: what the test itself defines, Python's builtins, a standard module that the
test only uses as `module.attribute`, and last the program's top-level names. So a program can neither redefine `abs`
nor `math` for a test. Functions and objects of the program are proxies: calling, attributes, items, length, text and
iteration go to the program and come back as data; equality is identity, and arithmetic, ordering and `in` see only
data. An exception raised by the program is raised here as one of the same bases: a class of its own is a class here
too, below the same builtin (StopIteration becomes RuntimeError, since it would end a loop over the program's answers
quietly). Arguments are copies: a test cannot see a list changed in place. `random` is seeded from a secret of the
judge, so that a program cannot draw what the test draws; what a text defines and leaves to a runner, `collected.py`
calls.

Not covered: a test that trusts the program with the judging, such as `assert helper(f(x)) == x` with the program's own
`helper`. Put such a helper into the test's text: what the test defines wins.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import random
import sys
import types
from collections.abc import Iterator
from typing import Any

from rewards.sandbox import collected, wire

VERDICTS, PROGRAM = 3, 4
_MESSAGE = 500
_QUIET = (StopIteration, StopAsyncIteration)


class ProgramGone(BaseException):
    """The program died or answered nonsense; not an Exception, so that no test can catch it by accident."""


class ProgramError(Exception):
    """An exception of a class that only the program knows."""


class Link:
    """The checker's end of the channel to the program."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._proxies: dict[int, Proxy] = {}
        self._classes: dict[int, type[BaseException]] = {}

    def ask(self, *request: Any) -> Any:
        """The raw answer of the program; its exception is raised here."""
        try:
            wire.send(PROGRAM, wire.pack(list(request)))
            reply = wire.receive(PROGRAM, self._limit)
            if reply[0] == "v":
                return reply[1]
            kind, message = str(reply[1]), str(reply[2])[:_MESSAGE]
            known = self._exception_class(reply[4])
        except (EOFError, OSError, wire.WireError, TypeError, IndexError, KeyError) as error:
            raise ProgramGone(f"the program is gone: {error}") from None
        raise _as_exception(known, kind, message)

    def operate(self, operation: str, *values: Any) -> Any:
        """An operation of the program on its own objects and on data."""
        return self.decode(self.ask("op", operation, *(wire.encode(v, _handle_of) for v in values)))

    def decode(self, raw: Any) -> Any:
        """The value of a wire form, objects as proxies."""
        try:
            return wire.decode(raw, self._proxy)
        except (wire.WireError, RecursionError) as error:
            raise ProgramGone(f"the program answered nonsense: {error}") from None

    def _proxy(self, form: list[Any]) -> Any:
        if form[0] == "x":
            return self._exception_class(form)
        _, number, kind = form
        if type(number) is not int:
            raise wire.WireError("a handle without a number")
        if number not in self._proxies:
            self._proxies[number] = Proxy(self, number, str(kind)[:_MESSAGE])
        return self._proxies[number]

    def _exception_class(self, form: Any) -> type[BaseException]:
        """The class here that stands for one of the program's: one of a standard module itself, else a new one."""
        _, *own, known = form
        kind = getattr(builtins, str(known), None)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise wire.WireError("an exception without a builtin base")
        for number, name in reversed(list(zip(own[::2], own[1::2], strict=True))):
            if type(number) is not int or type(name) is not str:
                raise wire.WireError("an exception class without a number")
            if number not in self._classes:
                self._classes[number] = _standard_class(name) or type(name.rpartition(".")[2][:_MESSAGE], (kind,), {})
            kind = self._classes[number]
        return kind


def _standard_class(name: str) -> type[BaseException] | None:
    """The exception class of a standard module that the test has imported, if it is one."""
    module, _, attribute = name.rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    standard = module.split(".")[0] in sys.stdlib_module_names
    return found if standard and isinstance(found, type) and issubclass(found, Exception) else None


class Proxy:
    """An object of the program. Equal to itself only."""

    __slots__ = ("_kind", "_link", "_number")

    def __init__(self, link: Link, number: int, kind: str) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_kind", kind)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.operate("call", self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name != "__name__":
            raise AttributeError(name)  # protocols of copy, pickle and numpy must not reach the program
        return self._link.operate("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.operate("set", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._link.operate("item", self, key)

    def __len__(self) -> int:
        return self._link.operate("len", self)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._link.operate("iter", self)
        while found := self._link.operate("next", iterator):
            yield found[0]

    def __next__(self) -> Any:
        found = self._link.operate("next", self)
        if not found:
            raise StopIteration
        return found[0]

    def __str__(self) -> str:
        return self._link.operate("str", self)

    def __repr__(self) -> str:
        return self._link.operate("repr", self)


def _handle_of(value: Any) -> list[Any]:
    if type(value) is not Proxy:
        raise TypeError(f"a test may pass plain data and the program's own objects, not {type(value).__name__}")
    return ["h", object.__getattribute__(value, "_number"), ""]


def _as_exception(known: type[BaseException], kind: str, message: str) -> Exception:
    if not issubclass(known, Exception):
        return ProgramError(f"{kind}: {message}")
    if issubclass(known, _QUIET):
        return RuntimeError(f"the program raised {kind}")
    try:
        return known(message)
    except TypeError:  # it wants more than a message
        error = known.__new__(known)
        error.args = (message,)
        return error


def names_wanted(text: str) -> tuple[list[str], list[str]]:
    """The names a test reads that are not builtins: standard modules it only takes attributes of, and the others."""
    tree = ast.parse(text)
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - set(vars(builtins))
    bases = [n.value for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    as_base = {id(n) for n in bases}
    otherwise = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in as_base}
    modules = (read & set(sys.stdlib_module_names)) - otherwise
    return sorted(modules), sorted(read - modules) or _called_builtin(tree)


def _called_builtin(tree: ast.AST) -> list[str]:
    """The function under test where a test calls nothing but one builtin's name: then the program may define it."""
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return sorted(called) if len(called) == 1 else []


def _namespace(link: Link, text: str) -> dict[str, Any]:
    """What a test's text finds when it begins. It is the main module, so that its main guard runs."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    modules, names = names_wanted(text)
    namespace = vars(module)
    for name in modules:
        namespace[name] = importlib.import_module(name)
    answers = link.ask("names", names)
    if type(answers) is not list or len(answers) != len(names):
        raise ProgramGone("the program answered nonsense: names")
    for name, entry in zip(names, answers, strict=True):
        if type(entry) is list and len(entry) == 2 and entry[0] is True:
            namespace[name] = link.decode(entry[1])
    return namespace


def check(link: Link, text: str, seed: str) -> tuple[bool, str, bool]:
    """Whether the test ran to its end without an exception, if not why, and whether the program is gone."""
    random.seed(seed)
    try:
        namespace = _namespace(link, text)
        collected.prepare(text)
        exec(compile(text, "test.py", "exec", dont_inherit=True), namespace)
        collected.run(text, namespace, lambda: link.decode(link.ask("entry")))
        return True, "", False
    except BaseException as error:
        return False, f"{type(error).__name__}: {error}"[:_MESSAGE], isinstance(error, ProgramGone)


def serve(limit: int) -> None:
    """Load the program through the link, then answer each test of the judge with `[passed, why, gone]`."""
    link = Link(limit)
    code = wire.receive(VERDICTS, wire.MAX_REQUEST)
    try:
        link.ask("load", code)
        broken = ""
    except BaseException as error:
        broken = f"{type(error).__name__}: {error}"[:_MESSAGE] or "the program did not load"
    wire.send(VERDICTS, wire.pack([not broken, broken]))
    while True:
        try:
            text, seed = wire.receive(VERDICTS, wire.MAX_REQUEST)
        except EOFError:
            return
        wire.send(VERDICTS, wire.pack([False, broken, False] if broken else check(link, text, seed)))

"""The untrusted side: loads a program and answers requests about it with plain data.

Nothing in this process decides a verdict. It never holds an expected value; whatever the program does to this module,
to builtins or to the channel only changes what it claims to have computed, and the judge compares claims outside.

Requests, each answered by one frame `["v", value]` or `["e", exception type, message, line, class]`:
`["load", code]`; `["data", name, args, kwargs]` for tests written as data, to which iterables come as lists, and
`["call", name, args, kwargs]` for assertions, to which they come as objects; `["names", [name, …]]`, `["entry"]` and
`["op", operation, object, …]` for the checker's proxies; `["end"]` is leave to end, and has no answer. Not covered:
speed of huge values.
"""

from __future__ import annotations

import atexit
import collections
import itertools
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from rewards.sandbox import prelude, streams, wire

CHANNEL = 3
FILE_NAME = "program.py"
_BYTE_ORDER_MARK = "\ufeff"  # which a file may begin with, and a text may not
_MESSAGE = 500
_ITERABLES: tuple[type, ...] = (
    *(range, map, filter, zip, enumerate, reversed, types.GeneratorType, collections.deque, itertools.chain),
    *(type({}.keys()), type({}.values()), type({}.items()), type(iter([])), type(iter(())), type(iter({}))),
)
_NAMES = prelude.collect()


class BareFunctions:
    """Stands for a class `Solution` where the program has its functions at the top level."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __call__(self) -> BareFunctions:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Program:
    """A loaded program and the objects of it that the other side holds handles of."""

    def __init__(self, name: str) -> None:
        self.module = types.ModuleType(name)
        self._objects: list[Any] = []
        self._ids: dict[int, int] = {}

    def load(self, code: str) -> None:
        """Run the program's top level."""
        sys.modules[self.module.__name__] = self.module
        self.module.__file__ = FILE_NAME
        compiled = compile(code.removeprefix(_BYTE_ORDER_MARK), FILE_NAME, "exec", dont_inherit=True)
        prelude.provide(_NAMES, compiled)
        exec(compiled, self.module.__dict__)

    def handle(self, value: Any) -> list[Any]:
        """The wire form of an object that stays here; the same object keeps its number."""
        kind = type(value)
        if kind.__module__ == "numpy" and hasattr(kind, "item") and getattr(value, "ndim", None) == 0:
            return wire.encode(value.item())
        if isinstance(value, type) and issubclass(value, BaseException):
            return self.exception_class(value)
        return ["h", self._number(value), kind.__name__]

    def _number(self, value: Any) -> int:
        number = self._ids.get(id(value))
        if number is None:
            number = self._ids[id(value)] = len(self._objects)
            self._objects.append(value)
        return number

    def exception_class(self, kind: type[BaseException]) -> list[Any]:
        """The wire form of an exception class: its bases up to the first one that Python itself has."""
        form: list[Any] = ["x"]
        for base in kind.__mro__:
            if base.__module__ == "builtins":
                break
            own = base.__module__ == self.module.__name__
            form += [self._number(base), base.__name__ if own else f"{base.__module__}.{base.__qualname__}"]
        return [*form, base.__name__]

    def _object(self, form: list[Any]) -> Any:
        return self._objects[form[1]]

    def _encode(self, value: Any) -> Any:
        return wire.encode(value, self.handle)

    def _listed(self, value: Any) -> list[Any]:
        """An iterable with its items, as deep as they go; anything else as an object."""
        if isinstance(value, _ITERABLES):
            return ["it", *[wire.encode(item, self._listed) for item in iter(value)]]  # type: ignore[call-overload]
        if type(value).__module__ == "numpy" and getattr(value, "ndim", 0) > 0:
            return ["it", *wire.encode(value.tolist(), self._listed)[1:]]
        return self.handle(value)

    def _decode(self, raw: Any) -> Any:
        return wire.decode(raw, self._object)

    def answer(self, request: list[Any]) -> Any:
        """The wire form of the answer to one request."""
        action, *rest = request
        if action == "load":
            return self.load(rest[0])
        if action in ("call", "data"):
            name, args, kwargs = rest
            value = self._find(name)(*self._decode(args), **self._decode(kwargs))
            return wire.encode(value, self.handle if action == "call" else self._listed)
        if action == "names":
            found = {name: self._named(name) for name in rest[0]}
            return [[value is not None, self._encode(value and value[0])] for value in found.values()]
        if action == "entry":
            return self._encode(self._entry())
        operation, target, *args = rest
        return self._encode(_OPERATIONS[operation](self._decode(target), *(self._decode(a) for a in args)))

    def _named(self, name: str) -> tuple[Any] | None:
        """What the program calls by a top-level name; a method of its class `Solution` is found without the class, and
        bare functions with it."""
        found = vars(self.module)
        if name in found:
            return (found[name],)
        solution = found.get("Solution")
        if isinstance(solution, type) and not name.startswith("_") and callable(getattr(solution, name, None)):
            try:
                return (getattr(solution(), name),)
            except TypeError:  # it wants arguments
                return None
        return (BareFunctions(self.module),) if name == "Solution" and self._functions() else None

    def _functions(self) -> list[Any]:
        own = vars(self.module).values()
        return [f for f in own if type(f) is types.FunctionType and f.__module__ == self.module.__name__]

    def _entry(self) -> Callable[..., Any]:
        """The function under test where a test does not name it: the last that the program defines."""
        solution = vars(self.module).get("Solution")
        methods = [n for n, f in vars(solution).items() if callable(f) and n[0] != "_"] if solution else []
        return [*self._functions(), *(getattr(solution(), n) for n in methods)][-1]  # type: ignore[misc]

    def _find(self, path: str) -> Callable[..., Any]:
        """`f`, or `Solution.f`: a class on the way is instantiated without arguments."""
        first, *rest = path.split(".")
        found = self._named(first)
        if found is None:
            raise NameError(f"name {first!r} is not defined")
        target = found[0]
        for part in rest:
            target = getattr(target() if isinstance(target, type) else target, part)
        return target


def _next(iterator: Any) -> tuple[Any, ...]:
    for value in iterator:
        return (value,)
    return ()


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda f, args, kwargs: f(*args, **kwargs),
    "get": getattr,
    "set": setattr,
    "item": lambda obj, key: obj[key],
    "iter": iter,
    "next": _next,
    "len": len,
    "str": str,
    "repr": repr,
}


def serve(limit: int) -> None:
    """Answer requests until the other side is gone; an answer has at most `limit` bytes."""
    program = Program("solution")
    while True:
        try:
            request = wire.receive(CHANNEL, wire.MAX_REQUEST)
        except EOFError:
            return
        if request[0] == "end":
            return
        wire.send(CHANNEL, reply(program, request, limit))


def reply(program: Program, request: list[Any], limit: int) -> bytes:
    """The frame that answers a request."""
    try:
        frame = wire.pack(["v", program.answer(request)])
        if len(frame) > limit:
            raise wire.WireError(f"an answer of {len(frame)} bytes: at most {limit} are allowed")
        return frame
    except BaseException as error:
        return wire.pack(["e", type(error).__name__, *_describe(error), program.exception_class(type(error))])
    finally:
        streams.flush_standard()


def _describe(error: BaseException) -> tuple[str, str]:
    """The error's text and the program's line, bounded; a program's own `__str__` may fail."""
    try:
        where, trace = "", error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == FILE_NAME:
                where = f" (line {trace.tb_lineno})"
            trace = trace.tb_next
        return str(error)[:_MESSAGE].encode("utf-8", "replace").decode(), where
    except BaseException:
        return "", ""


def run_script(_: int) -> None:
    """Run the program as a main script: input and output are the process's own. An exception that the program lets
    through is raised again once everything is written, so that the process ends with a status."""
    code = wire.receive(CHANNEL, wire.MAX_REQUEST)
    os.close(CHANNEL)
    program = Program("__main__")
    try:
        streams.provide_paths(code)
        program.load(code)
    except SystemExit:
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        _finish(code)


def _finish(code: str) -> None:
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        streams.flush_everything(code)
        streams.flush_standard()

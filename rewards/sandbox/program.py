"""The untrusted side: loads a program and answers requests about it with plain data.

Nothing in this process decides a verdict. It never holds an expected value; whatever the program does to this module,
to builtins or to the channel only changes what it claims to have computed, and the judge compares claims outside.

Requests, each answered by one frame `["v", value]` or `["e", exception type, message]`:
`["load", code]`, `["call", name, args, kwargs]` for tests written as data, `["names", [name, …]]` and
`["op", operation, object, …]` for the checker's proxies; `["end"]` is leave to end, and has no answer. Not covered:
speed of huge values.
"""

from __future__ import annotations

import atexit
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from rewards.sandbox import wire

CHANNEL = 3
FILE_NAME = "program.py"
_MESSAGE = 500


class Program:
    """A loaded program and the objects of it that the other side holds handles of."""

    def __init__(self, name: str) -> None:
        self.module = types.ModuleType(name)
        self._objects: list[Any] = []
        self._ids: dict[int, int] = {}

    def load(self, code: str) -> None:
        """Run the program's top level."""
        sys.modules[self.module.__name__] = self.module
        exec(compile(code, FILE_NAME, "exec", dont_inherit=True), self.module.__dict__)

    def handle(self, value: Any) -> list[Any]:
        """The wire form of an object that stays here; the same object keeps its number."""
        number = self._ids.get(id(value))
        if number is None:
            number = self._ids[id(value)] = len(self._objects)
            self._objects.append(value)
        return ["h", number, type(value).__name__]

    def _object(self, items: list[Any]) -> Any:
        return self._objects[items[0]]

    def _encode(self, value: Any) -> Any:
        return wire.encode(value, self.handle)

    def _decode(self, raw: Any) -> Any:
        return wire.decode(raw, self._object)

    def answer(self, request: list[Any]) -> Any:
        """The wire form of the answer to one request."""
        action, *rest = request
        if action == "load":
            return self.load(rest[0])
        if action == "call":
            name, args, kwargs = rest
            return self._encode(self._find(name)(*self._decode(args), **self._decode(kwargs)))
        if action == "names":
            found = vars(self.module)
            return [[name in found, self._encode(found.get(name))] for name in rest[0]]
        operation, target, *args = rest
        return self._encode(_OPERATIONS[operation](self._decode(target), *(self._decode(a) for a in args)))

    def _find(self, path: str) -> Callable[..., Any]:
        """`f`, or `Solution.f`: a class on the way is instantiated without arguments."""
        first, *rest = path.split(".")
        found = vars(self.module)
        if first not in found:
            raise NameError(f"name {first!r} is not defined")
        target = found[first]
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
        return wire.pack(["e", type(error).__name__, _describe(error)])
    finally:
        _flush()


def _describe(error: BaseException) -> str:
    """The error's text and the program's line, bounded; a program's own `__str__` may fail."""
    try:
        where, trace = "", error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == FILE_NAME:
                where = f" (line {trace.tb_lineno})"
            trace = trace.tb_next
        return (str(error)[:_MESSAGE] + where).encode("utf-8", "replace").decode()
    except BaseException:
        return ""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the program closed or replaced it
            continue


def run_script(_: int) -> None:
    """Run the program as a main script: input and output are the process's own."""
    code = wire.receive(CHANNEL, wire.MAX_REQUEST)
    os.close(CHANNEL)
    program = Program("__main__")
    try:
        program.load(code)
    except SystemExit:
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _finish()


def _finish() -> None:
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()

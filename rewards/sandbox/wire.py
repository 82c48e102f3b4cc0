"""Frames between judge and sandbox, and the plain-data encoding of values inside them.

A frame is four bytes of length and JSON. A value is JSON where JSON can say it exactly (None, bool, str, float, int);
everything else is an array that starts with a tag and has exactly the items that the tag wants:

    l t s fs it   items of a list, tuple, set, frozenset, other iterable       d       [key, value] pairs
    i             hexadecimal digits of a huge int                             n       text of a Decimal
    q             numerator and denominator of a Fraction, both hexadecimal    c       two floats
    b             whether it is a bytearray, hexadecimal digits                T       name of a builtin type
    h             an object that stays where it is: its number, its type's name
    x             an exception class of the program: (number, name) along its bases, then a builtin's name

Only exact plain types are written as data; dict subclasses of the standard library and named tuples are written as the
dict or tuple they hold. Nothing here evaluates anything, and no pickle is read. What arrives is bounded in bytes,
depth, digits and exponent before anything is built of it. Not covered: comparing (`compare.py`).
"""

from __future__ import annotations

import builtins
import collections
import json
import os
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_DEPTH = 150
MAX_REQUEST = 1 << 28  # bytes of what the judge's side sends; a program's own frames are limited by output_kb
_CHUNK = 1 << 16
_BIG_BITS = 8192  # longer ints travel in hex, which parses in linear time
_INT_DIGITS = 2500  # decimal digits of an int of that many bits, and some
_NESTED = 2 * MAX_DEPTH + 16  # brackets of a frame: a dict has two a level, and the message around it a few
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]"))
_DICTS = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)
_SEQUENCES: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "fs"}
_BUILDERS = {tag: kind for kind, tag in _SEQUENCES.items()} | {"it": list}
_TYPES = {name: value for name, value in vars(builtins).items() if isinstance(value, type)}
_DECIMAL = re.compile(r"-?(?:[0-9]{1,100000}(?:\.[0-9]{0,100000})?(?:E[+-]?[0-9]{1,6})?|Infinity|s?NaN[0-9]{0,20})")


class WireError(ValueError):
    """The bytes or the value do not fit the format or its bounds."""


def encode(value: Any, handle: Callable[[Any], list[Any]] | None = None, depth: int = 0) -> Any:
    """The JSON form of `value`. What is not plain data goes to `handle`; without one it is an error."""
    kind: type = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if value.bit_length() <= _BIG_BITS else ["i", hex(value)]
    if depth > MAX_DEPTH:
        raise WireError(f"value nested deeper than {MAX_DEPTH}")
    if kind in _SEQUENCES:
        return [_SEQUENCES[kind], *[encode(v, handle, depth + 1) for v in value]]
    if kind in _DICTS:
        items = dict.items(value)
        return ["d", *[[encode(k, handle, depth + 1), encode(v, handle, depth + 1)] for k, v in items]]
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return ["t", *[encode(v, handle, depth + 1) for v in tuple.__iter__(value)]]
    return _encode_scalar(kind, value) or _as_handle(value, handle)


def _encode_scalar(kind: type, value: Any) -> list[Any] | None:
    if kind is bytes or kind is bytearray:
        return ["b", kind is bytearray, value.hex()]
    if kind is complex:
        return ["c", value.real, value.imag]
    if kind is Decimal:
        return ["n", str(value)]
    if kind is Fraction:
        return ["q", hex(value.numerator), hex(value.denominator)]
    if isinstance(value, type) and _TYPES.get(value.__name__) is value:
        return ["T", str(value.__name__)]
    return None


def _as_handle(value: Any, handle: Callable[[Any], list[Any]] | None) -> list[Any]:
    if handle is None:
        raise WireError(f"a value of type {type(value).__name__} is not plain data")
    return handle(value)


def decode(raw: Any, handle: Callable[[list[Any]], Any] | None = None, depth: int = 0) -> Any:
    """The value of a JSON form, `h` and `x` through `handle`; `WireError` where it is malformed."""
    if not isinstance(raw, list):
        return raw
    if depth > MAX_DEPTH or not raw or not isinstance(raw[0], str):
        raise WireError("malformed value")
    tag, items = raw[0], raw[1:]
    try:
        if tag in _BUILDERS:
            return _BUILDERS[tag]([decode(v, handle, depth + 1) for v in items])
        if tag == "d":
            return {decode(k, handle, depth + 1): decode(v, handle, depth + 1) for k, v in items}
        if tag in ("h", "x") and handle is not None:
            return handle(raw)
        return decode_scalar(raw)
    except (TypeError, ValueError, KeyError, ArithmeticError, IndexError) as error:
        raise WireError(f"malformed value with tag {tag!r}: {error}") from None


def decode_scalar(raw: list[Any]) -> Any:
    """The value of a form that holds no other forms."""
    match raw:
        case ["i", str(digits)]:
            return int(digits, 16)
        case ["b", bool(mutable), str(digits)]:
            return (bytearray if mutable else bytes).fromhex(digits)
        case ["c", float(real), float(imag)]:
            return complex(real, imag)
        case ["n", str(text)] if _DECIMAL.fullmatch(text):
            return Decimal(text)
        case ["q", str(numerator), str(denominator)]:
            return Fraction(int(numerator, 16), int(denominator, 16))
        case ["T", str(name)]:
            return _TYPES[name]
    raise WireError("malformed value")


def _no_objects(pairs: list[tuple[str, Any]]) -> Any:
    raise WireError("a JSON object where none is used")


def _bounded_int(digits: str) -> int:
    """Independent of the interpreter's own bound, which a caller may have lifted."""
    if len(digits) > _INT_DIGITS:
        raise WireError(f"an int of {len(digits)} digits: longer ones than {_INT_DIGITS} travel in hexadecimal")
    return int(digits)


_escape, _not_plain = json.encoder.encode_basestring_ascii, json.JSONEncoder().default
_chunks = json.encoder.c_make_encoder(None, _not_plain, _escape, None, ": ", ", ", False, False, True)  # type: ignore[attr-defined]
_scan = json.JSONDecoder(object_pairs_hook=_no_objects, parse_int=_bounded_int).scan_once  # type: ignore[attr-defined]


def dumps(message: Any) -> bytes:
    """JSON text of a message. `json.dumps` would make a new encoder for each."""
    return "".join(_chunks(message, 0)).encode("ascii")


def loads(body: bytes) -> Any:
    """The message of a JSON text. Objects are refused: their keys could be made to collide."""
    if not _shallow(body):
        raise WireError(f"malformed frame: nested deeper than {_NESTED}, or a JSON object where none is used")
    try:
        message, end = _scan(body.decode("ascii"), 0)
    except (ValueError, RecursionError, StopIteration) as error:
        raise WireError(f"malformed frame: {error}") from None
    if end != len(body):
        raise WireError("malformed frame: more than one value")
    return message


def _shallow(body: bytes) -> bool:
    """Whether a JSON text is nested no deeper than `_NESTED`, in time linear in its length: the parser recurses in C,
    as far as an interpreter whose recursion limit was lifted lets it."""
    if body.count(b"[") + body.count(b"{") <= _NESTED:
        return True
    outside = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    if b"{" in outside:
        return False
    brackets = outside.translate(None, _NO_BRACKETS)
    for _ in range(_NESTED):
        if b"[]" not in brackets:
            return b"[" not in brackets
        brackets = brackets.replace(b"[]", b"")
    return b"[" not in brackets


def pack(message: Any) -> bytes:
    """The frame of a JSON-able message."""
    body = dumps(message)
    return len(body).to_bytes(4, "big") + body


def send(fd: int, frame: bytes) -> None:
    """Write one frame to a blocking descriptor."""
    written = os.write(fd, frame)
    while written < len(frame):
        written += os.write(fd, frame[written : written + (1 << 20)])


def receive(fd: int, limit: int) -> Any:
    """Read one frame from a blocking descriptor; `EOFError` when the other side is gone."""
    length = int.from_bytes(_exactly(fd, 4), "big")
    if length > limit:
        raise WireError(f"a frame of {length} bytes: at most {limit} are allowed")
    return loads(_exactly(fd, length))


def _exactly(fd: int, count: int) -> bytes:
    part = os.read(fd, min(count, _CHUNK))
    if len(part) == count:  # as nearly always
        return part
    parts = bytearray(part)
    while part and len(parts) < count:
        part = os.read(fd, min(count - len(parts), _CHUNK))
        parts += part
    if not part:
        raise EOFError("the other side closed the channel")
    return bytes(parts)

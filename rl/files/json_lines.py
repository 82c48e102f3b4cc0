"""JSON lines as other programs and killed ones leave them: each line an object, told apart by its line feed alone. What
`str.splitlines` takes for the end of a line, such as U+2028, may stand inside a model's answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollout.errors import UserError


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not empty. Raises `UserError` that names the file and the line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip().removeprefix(b"\xef\xbb\xbf"):
                    continue
                found = object_of(line)
                if isinstance(found, Repeated):
                    raise UserError(f"{path}:{number} {found.told}")
                if found is None:
                    raise UserError(
                        f"{path}:{number} is no JSON object; allowed: one object a line, in UTF-8{_way_on(line)}"
                    )
                yield number, found
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error


def object_of(line: bytes) -> dict[str, Any] | None:
    """The object that a line holds, or None: it is cut short, damaged, or something else. One in which a key
    stands twice is a `Repeated`."""
    try:
        found = json.loads(line.decode("utf-8-sig"), object_pairs_hook=object_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _way_on(line: bytes) -> str:
    """How to make lines of what begins like this line."""
    if line.startswith(b"\x1f\x8b"):
        return "; this is a gzip file: gunzip it first"
    if line.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return "; this begins an array: jq -c '.[]' writes its objects a line each"
    return ""


class Repeated(dict[str, Any]):
    """An object in which a key stands twice, which would lose a value without a word."""

    key = ""

    @property
    def told(self) -> str:
        """What is wrong with it, after the name of its place."""
        return f"has the key {self.key[:60]!r} twice; allowed: each key once"


def object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(..., object_pairs_hook=)`: the object, a `Repeated` where a key stands twice in it or within it.

    >>> json.loads('{"a": {"b": 1, "b": 2}}', object_pairs_hook=object_once).key
    'b'
    >>> json.loads('{"a": [[{"b": 1, "b": 2}]]}', object_pairs_hook=object_once).key
    'b'
    """
    made = dict(pairs)
    inner = _repeated_in(list(made.values()))
    if len(made) == len(pairs) and inner is None:
        return made
    repeated = Repeated(made)
    repeated.key = inner.key if inner is not None else Counter(key for key, _ in pairs).most_common(1)[0][0]
    return repeated


def json_once(text: str) -> Any:
    """The value of a JSON text in which each key stands once. Raises `ValueError`, `RecursionError`."""
    value = json.loads(text, object_pairs_hook=object_once)
    if (repeated := _repeated_in([value])) is not None:
        raise ValueError(repeated.told)
    return value


def _repeated_in(values: list[Any]) -> Repeated | None:
    for value in values:
        found = _repeated_in(value) if isinstance(value, list) else value
        if isinstance(found, Repeated):
            return found
    return None

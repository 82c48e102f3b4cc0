"""`Record`: one row of a data source together with its place, so that every complaint names file and line."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rl.files.json_lines import json_once
from rollout.errors import UserError


class DataError(UserError):
    """Data that cannot be used; one line, with its place."""


@dataclass(frozen=True)
class Record:
    """`place` is file:line (or its like), `name` what an id is made of when the row has none, `fields` the row. What an
    adapter leaves out without refusing the row goes into `notes`, which the reader counts and tells."""

    place: str
    name: str
    fields: Mapping[str, Any]
    notes: list[str] = dataclasses.field(default_factory=list)

    def field(self, name: str) -> Any:
        """A field that must be there."""
        if name not in self.fields:
            raise self.error(f"no field {name!r}; it has {', '.join(map(str, self.fields)) or 'none'}")
        return self.fields[name]

    def error(self, message: str) -> DataError:
        """What is wrong with the row, with its place."""
        return DataError(f"{self.place}: {message}")

    def text(self, *names: str) -> str:
        """The first of these fields that the row has; it must be text with something in it."""
        name = next((one for one in names if one in self.fields), names[0])
        value = self.field(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{name!r} is {shown(value)}; allowed: text")
        return value

    def scalar(self, *names: str) -> str | None:
        """The first of these fields that holds something, as text: text, a number or a truth value. None where all are
        absent, null, NaN or blank: a table has no other way to leave a cell empty."""
        for name in names:
            value = self.fields.get(name)
            if not is_absent(value) and not (isinstance(value, str) and not value.strip()):
                return self.as_text(name, value)
        return None

    def as_text(self, name: str, value: Any) -> str:
        """A value of the field `name` as text. Raises `DataError` for what is neither text nor a finite number."""
        value = _plain_number(value)
        infinite = isinstance(value, float | Decimal) and not math.isfinite(value)
        if infinite or not isinstance(value, str | int | float | Decimal):
            raise self.error(f"{name!r} is {shown(value)}; allowed: text or a number")
        return str(value)

    def objects(self, name: str) -> list[Mapping[str, Any]]:
        """A field that must be a list of objects, or JSON text of one; absent or null is an empty one."""
        value = self.parsed(name)
        if is_absent(value):
            return []
        if not isinstance(value, list | tuple) or any(not isinstance(one, Mapping) for one in value):
            raise self.error(f"{name!r} is no list of objects")
        return list(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A field that must be an object, or JSON text of one; absent or null is an empty one."""
        value = self.parsed(name)
        if is_absent(value):
            return {}
        if not isinstance(value, Mapping):
            raise self.error(f"{name!r} is {shown(value)}; allowed: an object")
        return value

    def parsed(self, name: str) -> Any:
        """A field, or what its text says where that is a JSON list or object, as tables hold them."""
        value = self.fields.get(name)
        if not isinstance(value, str) or value.strip()[:1] not in ("[", "{", ""):
            return value
        try:
            return json_once(value) if value.strip() else None
        except (ValueError, RecursionError) as error:
            raise self.error(f"{name!r} is text that is not valid JSON ({error})") from error

    def renamed(self, columns: Mapping[str, str]) -> Record:
        """The record with the fields `theirs` under the names `ours`; a dot goes into an object."""
        if not columns:
            return self
        found = {ours: self._at(theirs) for ours, theirs in columns.items()}
        rest = {name: value for name, value in self.fields.items() if name not in columns.values()}
        return dataclasses.replace(self, fields={**rest, **found})

    def _at(self, path: str) -> Any:
        if path in self.fields or "." not in path:
            return self.field(path)
        value: Any = self.fields
        for part in path.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise self.error(f"no field {path!r}; it has {', '.join(map(str, self.fields))}")
            value = value[part]
        return value

    def others(self, *but: str) -> dict[str, Any]:
        """The row's fields without these and without what JSON cannot hold, which is noted."""
        kept = {}
        for name, value in self.fields.items():
            if name in but or is_absent(value):
                continue
            where = not_json({name: value})
            if where:
                self.notes.append(f"the column {name!r} is left out: {where}")
            else:
                kept[name] = value
        return kept


def is_absent(value: Any) -> bool:
    """Whether a cell is empty: null, or the NaN that tables write for it."""
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def not_json(value: Any) -> str:
    """What JSON in UTF-8 cannot hold in a value and where, such as "metadata.made is datetime.date(2024, 1, 1)"; empty
    when all can be written."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        return "it is nested too deeply"
    except (TypeError, ValueError) as error:
        return next(iter(_leaves(value, "")), str(error))
    return ""


def _leaves(value: Any, path: str) -> Sequence[str]:
    """The first leaf that cannot be written, in a list; empty where there is none."""
    inside: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inside = list(value.items())
    elif isinstance(value, list | tuple):
        inside = list(enumerate(value))
    for key, one in inside:
        if found := _leaves(one, f"{path}.{key}" if path else str(key)):
            return found
    if inside:
        return ()
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        return [f"{path!r} is {shown(value)}"]
    return ()


def shown(value: Any, width: int = 80) -> str:
    """A value in a message; a number of thousands of digits cannot be printed at all."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4 * width:
        return f"a number of {value.bit_length()} bits"
    return f"{value!r:.{width}}"


def _plain_number(value: Any) -> Any:
    """The Python number of a numpy scalar."""
    is_numpy = type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0
    return value.item() if is_numpy else value

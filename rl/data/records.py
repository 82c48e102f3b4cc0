"""`Record`: one row of a data source together with its place, so that every complaint names file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.errors import UserError


class DataError(UserError):
    """Data that cannot be used; one line, with its place."""


@dataclass(frozen=True)
class Record:
    """`place` is file:line (or its like), `name` what an id is made of when the row has none, `fields` the row."""

    place: str
    name: str
    fields: Mapping[str, Any]

    def field(self, name: str) -> Any:
        """A field that must be there."""
        if name not in self.fields:
            raise DataError(f"{self.place}: no field {name!r}; it has {', '.join(map(str, self.fields)) or 'none'}")
        return self.fields[name]

    def text(self, name: str) -> str:
        """A field that must be text with something in it."""
        value = self.field(name)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{self.place}: {name!r} is {value!r:.80}; allowed: text")
        return value

    def objects(self, name: str) -> list[Mapping[str, Any]]:
        """A field that must be a list of objects; absent or null is an empty one."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple) or any(not isinstance(one, Mapping) for one in value):
            raise DataError(f"{self.place}: {name!r} is no list of objects")
        return list(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A field that must be an object; absent or null is an empty one."""
        value = self.fields.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise DataError(f"{self.place}: {name!r} is {value!r:.80}; allowed: an object")
        return value

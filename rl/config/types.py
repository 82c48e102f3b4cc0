"""The types of configuration values: a range or a choice stands in the type, and the type says it in words.

Values are strict: `true` is no number and `"5"` no whole number. One exception: text that reads as a number is taken
for a float, because YAML 1.1 reads `1e-4` as text. `off` without quotes is YAML's `false`; a choice that has `off`
takes it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

SETTINGS = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


def number(value: Any) -> Any:
    """Text that reads as a number becomes one; everything else stays for the type to judge.

    >>> number("1e-4"), number("fast"), number(True)
    (0.0001, 'fast', True)
    """
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def unquoted_off(value: Any) -> Any:
    """YAML's `false` becomes the choice `off`."""
    return "off" if value is False else value


@dataclass(frozen=True)
class OneOf:
    """Text that is one of `names`, for choices that are known to another module; `pattern` allows further texts that
    contain it."""

    names: tuple[str, ...]
    pattern: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def check(self, value: str) -> str:
        """The value itself. Raises pydantic's error where it is none of them."""
        if value in self.names or (self.pattern and self.pattern in value):
            return value
        raise PydanticCustomError("one_of", "not one of the names")


Number = Annotated[float, BeforeValidator(number)]
PositiveNumber = Annotated[float, BeforeValidator(number), Field(gt=0)]
AtLeastZero = Annotated[float, BeforeValidator(number), Field(ge=0)]
Share = Annotated[float, BeforeValidator(number), Field(ge=0, le=1)]
Rate = Annotated[float, BeforeValidator(number), Field(gt=0, le=10)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]  # what every generator of random numbers takes

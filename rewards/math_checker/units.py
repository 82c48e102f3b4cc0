"""The units an answer may carry: names, dimensions and exact conversion factors.

`resolve("km / h")` is `((("m", 1), ("s", -1)), Fraction(5, 18))`; a word that is no unit (`apples`) is a dimension of
its own, singular. Left out: temperatures with an offset and every unit whose factor is not rational.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

Unit = tuple[tuple[tuple[str, int], ...], Fraction]

PERCENT: Unit = ((("percent", 1),), Fraction(1))
DEGREE: Unit = ((("degree", 1),), Fraction(1))

_BASE: dict[str, tuple[str, int, str]] = {}


def _define(dimension: str, power: int, table: dict[str, str]) -> None:
    for names, factor in table.items():
        for name in names.split():
            _BASE[name] = (dimension, power, factor)


_define("m", 1, {
    "m meter metre": "1", "km kilometer kilometre": "1000", "cm centimeter centimetre": "1/100",
    "mm millimeter millimetre": "1/1000", "nm nanometer": "1/1000000000", "in inch inche": "254/10000",
    "ft foot feet": "3048/10000", "yd yard": "9144/10000", "mi mile": "1609344/1000",
})  # fmt: skip
_define("m", 3, {"l liter litre": "1/1000", "ml milliliter millilitre": "1/1000000"})
_define("g", 1, {
    "g gram": "1", "kg kilogram": "1000", "mg milligram": "1/1000", "lb pound": "45359237/100000",
    "oz ounce": "45359237/1600000", "tonne": "1000000",
})  # fmt: skip
_define("s", 1, {
    "s sec second": "1", "min minute": "60", "h hr hour": "3600", "day": "86400", "week": "604800",
    "ms millisecond": "1/1000",
})  # fmt: skip
_define("month", 1, {"month": "1", "year yr": "12"})
_define("dollar", 1, {"dollar usd buck": "1", "cent": "1/100"})
_define("euro", 1, {"euro eur": "1"})
_define("yen", 1, {"yen jpy": "1"})
_define("rupee", 1, {"rupee rs inr": "1"})
_define("yuan", 1, {"yuan rmb cny 元": "1"})
_define("gbp", 1, {"gbp": "1"})
_define("unit", 1, {"unit": "1"})
_define("percent", 1, {"% percent percentage pct": "1"})
_define("degree", 1, {"degree deg": "1"})
_define("radian", 1, {"rad radian": "1"})
_define("J", 1, {"j joule": "1", "kj kilojoule": "1000"})
_define("N", 1, {"n newton": "1"})
_define("W", 1, {"w watt": "1", "kw kilowatt": "1000"})
_define("V", 1, {"v volt": "1"})
_define("A", 1, {"ampere amp": "1"})
_define("hz", 1, {"hz hertz": "1", "khz": "1000"})
_COMPOUND = {
    "mph": "mi / h", "kph": "km / h", "pound sterling": "gbp", "percentage point": "%", "percentage points": "%",
}  # fmt: skip
_FILLER = frozenset({"of", "the", "a", "an", "in", "total", "about", "approximately", "exactly", "each"})
_PIECE = re.compile(r"[A-Za-z%]+|\^|/|-?[0-9]+|\S")


def known(name: str) -> bool:
    """Whether `name` is a unit and not merely a word."""
    return name.lower() in _BASE or _singular(name.lower()) in _BASE or name.lower() in _COMPOUND


@lru_cache(maxsize=1024)
def resolve(text: str) -> Unit:
    """The dimension and factor of a unit's text; words that are no unit make one dimension of their own."""
    text = _COMPOUND.get(text.strip().lower(), text)
    try:
        return _resolve_known(text)
    except ValueError:
        words = sorted(_singular(word) for word in re.findall(r"[^\W\d_]+", text.lower()) if word not in _FILLER)
        return ((("word " + " ".join(words), 1),), Fraction(1)) if words else ((), Fraction(1))


def _resolve_known(text: str) -> Unit:
    pieces = [piece for piece in _PIECE.findall(text) if piece not in "{}()\\.~$"]
    dimensions: dict[str, int] = {}
    factor, sign, prefix, index = Fraction(1), 1, 1, 0
    while index < len(pieces):
        piece = pieces[index].lower()
        index += 1
        if piece in ("/", "per"):
            sign = -1
        elif piece in ("square", "sq", "cubic"):
            prefix = 3 if piece == "cubic" else 2
        elif piece not in ("*", "-"):
            dimension, own, scale = _lookup(pieces[index - 1])
            if index < len(pieces) and pieces[index].lower() in ("squared", "cubed"):
                prefix = 2 if pieces[index].lower() == "squared" else 3
                index += 1
            elif index + 1 < len(pieces) and pieces[index] == "^":
                prefix = _small_power(pieces[index + 1])
                index += 2
            dimensions[dimension] = dimensions.get(dimension, 0) + sign * own * prefix
            factor *= Fraction(scale) ** (sign * prefix)
            prefix = 1
    return tuple(sorted((name, power) for name, power in dimensions.items() if power)), factor


def _lookup(name: str) -> tuple[str, int, str]:
    lower = name.lower()
    found = _BASE.get(lower) or _BASE.get(_singular(lower))
    if found is None:
        raise ValueError(f"unit {name!r} is not known")
    return found


def _small_power(text: str) -> int:
    power = int(text)
    if not 1 <= abs(power) <= 9:
        raise ValueError(f"power {text!r} of a unit must be from 1 to 9")
    return power


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word

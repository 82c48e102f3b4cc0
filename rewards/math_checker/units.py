"""The units an answer may carry: names, dimensions and exact conversion factors; and which words are none.

`resolve("km / h")` is `((("m", 1), ("s", -1)), Fraction(5, 18))`; a noun phrase that is no unit (`apples`) is a
dimension of its own, singular. Symbols keep their case (`mA` is no `MA`), names do not. Left out: temperatures with an
offset and every unit whose factor is not rational.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from rewards.math_checker.tables import NO_UNIT

Dimensions = tuple[tuple[str, int], ...]
Unit = tuple[Dimensions, Fraction]

PERCENT: Unit = ((("percent", 1),), Fraction(1))
DEGREE: Unit = ((("degree", 1),), Fraction(1))
RADIAN: Unit = ((("radian", 1),), Fraction(1))

_SYMBOLS: dict[str, Unit] = {}
_NAMES: dict[str, Unit] = {}
_FORCE: Dimensions = (("g", 1), ("m", 1), ("s", -2))
_ENERGY: Dimensions = (("g", 1), ("m", 2), ("s", -2))
_POWER: Dimensions = (("g", 1), ("m", 2), ("s", -3))
_PRESSURE: Dimensions = (("g", 1), ("m", -1), ("s", -2))
_VOLTAGE: Dimensions = (("A", -1), ("g", 1), ("m", 2), ("s", -3))
_RESISTANCE: Dimensions = (("A", -2), ("g", 1), ("m", 2), ("s", -3))
_VOLUME: Dimensions = (("m", 3),)
_PREFIXES = {
    "n": ("nano", "1/1000000000"), "µ": ("micro", "1/1000000"), "u": ("micro", "1/1000000"), "m": ("milli", "1/1000"),
    "c": ("centi", "1/100"), "d": ("deci", "1/10"), "k": ("kilo", "1000"), "M": ("mega", "1000000"),
    "G": ("giga", "1000000000"),
}  # fmt: skip


def _metric(symbol: str, names: str, dimensions: Dimensions, factor: str = "1") -> None:
    """A unit with all its metric prefixes."""
    for prefix, (name, scale) in {"": ("", "1"), **_PREFIXES}.items():
        unit = dimensions, Fraction(factor) * Fraction(scale)
        if symbol:
            _SYMBOLS[prefix + symbol] = unit
        for spelled in names.split():
            _NAMES[name + spelled] = unit


def _define(dimensions: Dimensions, table: dict[str, str]) -> None:
    for names, factor in table.items():
        for name in names.split():
            _NAMES[name] = (dimensions, Fraction(factor))


_metric("m", "meter metre", (("m", 1),))
_metric("g", "gram", (("g", 1),))
_metric("s", "second", (("s", 1),))
_metric("A", "ampere amp", (("A", 1),))
_metric("N", "newton", _FORCE, "1000")
_metric("J", "joule", _ENERGY, "1000")
_metric("W", "watt", _POWER, "1000")
_metric("Pa", "pascal", _PRESSURE, "1000")
_metric("V", "volt", _VOLTAGE, "1000")
_metric("", "ohm", _RESISTANCE, "1000")
_metric("Hz", "hertz", (("s", -1),))
_metric("L", "liter litre", _VOLUME, "1/1000")
_metric("l", "", _VOLUME, "1/1000")
_metric("cal", "calorie", _ENERGY, "4184")
_metric("mol", "mole", (("mol", 1),))
_SYMBOLS |= {"h": ((("s", 1),), Fraction(3600)), "K": ((("kelvin", 1),), Fraction(1))}
_define((("m", 1),), {
    "in inch inche": "254/10000", "ft foot feet": "3048/10000", "yd yard": "9144/10000", "mi mile": "1609344/1000",
})  # fmt: skip
_define(_VOLUME, {
    "cc": "1/1000000", "gal gallon": "473176473/125000000000", "quart qt": "473176473/500000000000",
    "pint pt": "473176473/1000000000000", "cup": "473176473/2000000000000",
})  # fmt: skip
_define((("m", 2),), {"hectare": "10000", "acre": "316160658/78125"})
_define((("g", 1),), {"kg": "1000", "lb pound": "45359237/100000", "oz ounce": "45359237/1600000", "tonne": "1000000"})
_define((("s", 1),), {"sec": "1", "min minute": "60", "hr hour": "3600", "day": "86400", "week": "604800"})
_define((("month", 1),), {"month": "1", "year yr": "12", "decade": "120", "century centurie": "1200"})
_define(_ENERGY, {"kwh": "3600000000"})
_define(_PRESSURE, {"atm": "101325000", "bar": "100000000"})
_define((("dollar", 1),), {"dollar usd buck": "1", "cent": "1/100"})
_define((("euro", 1),), {"euro eur": "1"})
_define((("yen", 1),), {"yen jpy": "1"})
_define((("rupee", 1),), {"rupee rs inr": "1"})
_define((("yuan", 1),), {"yuan rmb cny 元": "1"})
_define((("gbp", 1),), {"gbp": "1"})
_define((("unit", 1),), {"unit": "1"})
_define((("percent", 1),), {"% percent percentage pct": "1"})
_define((("degree", 1),), {"degree deg": "1"})
_define((("radian", 1),), {"rad radian": "1"})
_define((("kelvin", 1),), {"kelvin": "1"})
_COMPOUND = {
    "mph": "mi / h", "kph": "km / h", "kmh": "km / h", "pound sterling": "gbp", "percentage point": "%",
    "percentage points": "%", "liters": "L", "fluid ounce": "fluid ounce",
}  # fmt: skip
_FILLER = frozenset({"of", "the", "a", "an", "in", "total", "about", "approximately", "exactly", "each"})
_PIECE = re.compile(r"[A-Za-zµ%]+|\^|/|-?[0-9]+|\S")
_PHRASE = re.compile(r"[^\W\d_]+(?:(?:[ /]|\. ?|-| - | / | \. )[^\W\d_]+)*\.?")
_MAX_WORDS = 6


def known(name: str) -> bool:
    """Whether `name` is a unit and not merely a word."""
    return name in _SYMBOLS or name.lower() in _COMPOUND or _lookup(name) is not None


def is_unit(text: str) -> bool:
    """Whether the words after a value are a known unit or one noun phrase, without numbers, operators or hedges."""
    try:
        _resolve_known(_COMPOUND.get(text.strip().lower(), text))
        return True
    except ValueError:
        pass
    words = re.findall(r"[^\W\d_]+", text)
    if not words or len(words) > _MAX_WORDS or not _PHRASE.fullmatch(text.strip()):
        return False
    return all(
        word.lower() not in NO_UNIT and (len(word) > 1 or word.lower() == "a" or known(word) or not word.isascii())
        for word in words
    ) and any(word.lower() not in _FILLER for word in words)


@lru_cache(maxsize=1024)
def resolve(text: str) -> Unit:
    """The dimension and factor of a unit's text; words that are no unit make one dimension of their own."""
    text = _COMPOUND.get(text.strip().lower(), text)
    try:
        return _resolve_known(text)
    except ValueError:
        words = sorted(_singular(word) for word in re.findall(r"[^\W\d_]+", text.lower()) if word not in _FILLER)
        return ((("word " + " ".join(words), 1),), Fraction(1)) if words else ((), Fraction(1))


def fits(unit: Unit, generic: Unit) -> bool:
    """Whether "units", "square units" or "cubic units" can stand for a unit: a length, an area, a count of things."""
    if len(generic[0]) != 1 or generic[0][0][0] != "unit":
        return False
    power = generic[0][0][1]
    return len(unit[0]) == 1 and (unit[0][0][1] == power and (power == 1 or unit[0][0][0] == "m"))


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
            found = _lookup(pieces[index - 1])
            if found is None:
                raise ValueError(f"unit {piece!r} is not known")
            if index < len(pieces) and pieces[index].lower() in ("squared", "cubed"):
                prefix = 2 if pieces[index].lower() == "squared" else 3
                index += 1
            elif index + 1 < len(pieces) and pieces[index] == "^":
                prefix = _small_power(pieces[index + 1])
                index += 2
            for dimension, own in found[0]:
                dimensions[dimension] = dimensions.get(dimension, 0) + sign * own * prefix
            factor *= found[1] ** (sign * prefix)
            prefix = 1
    if not pieces or prefix != 1:
        raise ValueError("no unit")
    return tuple(sorted((name, power) for name, power in dimensions.items() if power)), factor


def _lookup(name: str) -> Unit | None:
    lower = name.lower()
    found = _SYMBOLS.get(name) or _NAMES.get(lower) or _NAMES.get(_singular(lower))
    return found or (_SYMBOLS.get(lower) if len(name) > 1 and name.isupper() and lower in _SHOUTED else None)


_SHOUTED = frozenset({"cm", "km", "kg", "mm"})


def _small_power(text: str) -> int:
    power = int(text)
    if not 1 <= abs(power) <= 9:
        raise ValueError(f"power {text!r} of a unit must be from 1 to 9")
    return power


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word

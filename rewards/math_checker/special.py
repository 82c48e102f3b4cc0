r"""Readings that a whole answer may have beside its mathematics: numbers in words, other countries' digit groups,
decimals that go on (`0.1666…`), numerals of another base (`FF_{16}`), times of day, and quantities in two units.

`special_readings` returns nodes of `rewards.math_checker.parse`, `("clock", seconds, "a" | "p" | "")`,
`("in base", digits)` and `("comma", number)` for one decimal after a comma, which a gold answer `2,5` is not. Left out:
numbers in words of languages other than English.
"""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from functools import partial
from typing import Any

from rewards.math_checker.units import resolve

Node = tuple[Any, ...]

_MAX_CHARS = 200
_COMMA_DECIMAL = re.compile(r"-?(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)(?:\s*\$[^0-9]*)?")
_GROUPED = re.compile(
    r"-?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|-?[0-9]{1,3}(?:\.[0-9]{3}){2,}"  # 1.234,5 and 1.234.567
    r"|-?[0-9]{1,3}(?:['_][0-9]{3})+(?:\.[0-9]+)?|-?[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"  # 1'000, 1,00,000
)
_GOES_ON = re.compile(r"(-?)([0-9]*)\.([0-9]*)(?:\(([0-9]+)\)|(?:\.\.\.|\\[lc]?dots)\s*)")
_IN_BASE = re.compile(
    r"\(?(?:\\(?:text|mathrm) ?\{)?\(?([0-9A-F]+)\)?\}?\)? ?_ ?\{? ?(?:\\(?:text|mathrm) ?\{)? ?(?:base ?\}? ?)?"
    r"([0-9]{1,2}|[a-z]{3,8}) ?\}{0,2}"
)
_NAMED_BASE = re.compile(r"([0-9A-F]+) \(?(?:in )?base[ -]([0-9]{1,2}|[a-z]{3,8})\)?")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3])(?::([0-5][0-9]))?(?::([0-5][0-9]))?(?:\s*([ap])\.?\s*m\b\.?)?", re.IGNORECASE)
_SPOKEN_RATIO = re.compile(r"([1-9][0-9]{0,8}) ?(?::|to) ?([1-9][0-9]{0,8})")
_MARKUP = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}|\\[,; ]|~")
_QUANTITY = re.compile(r"([0-9./]+)\s*([A-Za-z]+)(?:,?\s*(?:and\b\s*)?(?=[0-9])|$)")
_ARC = re.compile(
    r"([0-9]+)\s*(?:\^\s*\{?\s*\\circ\s*\}?|degrees?,?)\s*([0-9]+(?:\.[0-9]+)?)\s*(?:'|minutes?,?)"
    r"(?:\s*([0-9]+(?:\.[0-9]+)?)\s*(?:''|seconds?)?)?"
)
_HAS_SIGN = re.compile(r"[CPA][ }]*[_^({0-9 ]")
_NUMBER_OR_LETTER = r"\s*\{?\s*([0-9]{1,6}|[a-z])\s*\}?"
_SIGN = r"\s*(?:\\(?:mathrm|text|mathbf|mathsf)\s*\{\s*)?([CPA])\s*\}?\s*"
# {}_{10}C_3 and ^{10}C_3; C_{10}^3; C^3_{10}; C(10, 3); 10C3
_COUNTING = (
    (re.compile(rf"(?<![\w)}}])(?:\{{\s*\}}\s*)?[_^]{_NUMBER_OR_LETTER}{_SIGN}_{_NUMBER_OR_LETTER}"), (1, 2, 3)),
    (re.compile(rf"(?<![A-Za-z]){_SIGN}_{_NUMBER_OR_LETTER}\s*\^{_NUMBER_OR_LETTER}"), (2, 1, 3)),
    (re.compile(rf"(?<![A-Za-z]){_SIGN}\^{_NUMBER_OR_LETTER}\s*_{_NUMBER_OR_LETTER}"), (3, 1, 2)),
    (re.compile(rf"(?<![A-Za-z]){_SIGN}\(\s*([0-9]{{1,6}}|[a-z])\s*,\s*([0-9]{{1,6}}|[a-z])\s*\)"), (2, 1, 3)),
    (re.compile(r"(?<![\w.])([0-9]{1,6})\s*([CP])\s*([0-9]{1,6})(?![\w.])"), (1, 2, 3)),
)
_RATIONAL = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:/[1-9][0-9]*)?")
_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 20 + 10 * i for i, word in enumerate(_TENS_WORDS.split())}
_SMALL = {word: value for value, word in enumerate(_WORDS.split())} | _TENS
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_BASES = {"binary": 2, "hex": 16} | {word: value for word, value in _SMALL.items() if 2 <= value <= 20}


def special_readings(text: str) -> list[Node]:
    """Every special reading of a whole cleaned answer."""
    if len(text) > _MAX_CHARS:
        return []
    plain = " ".join(_MARKUP.sub(lambda m: f" {m[1] or ''} ", text).split())
    found = [_numeral(text), _going_on(text), _based(text, plain), _clock(plain), _several_units(plain)]
    found += [_in_words(plain), _arc(plain), _digits(text, plain), _spoken_ratio(plain)]
    return [node for node in found if node is not None]


def counting_signs(text: str) -> str:
    """The text with `{}_{10}C_3`, `C(10, 3)` and relatives as binomials, and `P(5, 2)` as quotients of factorials."""
    if len(text) > _MAX_CHARS or not _HAS_SIGN.search(text):
        return text
    for pattern, places in _COUNTING:
        text = pattern.sub(partial(_spelled_out, places), text)
    return text


def _spelled_out(places: tuple[int, int, int], match: re.Match[str]) -> str:
    return _counted(*(match[place] for place in places))


def _counted(many: str, sign: str, few: str) -> str:
    if sign == "C":
        return rf"\binom{{{many}}}{{{few}}}"
    if many.isdigit() and few.isdigit():
        return rf"\frac{{{many}!}}{{{int(many) - int(few)}!}}" if int(few) <= int(many) else "0"
    return rf"\frac{{{many}!}}{{({many}-{few})!}}"


def _number(value: Fraction | int, decimals: int | None = None) -> Node:
    return ("num", Fraction(value), decimals)


def _numeral(text: str) -> Node | None:
    """A decimal comma (`2,74`) or digit groups that are not the English ones."""
    if _COMMA_DECIMAL.fullmatch(text):
        head, tail = text.partition("$")[0].strip().split(",")
    elif _GROUPED.fullmatch(text):
        mark = "," if text.count(".") and text.rfind(",") > text.rfind(".") else "."
        grouped = text if text.count(".") < 2 or mark == "," else text + mark
        head, _, tail = grouped.rpartition(mark) if mark in grouped else (grouped, "", "")
    else:
        return None
    head = re.sub("[.,'_]", "", head)
    node = _number(Fraction(int(head + tail), 10 ** len(tail)), len(tail))
    return ("comma", node) if _COMMA_DECIMAL.fullmatch(text) and len(tail) == 1 and head not in ("0", "-0") else node


def _going_on(text: str) -> Node | None:
    """`0.1(6)` and `0.1666...`: what repeats at the end, at least three digits long, repeats for ever."""
    match = _GOES_ON.fullmatch(text)
    if match is None:
        return None
    sign, head, tail, period = match.groups()
    if period is None:
        repeated = re.fullmatch(r"([0-9]*?)([0-9]{1,12}?)\2+", tail)
        if repeated is None or len(tail) - len(repeated[1]) < 3:
            return None
        tail, period = repeated[1], repeated[2]
    scale = 10 ** len(tail)
    value = Fraction(int(head or "0") * scale + int(tail or "0"), scale)
    value += Fraction(int(period), (10 ** len(period) - 1) * scale)
    return _number(-value if sign else value)


def _based(text: str, plain: str) -> Node | None:
    """`FF_{16}`, `1010_{two}`, `(413)_5`, `413 base 5`."""
    match = _IN_BASE.fullmatch(text) or _NAMED_BASE.fullmatch(plain)
    if match is None:
        return None
    base = int(match[2]) if match[2].isdigit() else _BASES.get(match[2], 0)
    try:
        return _number(int(match[1], base)) if 2 <= base <= 36 else None
    except ValueError:
        return None


def _digits(text: str, plain: str) -> Node | None:
    """The digits of `1011_2`, which an answer may give without the base."""
    match = _IN_BASE.fullmatch(text) or _NAMED_BASE.fullmatch(plain)
    return ("in base", int(match[1])) if match and match[1].isdigit() and len(match[1]) < 400 else None


def _spoken_ratio(plain: str) -> Node | None:
    """`3:4` and `3 to 4`, which may also be a range."""
    match = _SPOKEN_RATIO.fullmatch(plain)
    return ("ratio", tuple(_number(int(part)) for part in match.groups())) if match else None


def _clock(text: str) -> Node | None:
    """A time of day; `3:15` may also be a ratio, which the parser reads."""
    match = _CLOCK.fullmatch(text)
    if match is None or not (match[2] or match[4]):
        return None
    seconds = int(match[1]) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
    return ("clock", seconds, match[4].lower() if match[4] else "")


def _several_units(text: str) -> Node | None:
    """`1 hour 30 minutes`, `5 ft 3 in`: in the last unit."""
    parts = list(_QUANTITY.finditer(text))
    if len(parts) < 2 or "".join(part.group() for part in parts) != text:
        return None
    if not all(_RATIONAL.fullmatch(part[1]) for part in parts):
        return None
    units = [resolve(part[2]) for part in parts]
    falling = all(larger[1] > smaller[1] for larger, smaller in itertools.pairwise(units))
    if len({dimension for dimension, _ in units}) > 1 or not falling:
        return None
    total = sum((_fraction(p[1]) * scale for p, (_, scale) in zip(parts, units, strict=True)), Fraction(0))
    return ("unit", _number(total / units[-1][1]), parts[-1][2])


def _arc(plain: str) -> Node | None:
    """`30^\\circ 15' 20''`."""
    match = _ARC.fullmatch(plain)
    if match is None:
        return None
    value = Fraction(match[1]) + Fraction(match[2]) / 60 + Fraction(match[3] or 0) / 3600
    return ("fn", "degree", (_number(value),))


def _fraction(text: str) -> Fraction:
    top, _, bottom = text.partition("/")
    return Fraction(top) / Fraction(bottom or "1")


def _in_words(text: str) -> Node | None:
    """`two hundred and five`, `twenty-one`."""
    words = text.lower().replace("-", " ").split()
    if not words or len(words) > 12:
        return None
    total = part = 0
    previous = ""
    for word in words:
        if word == "and" and previous in ("hundred", *_LARGE):
            continue
        if word in _SMALL and (previous in ("", "hundred", *_LARGE) or (previous in _TENS and 0 < _SMALL[word] < 10)):
            part += _SMALL[word]
        elif word == "hundred" and 0 < part < 100 and previous in _SMALL:
            part *= 100
        elif word in _LARGE and part and (not total or total > _LARGE[word] * 999):
            total, part = total + part * _LARGE[word], 0
        else:
            return None
        previous = word
    return _number(total + part)

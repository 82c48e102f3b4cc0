"""Turns an answer's text, LaTeX or plain, into tokens for `rewards.math_checker.parse`.

Method: Unicode signs get their LaTeX or ASCII spelling, layout commands are dropped, digit groups are joined, and one
regular expression cuts the rest. A token is `(kind, value, spaced)`; kinds are num, cmd, sym, word, text and op.
Nothing is ever evaluated here. Left out: user macros, and any character that is not in the tables (the parser then
reports the text as unparsable, which is also the fate of look-alike letters).
"""

from __future__ import annotations

import re
import unicodedata

from rewards.math_checker.tables import (
    CONNECTIVES,
    FUNCTIONS,
    GREEK,
    LAYOUT,
    MULTIPLIERS,
    NAMED,
    SAME,
    TEXT_COMMANDS,
    UNICODE,
)

Token = tuple[str, str, bool]

MAX_CHARS = 6000
MAX_DIGITS = 4000
MAX_TOKENS = 1500


class MathTextError(ValueError):
    """The text is not mathematics this parser knows."""


class TooLargeError(MathTextError):
    """The text, or a number it denotes, is beyond the bounds."""


_UNICODE_RE = re.compile("|".join(re.escape(k) for k in sorted(UNICODE, key=len, reverse=True)))
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SMALL_FRACTION = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹]{1,12})[⁄/∕]([₀₁₂₃₄₅₆₇₈₉]{1,12})")
_SUPERSCRIPT_RE = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+")
_SUBSCRIPT_RE = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_JOINED_GROUP = re.compile(r"(?<=[0-9]) ?(?:\{ ?, ?\}|,\\!|\\!,|\\,|\\ |\\;|~)\s*(?=[0-9]{3}(?![0-9]))")
_SPACED_GROUP = re.compile(r"(?<![0-9.,/^_])[1-9][0-9]{0,2}(?: [0-9]{3})+(?![0-9])")
COMMA_GROUP = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9]|,[0-9])")
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<num>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+(?![0-9a-zA-Z^.]))?)"
    r"|\\(?P<cmd>[A-Za-z]+)"
    r"|\\(?P<escaped>.)"
    r"|(?P<word>[A-Za-z]+)"
    r"|(?P<op>\.\.\.|\*\*|<=|>=|!=|==|[-+*/^_=<>!%|(){}\[\],;:&'$~.?])",
    re.DOTALL,
)
_ESCAPED_OPS = {"{": "\\{", "}": "\\}", "%": "%", "$": "$", "\\": "\\\\", "|": "||", "&": "&", "#": "#", "_": "_"}
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_SPACE_IN_TEXT = re.compile(r"\\[,;:! ]|~|\\cdot\b|\\times\b|\\q?quad\b")
_BRACED = re.compile(r"\s*\{")
_BARE_LETTER = re.compile(r"\s*([A-Z])")
_ROMAN = frozenset({"mathrm", "mathbf", "mathit", "rm", "operatorname"})
_GLUED = re.compile(r"(sin|cos|tan|cot|sec|csc|ln|log)(x|[A-Z]{1,3})")  # sinx
_SPACE_GLUED = re.compile(r"q?quad(?=.)")  # \\quadx


def to_ascii(text: str) -> str:
    """`text` with the known Unicode signs spelled in LaTeX; what is left over after that stays as it is."""
    if text.isascii() and "\x0c" not in text and "\x08" not in text:
        return text
    text = _SMALL_FRACTION.sub(
        lambda m: rf"\frac{{{m[1].translate(_SUPERSCRIPTS)}}}{{{m[2].translate(_SUBSCRIPTS)}}}", text
    )
    text = _SUPERSCRIPT_RE.sub(lambda m: "^{" + m.group().translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RE.sub(lambda m: "_{" + m.group().translate(_SUBSCRIPTS) + "}", text)
    text = _UNICODE_RE.sub(lambda m: UNICODE[m.group()], text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def join_digit_groups(text: str, commas: bool) -> str:
    """`1{,}000`, `1\\,000` and `1 000` as `1000`, and `1,000` too if `commas`."""
    if "," not in text and " " not in text and "~" not in text and "\\" not in text:
        return text
    text = _JOINED_GROUP.sub("", text)
    text = _SPACED_GROUP.sub(lambda m: m.group().replace(" ", ""), text)
    return COMMA_GROUP.sub(lambda m: m.group().replace(",", ""), text) if commas else text


def matching_brace(text: str, start: int) -> int:
    """The index of the `}` that closes the `{` at `start`, or -1."""
    depth = 0
    for match in _BRACE.finditer(text, start):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if not depth:
                return match.start()
    return -1


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`. Raises `MathTextError` on unknown characters, `TooLargeError` past the bounds."""
    if len(text) > MAX_CHARS:
        raise TooLargeError(f"answer has {len(text)} characters, {MAX_CHARS} are allowed")
    tokens: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise MathTextError(f"character {text[position]!r} is not known in an answer")
        position = match.end()
        kind, value = match.lastgroup or "", match.group(match.lastgroup or 0)
        if kind == "space":
            spaced = True
            continue
        if kind == "cmd":
            position = _command(tokens, text, position, value, spaced)
        else:
            _simple(tokens, kind, value, spaced)
        spaced = False
        if len(tokens) > MAX_TOKENS:
            raise TooLargeError(f"answer has more than {MAX_TOKENS} tokens")
    return tokens


def _simple(tokens: list[Token], kind: str, value: str, spaced: bool) -> None:
    if kind == "num":
        if len(value) > MAX_DIGITS:
            raise TooLargeError(f"number has {len(value)} digits, {MAX_DIGITS} are allowed")
        tokens.append(("num", value, spaced))
    elif kind == "escaped":
        if value in _ESCAPED_OPS:
            tokens.append(("op", _ESCAPED_OPS[value], spaced))
        elif value not in " ,;:!>()[]/\n\t":
            raise MathTextError(f"command '\\{value}' is not known in an answer")
    elif kind == "word":
        _word(tokens, value, spaced)
    elif value == "...":
        tokens.append(("cmd", "ldots", spaced))
    elif value != "~":
        tokens.append(("op", {"**": "^", "==": "=", "<=": "leq", ">=": "geq", "!=": "neq"}.get(value, value), spaced))


def _word(tokens: list[Token], word: str, spaced: bool) -> None:
    """A run of letters: a function, a named constant or letter, a connective, a product of letters, or a word."""
    if word == "min" and tokens and tokens[-1][0] == "num":
        tokens.append(("word", word, spaced))
    elif glued := _GLUED.fullmatch(word):
        tokens.append(("cmd", glued.group(1), spaced))
        _word(tokens, glued.group(2), False)
    elif word in FUNCTIONS:
        tokens.append(("cmd", word, spaced))
    elif word in NAMED:
        tokens.append(("cmd", NAMED[word], spaced))
    elif word.lower() in CONNECTIVES:
        tokens.append(("op", word.lower(), spaced))
    elif len(word) == 1 or word in GREEK:
        tokens.append(("sym", word, spaced))
    else:
        tokens.append(("word", word, spaced))


def _command(tokens: list[Token], text: str, position: int, name: str, spaced: bool) -> int:
    """Adds the token of `\\name`; returns where reading goes on (past the argument of a text command)."""
    name = SAME.get(name, name)
    if name not in LAYOUT and (space := _SPACE_GLUED.match(name)):
        return position - (len(name) - space.end())
    if name in LAYOUT:
        return _delimiter(tokens, text, position, name, spaced)
    if name in TEXT_COMMANDS or name in (
        "operatorname",
        "mathbb",
        "begin",
        "end",
        "tag",
        "hspace",
        "phantom",
        "label",
    ):
        return _with_argument(tokens, text, position, name, spaced)
    if name in ("and", "or", "*", "/", "<", ">", "|", "[", "]", ":"):
        tokens.append(("op", name, spaced))
    elif name in ("{", "}"):
        tokens.append(("op", "\\" + name, spaced))
    elif name in GREEK or name == "T":
        tokens.append(("sym", name, spaced))
    else:
        tokens.append(("cmd", name, spaced))
    return position


def _delimiter(tokens: list[Token], text: str, position: int, name: str, spaced: bool) -> int:
    """`\\left|` and `\\right|` say which way a bar opens; `\\left.` is nothing; other layout commands are dropped."""
    if name not in ("left", "right"):
        return position
    rest = text[position : position + 6].lstrip()
    skipped = len(text[position : position + 6]) - len(rest)
    for bar in ("|", r"\vert"):
        if rest.startswith(bar):
            tokens.append(("cmd", "lbar" if name == "left" else "rbar", spaced))
            return position + skipped + len(bar)
    return position + skipped + 1 if rest.startswith(".") else position


def _with_argument(tokens: list[Token], text: str, position: int, name: str, spaced: bool) -> int:
    """`\\text{…}` and relatives: the argument is one token, not mathematics."""
    match = _BRACED.match(text, position)
    if match is None:
        letter = _BARE_LETTER.match(text, position) if name == "mathbb" else None
        if letter is None:
            return position
        tokens.append((name, letter.group(1), spaced))
        return letter.end()
    end = matching_brace(text, match.end() - 1)
    if end < 0:
        raise MathTextError(f"the brace after '\\{name}' is never closed")
    argument = _SPACE_IN_TEXT.sub(" ", text[match.end() : end])
    if name in ("begin", "end", "mathbb"):
        tokens.append((name, argument.strip(), spaced))
    elif name in ("tag", "hspace", "phantom", "label"):
        return end + 1
    elif argument.strip() in FUNCTIONS or (
        len(argument.strip()) == 1 and argument.strip().isalpha() and (name in _ROMAN or not tokens)
    ):
        _word(tokens, argument.strip(), spaced)
    elif len(argument.strip()) == 1 and name in _ROMAN:
        tokens.extend(tokenize(argument))
    elif argument.strip():
        first, _, rest = argument.strip().partition(" ")
        if tokens and first.lower() in MULTIPLIERS and rest:
            tokens.append(("word", first.lower(), True))
            argument = rest
        tokens.append(("text", argument.strip(), True))
    return end + 1

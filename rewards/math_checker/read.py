"""From an extracted answer to its possible trees: cleaning, multiple-choice letters, plain words, ambiguous numerals.

`readings` returns every tree that a careful reader would allow (`1,234` is a number or a pair); two answers are equal
when some pair of readings is. What is no mathematics but is made of words becomes `("text", words)` and is compared as
text; the rest raises `MathTextError`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from rewards.math_checker.lexer import COMMA_GROUP, MAX_CHARS, MathTextError, TooLargeError, to_ascii
from rewards.math_checker.parse import parse

Node = tuple[Any, ...]

_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ('"', '"'))
_FRENCH = re.compile(r"(?:\\left)?([\[\]])([^\[\]()\\]*,(?:[^\[\]()\\]|\\(?!right))*)(?:\\right)?([\[\]])")
_QUOTED = re.compile(r"\\(?:text|mbox|textbf|mathbf|textrm)\s*\{([^{}]*[0-9][^{}]*)\}")
_BOXED = re.compile(r"\\boxed\s*\{")
_CHOICE = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf|rm|bf)\s*\{?)?\s*\(?\s*([A-Ja-j])\s*([).:])\s*\}?"
    r"(?:\s*[~:.]|\\[ ,;:]|\\q?quad)*(.*)",
    re.DOTALL,
)
_NAMED_LETTER = re.compile(r"(?i:option|choice)\s+\(?([A-J])\)?")
_TEXT_LETTER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*\{\s*\(?([A-J])\)?\s*\}")
_LEADING_RELATION = re.compile(r"^(?:=|\\approx\b|\\Rightarrow\b|\\implies\b|\\therefore\b)\s*(?=\S)")
_LABEL = re.compile(
    r"\\text\s*\{[^{}]*(?:\bis|[:=])\s*\}\s*(?=\S)"
    r"|(?:\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|[A-Za-z][a-z]{3,}(?: [A-Za-z]+)*)\s*(?:=|:|\bis\b)\s*(?=\S)"
)
_TEXT_MARKUP = re.compile(r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' ,.\-]*")
_PLAIN_TEXT = re.compile(r"[\w\s.,;:'\"()&/!?$%+*=^{}-]*")
_COMMA_DECIMAL = re.compile(r"-?(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)(?:\s*\$[^0-9]*)?")
_SOFT_UNIT = re.compile(
    r"(.*[0-9}])(\s*)((?:m|g|s|h|L|J|N|W|V|km|cm|kg|ft|mi)(?:\s*/\s*(?:s|h|m|L|min|hr))?(?:\^\{?[23]\}?)?)"
)
_DOUBLE_ESCAPED = re.compile(
    r"\\\\(?=begin\b|(?:d|t|c)?frac\b|left\b|right\b|sqrt\b|pi\b|boxed\b|text\b|cup\b|in\b|infty\b)"
)
_EMPTY = frozenset({"no solution", "no solutions", "no real solution", "no real solutions", "empty set"})
_ALIASES = {
    "does not exist": "dne", "undefined": "dne", "all real numbers": "all reals", "yes": "yes", "correct": "true",
    "infinity": "infinity", "all reals": "all reals", "reals": "all reals",
}  # fmt: skip
_FORBIDDEN = re.compile(r"__|\bimport\b|\blambda\b\s*\w*:|\bexec\b|\beval\b|;\s*\w+\(")


def readings(candidates: list[str]) -> list[Node]:
    """The trees of the first candidate that is mathematics; the words of all of them if none is.

    An equation that had to be cut out of prose may stand for its last side.
    Raises `MathTextError` or `TooLargeError` if no candidate can be read.
    """
    words: list[Node] = []
    failure = MathTextError("answer is empty")
    for index, candidate in enumerate(candidates):
        try:
            trees = _read(candidate)
        except TooLargeError:
            raise
        except MathTextError as error:
            failure = error
            continue
        if trees[0][0] != "text" or len(trees) > 1:
            return trees + [tree[2][-1] for tree in trees if index and tree[0] == "rel" and set(tree[1]) == {"="}]
        words.extend(trees)
    if not words:
        raise failure
    return words


def _read(answer: str) -> list[Node]:
    """The trees of one text, most natural first."""
    text = clean(answer)
    if not text:
        raise MathTextError("answer is empty")
    if len(text) > MAX_CHARS:
        raise TooLargeError(f"answer has {len(text)} characters, {MAX_CHARS} are allowed")
    choice = _choice(text)
    if choice is not None:
        return [choice]
    words = plain_words(text)
    trees: list[Node] = [_word_node(words)] if words and (len(words) > 3 or words in ("yes", "no")) else []
    for variant, grouped in _variants(text):
        try:
            tree = parse(variant, grouped)
        except TooLargeError:
            raise
        except MathTextError:
            continue
        if tree not in trees:
            trees.append(tree)
    trees.extend(_special(text, trees))
    return trees or [_as_text(text)]


def pairings(answers: list[Node], golds: list[Node]) -> list[tuple[Node, Node]]:
    """The pairs of readings to compare. Letters that may be a unit or variables are a unit where the other side has
    one, and in an answer such as `5 m` also where the gold answer is a bare number."""
    pairs = []
    for answer in answers:
        for gold in golds:
            if gold[0] == "soft" and answer[0] not in ("unit", "soft"):
                continue
            if answer[0] == "soft" and gold[0] not in ("unit", "soft", "num" if answer[3] else "unit"):
                continue
            pairs.append((_harden(answer), _harden(gold)))
    return pairs


def _harden(node: Node) -> Node:
    return ("unit", *node[1:3]) if node[0] == "soft" else node


def clean(answer: str) -> str:
    """The answer without delimiters, emphasis, labels and trailing punctuation."""
    text = to_ascii(answer[: MAX_CHARS * 2]).strip()
    if "\\begin" not in text or "\\\\begin" in text:
        text = _DOUBLE_ESCAPED.sub(lambda match: "\\", text)
    previous = None
    bare = True
    while text != previous:
        previous = text
        text = _strip_punctuation(text)
        for left, right in _WRAPPERS:
            inner = text[len(left) : -len(right)]
            wrapped = text.startswith(left) and text.endswith(right) and len(text) >= len(left) + len(right)
            if wrapped and left not in inner and not text.endswith("\\" + right):
                text, bare = inner.strip(), bare and left in ("**", "`", '"')
        quoted = _QUOTED.fullmatch(text)
        text = quoted.group(1).strip() if quoted else text
        match = _BOXED.match(text)
        if match and text.endswith("}") and "\\boxed" not in text[match.end() :]:
            text, bare = text[match.end() : -1].strip(), False
    if bare and text.startswith("{") and text.endswith("}") and "\\" not in text and "{" not in text[1:]:
        text = "\\{" + text[1:-1] + "\\}"
    text = text.replace('"', "")
    if "$" in text:
        text = re.sub(r"(?<!\\)\$\s*(and|or|,)\s*(?<!\\)\$", r" \1 ", text)
        text = text.replace("$", "") if text.count("$") % 2 == 0 and "\\$" not in text else text
    if text.startswith("]") or text.endswith("[") or "\\left]" in text:
        text = _FRENCH.sub(lambda m: f"{'(' if m[1] == ']' else '['}{m[2]}{')' if m[3] == '[' else ']'}", text)
    text = _LEADING_RELATION.sub("", text)
    label = _LABEL.match(text)
    return text[label.end() :].strip() if label and label.end() < len(text) else text


def plain_words(text: str) -> str:
    """The text in lower case if it is only words, else an empty string."""
    unwrapped = " ".join(_TEXT_MARKUP.sub(r"\1", text).replace("~", " ").replace("\\ ", " ").split())
    return unwrapped.strip(" .,").lower() if _WORDS.fullmatch(unwrapped) else ""


def _strip_punctuation(text: str) -> str:
    text = text.strip().removesuffix("\\\\")
    while text and text[-1] in ".,;" and not text.endswith(("...", "\\,", "\\;")):
        text = text[:-1].rstrip()
    for space in ("\\,", "\\;", "\\!", "\\ "):
        text = text.removesuffix(space) if not text.endswith("\\" + space) else text
    return text.strip()


def _choice(text: str) -> Node | None:
    """`(C)`, `C.`, `\\text{C}`, `\\textbf{(C)}\\ 12` as a choice; a bare letter is a symbol, which matches too."""
    letter = _TEXT_LETTER.fullmatch(text) or _NAMED_LETTER.fullmatch(text)
    if letter:
        return ("choice", letter.group(1), None)
    match = _CHOICE.fullmatch(text) if len(text) < 300 else None
    if match is None:
        return None
    bracketed = "(" in text[: match.start(1)]
    rest = (
        match.group(3).strip().removesuffix("}").strip()
        if match.group(3).count("}") > match.group(3).count("{")
        else match.group(3).strip()
    )
    if (bracketed and match.group(2) != ")") or (rest and match.group(1).islower()):
        return None
    if not rest:
        return ("choice", match.group(1).upper(), None)
    if rest[0] in "+-*/^=<>_,!([" or (match.group(2) == ":" and bracketed):
        return None
    try:
        return ("choice", match.group(1), _read(rest)[0])
    except MathTextError:
        return ("choice", match.group(1), None)


def _variants(text: str) -> list[tuple[str, bool]]:
    """The texts to parse, each with whether `1,000` is one number; the second is the less natural one."""
    if not COMMA_GROUP.search(text):
        return [(text, True)]
    in_brackets = any(bracket in text for bracket in ("(", "[", "\\{")) and not re.search(r",\s", text)
    return [(text, not in_brackets), (text, in_brackets)]


def _special(text: str, trees: list[Node]) -> list[Node]:
    """A decimal comma (`2,74`), and a one-letter unit that the parser took for a variable (`5 m`)."""
    found: list[Node] = []
    if _COMMA_DECIMAL.fullmatch(text):
        head, tail = text.partition("$")[0].strip().split(",")
        found.append(("num", Fraction(int(head + tail), 10 ** len(tail)), len(tail)))
    match = _SOFT_UNIT.fullmatch(text) if trees and len(text) < 60 else None
    if match and trees[0][0] == "mul":
        try:
            apart = bool(match.group(2)) or "/" in match.group(3) or "^" in match.group(3)
            found.append(("soft", parse(match.group(1), True), match.group(3), apart))
        except MathTextError:
            return found
    return found


def _word_node(words: str) -> Node:
    if words in _EMPTY:
        return ("const", "empty")
    words = _ALIASES.get(words, words)
    return {"all reals": ("const", "R"), "infinity": ("const", "inf")}.get(words, ("text", words))


def _as_text(text: str) -> Node:
    """Words with some mathematics among them, as one normalized string."""
    unwrapped = " ".join(_TEXT_MARKUP.sub(r" \1 ", text).replace("$", "").split())
    if (
        not re.search(r"[A-Za-z]{3}|[ap]\.?m\b", unwrapped)
        or not _PLAIN_TEXT.fullmatch(unwrapped)
        or _FORBIDDEN.search(unwrapped)
    ):
        raise MathTextError(f"answer {text[:60]!r} is neither mathematics nor words")
    return _word_node(re.sub(r"\s*([^\w\s])\s*", r"\1", unwrapped).strip(" .").lower())

"""From an extracted answer to its possible trees: cleaning, multiple-choice letters, plain words, ambiguous numerals.

`readings` returns every tree that a careful reader would allow (`1,234` is a number or a pair); two answers are equal
when some pair of readings is. What is no mathematics but is made of words becomes `("text", words)` and is compared as
text; the rest raises `MathTextError`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from rewards.math_checker.clean import clean, plain_words, without_markup
from rewards.math_checker.lexer import COMMA_GROUP, MAX_CHARS, MathTextError, TooLargeError
from rewards.math_checker.meanings import meanings
from rewards.math_checker.parse import parse
from rewards.math_checker.relations import has_symbol
from rewards.math_checker.special import counting_signs, special_readings
from rewards.math_checker.tables import NO_UNIT

Node = tuple[Any, ...]

_CHOICE = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf|rm|bf)\s*\{?)?\s*\(?\s*([A-Ja-j])\s*([).:])\s*\}?"
    r"(?:\s*[~:.]|\\[ ,;:]|\\q?quad)*(.*)",
    re.DOTALL,
)
_JOINED = re.compile(r"(?:\\text\s*\{\s*)?(?:and\b|or\b|&)")
_NAMED_LETTER = re.compile(r"(?i:option|choice)\s+\(?([A-J])\)?")
_TEXT_LETTER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*\{\s*\(?([A-J])\)?\s*\}")
_CAPITALS = re.compile(r"(?:\\(?:text|mathrm|textbf|overline)\s*\{\s*)?([A-Z]{2,6})\s*\}?")
_BRACKETS = re.compile(r"[(\[|{=<>]|\\begin")
_NO_CHAIN = re.compile(r"\bnot\b|n't\b|\\n(?:ot|eq?|eg)\b|\\lnot\b|≠|[/!<>:]\s*$", re.IGNORECASE)
_LITTLE = frozenset({"the", "at", "we", "get", "then", "thus", "therefore", "hence", "have", "find", "for"})
_DATE = re.compile(r"[12][0-9]{3}-(?:0[1-9]-[0-3][0-9]|1[0-2]-0[1-9])")
_EXTREMES = frozenset({"max", "min", "maximum", "minimum", "mean", "base"})
_CAPITAL_WORDS = frozenset({"DNE", "YES", "NO", "TRUE", "FALSE", "NONE", "EMPTY", "ODD", "EVEN"})
_LABELLED = re.compile(
    r"(?:\\text\s*\{)?\s*([A-Za-z]{3,20}(?: [A-Za-z]{2,20})?)\s*(?:\bis\b|[:=])?\s*\}?\s*[:=]?\s*(-?[0-9\\.][^,;]*)"
)
_ALONE = ("clock", "letters")
_PLAIN_TEXT = re.compile(r"[\w\s.,;:'\"()&/!?$%+*=^{}-]*")
_SOFT_UNIT = re.compile(
    r"(.*(?:[0-9}]|\\pi))(\s*)((?:m|g|s|h|L|J|N|W|V|km|cm|kg|ft|mi)(?:\s*/\s*(?:s|h|m|L|min|hr))?(?:\^\{?[23]\}?)?)"
)
_EMPTY = re.compile(
    r"(?:there (?:is|are) )?no (?:real |integer |such )?(?:solutions?|roots?|values?)(?: exists?)?"
    r"|(?:the )?(?:empty|null) set|none|empty|无解|空集"
)
_ALIASES = {
    "does not exist": "dne", "undefined": "dne", "all real numbers": "all reals", "yes": "yes", "correct": "true",
    "infinity": "infinity", "all reals": "all reals", "reals": "all reals",
}  # fmt: skip
_FORBIDDEN = re.compile(r"__|\bimport\b|\blambda\b\s*\w*:|\bexec\b|\beval\b|;\s*\w+\(")


def readings(candidates: list[str]) -> list[Node]:
    """The trees of the first candidate that is mathematics, and the words of those before it.

    An equation that had to be cut out of prose may stand for its last side.
    Raises `MathTextError` or `TooLargeError` if no candidate can be read.
    """
    words: list[Node] = []
    candidates = [*candidates, *_last_sides(candidates)]
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
            sides = [tree[2][-1] for tree in trees if index and tree[0] == "rel" and set(tree[1]) == {"="}]
            return trees + sides + words
        words.extend(trees)
    if not words:
        raise failure
    return words


def _last_sides(candidates: list[str]) -> list[str]:
    """What follows the last `=`: of a chain in which something cannot be read, the last side may be all that counts."""
    cut = [candidate.rpartition("=") for candidate in candidates[:1] if "=" in candidate]
    sides = [side for left, _, side in cut if not _NO_CHAIN.search(left)]
    return [side for side in sides if side.count("{") == side.count("}") and side.strip(" $")]


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
    trees: list[Node] = [_word_node(words)] if words and (len(words) > 3 or words in ("yes", "no", "dne")) else []
    if _DATE.fullmatch(text):
        return [("text", text)]
    if ratio := _ratio(text):
        return [ratio, *special_readings(text)]
    for variant, grouped in _variants(text):
        try:
            tree = parse(variant, grouped)
        except TooLargeError:
            raise
        except MathTextError:
            continue
        if tree not in trees:
            trees.append(tree)
    capitals = _CAPITALS.fullmatch(text)
    if capitals and capitals.group(1) not in _CAPITAL_WORDS:
        trees.insert(0, ("letters", capitals.group(1)))
    trees.extend(special_readings(text))
    trees.extend(_labelled(text))
    trees.extend(_soft_unit(text, trees))
    return trees or [_as_text(text)]


def pairings(answers: list[Node], golds: list[Node]) -> list[tuple[Node, Node]]:
    """The pairs of trees to compare. Two texts that can both be times of day, or runs of capitals, are only that."""
    only = next((kind for kind in _ALONE if all(any(n[0] == kind for n in nodes) for nodes in (answers, golds))), "")
    if any(node[0] == "in base" for node in answers):  # the answer names a base itself
        golds = [node for node in golds if node[0] != "in base"] or golds
    pairs = [(a, g) for a in answers for g in golds if not only or a[0] == g[0] == only]
    return [pair for a, g in pairs if only or _fit(a, g) for pair in meanings(_harden(a), _harden(g))]


def _fit(answer: Node, gold: Node) -> bool:
    """Whether this pair of readings is meant. Letters that may be a unit or variables are a unit where the other side
    has one, and in an answer such as `5 m` also where the gold answer is a bare number."""
    if "clock" in (answer[0], gold[0]):
        return False
    if gold[0] == "comma":
        return answer[0] == "comma"
    if "in base" in (answer[0], gold[0]):
        return gold[0] == "in base" and answer[0] == "num"
    if gold[0] == "soft" and answer[0] not in ("unit", "soft"):
        return "/" in gold[2] and _is_constant(answer)
    return answer[0] != "soft" or gold[0] in ("unit", "soft") or (answer[3] and _is_constant(gold))


def _is_constant(node: Node) -> bool:
    return node[0] in ("num", "mul", "pow", "const", "fn") and not has_symbol(node)


def _harden(node: Node) -> Node:
    if node[0] == "comma":
        return node[1]
    if node[0] == "in base":
        return ("num", Fraction(node[1]), None)
    return ("unit", *node[1:3]) if node[0] == "soft" else node


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
    if rest[0] in "+-*/^=<>_,!([" or _JOINED.match(rest) or (match.group(2) == ":" and bracketed):
        return None
    try:
        return ("choice", match.group(1), _read(rest)[0])
    except MathTextError:
        return ("choice", match.group(1), None)


def _variants(text: str) -> list[tuple[str, bool]]:
    """The texts to parse, each with whether `1,000` is one number; the second is the less natural one."""
    counted = counting_signs(text)
    if counted != text:
        return [(text, True), (counted, True)]
    if not COMMA_GROUP.search(text):
        return [(text, True)]
    in_brackets = any(bracket in text for bracket in ("(", "[", "\\{")) and not re.search(r",\s", text)
    return [(text, not in_brackets), (text, in_brackets)]


def _ratio(text: str) -> Node | None:
    """`1:2:3`, which is no quotient of quotients."""
    parts = text.split(":") if text.count(":") > 1 and not _BRACKETS.search(text) else []
    try:
        return ("ratio", tuple(parse(part, True) for part in parts)) if parts else None
    except MathTextError:
        return None


def _labelled(text: str) -> list[Node]:
    """`\\text{max }1, \\text{ min }3`: values with words for names."""
    parts = [_LABELLED.fullmatch(part.strip()) for part in re.split(r"[,;]", text)] if len(text) < 200 else []
    words = {word for m in parts if m for word in m[1].lower().split()}
    if len(parts) < 2 or not all(parts) or words & (NO_UNIT - _EXTREMES | _LITTLE):
        return []
    try:
        pairs = tuple((("sym", f"word {m[1].lower()}"), parse(m[2], True)) for m in parts if m)
    except MathTextError:
        return []
    return [("list", tuple(("rel", ("=",), pair) for pair in pairs))]


def _soft_unit(text: str, trees: list[Node]) -> list[Node]:
    """A one-letter unit that the parser took for a variable (`5 m`)."""
    match = _SOFT_UNIT.fullmatch(text) if trees and len(text) < 60 else None
    if match is None or trees[0][0] != "mul":
        return []
    apart = bool(match.group(2)) or "/" in match.group(3) or "^" in match.group(3)
    try:
        return [("soft", parse(match.group(1), True), match.group(3), apart)]
    except MathTextError:
        return []


def _word_node(words: str) -> Node:
    if _EMPTY.fullmatch(words):
        return ("const", "empty")
    words = _ALIASES.get(words, words)
    return {"all reals": ("const", "R"), "infinity": ("const", "inf")}.get(words, ("text", words))


def _as_text(text: str) -> Node:
    """Words with some mathematics among them, as one normalized string."""
    unwrapped = without_markup(text)
    if (
        not re.search(r"[A-Za-z]{3}|[ap]\.?m\b|[\u4e00-\u9fff]", unwrapped)
        or not _PLAIN_TEXT.fullmatch(unwrapped)
        or _FORBIDDEN.search(unwrapped)
    ):
        raise MathTextError(f"answer {text[:60]!r} is neither mathematics nor words")
    return _word_node(re.sub(r"\s*([^\w\s])\s*", r"\1", unwrapped).strip(" .").lower())

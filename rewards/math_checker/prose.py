"""What the words around an answer say: where a sentence ends, what of it is mathematics, whether it is meant.

An answer that is denied ("is not 3", "can't be 3"), bounded ("between 3 and 4", "at least 3"), hedged ("maybe 3", "it
could be 3") or one of several ("3 or else 4") is not reduced to a number that stands in it. All texts are cut before
they come here; every pattern is linear in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rewards.math_checker.tables import NO_UNIT

CHAT_END = re.compile(r"<\|[a-z_]+\|>|</s>|\bI hope (?:it is correct|this helps)", re.IGNORECASE)
MATH_SPAN = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_MONEY = re.compile(r"\$[0-9][^$]*[\s=+*/x×(–-]\$")
_SENTENCE_END = re.compile(r"\.(?:\s|\*|$)|\n|\?\s|。|!(?:\s+[A-Z]|\s*$)|,\s+(?:not|rather than|instead of)\b")
_FULL_STOP = re.compile(r"[.?!]\s|\n|。|[,;]\s+(?=(?!or\b|nor\b|and\s+[^A-Za-z])[a-z\\$])|:\s")
_STATEMENT = re.compile(
    r"(?:\b(?:is|are|equals?|be|equal to|=>|gives?|get|have|of|by|approximately|about)|[:→⇒])\s+(?=\S)"
    r"|(?<![/!<>~=])=\s*(?=[^\s=])"
)
_WEAK = frozenset({"of", "by", "have", "about", "approximately", "get"})
_ONLY_JOINED = re.compile(r"[\s,.;]*(?:(?:and|or)[\s,.;]*){0,20}")
_OPENING = re.compile(r"^(?:(?:so|thus|therefore|hence|then|we (?:get|have|find)|giving|that)\b,?\s*)+", re.IGNORECASE)
_HAS_VALUE = re.compile(r"[0-9$\\]")
_NEAR = 6
_WORD = re.compile(r"[A-Za-z]{2}")
_LETTER = re.compile(r"(?<![\w\\])\([A-J]\)(?!\w)")
_NUMBER = re.compile(
    r"(?<![\w.{}^/*+(,\\-])[-−]?[$€£¥]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:[.,][0-9]+)?(?:\s*/\s*[0-9]+)?"
    r"(?:\s*\\?%)?(?![0-9{^*+(;]|/\s*[0-9({\\])"
)
_BOUNDED = re.compile(
    r"\b(?:no|excluding|without|unless|besides|unequal|differs?|different from|ruled? out|rejects?|at (?:least|most)"
    r"|(?:more|less|fewer|greater|larger|smaller|higher|lower|bigger) than|up to|between|from|above|below|under|over"
    r"|exceeds?|nearly|almost|close to|wrong|incorrect|false)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\b(?:not|never|nor|neither|cannot|isnt|arent|cant|except|(?:anything|everything|all) but|(?:rather|other) than"
    r"|instead of)\b|n't\b|n’t\b|≠|\\not?\b|\\neq?\b",
    re.IGNORECASE,
)
_COMPUTED = re.compile(r"(?:[-+*/×÷^().,$%=\s]|\d|\b[a-z]\b)+$")
_HEDGED_AFTER = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|unsure|not sure|uncertain|no idea|guess(?:ing)?"
    r"|or so|or something|or else|or not|unless|who knows|alternatively|alternately"
    r"|(?:could|may) be (?:wrong|mistaken|off))\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|unsure|not sure|uncertain|no idea|guess(?:ing|es)?|supposedly|who knows"
    r"|(?:don't|do not|can't|cannot) (?:know|say|tell)|alternatively|alternately)\b",
    re.IGNORECASE,
)
_MODAL = re.compile(
    r"\b(?:might|may(?: also)? be|could(?: also)? be|could equal|can be|either|or so|or something|or else|or not)\b",
    re.I,
)
_DIRECTLY_DENIED = re.compile(
    r"(?:\b(?:not|never|cannot|neither|nor|no longer|anything but|other than|except|rather than|instead of"
    r"|(?:more|less|fewer|greater) than|at (?:least|most)|between|from|unequal to|different from)"
    r"|n't|n’t|≠|\\neq?|\\not ?=)"
    r"(?: (?:be|equal|equal to|equals|exactly|simply|just|the answer|always|necessarily|really)){0,2}[\s$({:\\\[=*]*$",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"[\s$.,;:()\]\\*!?-]*(?:(?:but|and|however|yet|no|hmm|wait),? )*(?:(?:that|this|it|which|he|she|they)\b ?)?"
    r"(?:'s |is |was |are |would be |must be |seems |can ?not be |can't be )?(?:\w+ )?"
    r"(?:not (?:right|correct|true|the (?:right |correct |final )?answer|it|possible|valid)|wrong\b|incorrect\b|false\b"
    r"|isn't (?:right|correct|the answer|it)|not\b[.!]|a mistake)|[\s$)\]\\*]*\?\s*(?:no|nope|wrong|incorrect)\b",
    re.IGNORECASE,
)
_REVISION = re.compile(
    r"\b(?:actually|wait|no,|correction|sorry|or rather|i mean|i meant|mistake|mistaken|hmm|oops|on second thought"
    r"|scratch that|or (?:maybe|perhaps|possibly|else|is it)|alternatively|but (?:maybe|perhaps)|maybe|perhaps|possibly"
    r"|(?:that|this|it)(?: is|'s| was) (?:wrong|not|incorrect|false))\b",
    re.IGNORECASE,
)
_ALTERNATIVES = re.compile(
    r"\b(?:or|either|alternatively|alternately|otherwise|else|maybe|perhaps|possibly|versus|vs|unless)\b", re.IGNORECASE
)
_CORRECTED = re.compile(
    r"\b(?:wrong|rather|no|not|incorrect|instead|actually|wait|so|hence|thus|therefore)\b|n't", re.I
)
_LINKS = frozenset({"in", "of", "on", "at", "per", "for", "by", "a", "the", "with"})
_ASIDE = re.compile(
    r",?\s+(?:which|because|since|i\.e\.|meaning)\b|,\s+(?:as (?!well)|where\b|and (?:we are|that is)\b"
    r"|(?:attained|achieved|reached|occurring|obtained|when|with equality)\b)",
    re.IGNORECASE,
)
_ATTAINED = re.compile("attained|achieved|reached|occurring|when|equality", re.IGNORECASE)
_JOINS = re.compile(
    r"[\s,.;$]*(?:\b(?:and|or|nor|to|through|versus|vs)\b[\s,]*(?:\w+ ){0,2})?[\s$]*|[^.$]*\bor\b[^.$]*"
)


def first_sentence(text: str) -> str:
    """Up to a full stop or line end that is not inside `$…$` or brackets."""
    spans = [match.span() for match in spans_of(text)]
    for match in _SENTENCE_END.finditer(text):
        if not any(start < match.start() < end for start, end in spans):
            return text[: match.start()].strip()
    return text.strip()


def spans_of(text: str) -> list[re.Match[str]]:
    """The spans between math signs, without what lies between two amounts of money: `$3 x 60 = $180`."""
    return [match for match in MATH_SPAN.finditer(text) if not _MONEY.fullmatch(match.group())]


def _without(text: str, spans: list[re.Match[str]]) -> str:
    parts, end = [], 0
    for span in spans:
        parts.append(text[end : span.start()])
        end = span.end()
    return " ".join([*parts, text[end:]])


def inner(span: re.Match[str]) -> str:
    """What stands between the signs of a math span."""
    return next(group for group in span.groups() if group is not None).strip()


def doubted_before(text: str, several: bool = False) -> bool:
    """Whether the words that lead to an answer deny it or hedge; "between" may lead to `several` values."""
    clause = _last_clause(text[-160:])
    clause = re.sub(r"\bbetween\s*\W*$", "", clause) if several else clause
    near = _last_words(clause, _NEAR)
    return bool(_DIRECTLY_DENIED.search(clause) or _HEDGED.search(clause) or _MODAL.search(near))


def denied_after(text: str) -> bool:
    """Whether the words right after an answer take it back."""
    return _TAKEN_BACK.match(text) is not None


def joins_alternatives(between: str) -> bool:
    """Whether what stands between two boxes makes the second an alternative: "or else", "alternatively"."""
    return bool(_ALTERNATIVES.search(between)) and not _CORRECTED.search(between)


def revised(sentence: str, rest: str) -> str | None:
    """The sentence of an answer, or what a later sentence puts in its place; None if that hedges or only denies."""
    sentence = sentence.strip(" *")
    if denied_after(rest[:80]):
        return None
    found = _REVISION.search(rest)
    if found is None:
        return sentence
    later = rest[found.start() :].strip()
    if _HEDGED.search(later) or _MODAL.search(later):
        return None
    values = [value for value in reductions(first_sentence(later), is_gold=False) if value]
    return values[0] if values else sentence if not _NUMBER.search(later) else None


def reductions(sentence: str, is_gold: bool) -> Iterator[str]:
    """A sentence's mathematics: what follows its last "is" or "=", its last `$…$`, its last number in prose."""
    sentence = sentence.strip(" *\t\"'`").removesuffix(".").rstrip(" *")
    listed = _OPENING.sub("", sentence, count=1)
    spans = spans_of(sentence)
    prose = _without(sentence, spans)
    if _ONLY_JOINED.fullmatch(_without(listed, spans_of(listed))):
        yield listed
    if not is_gold and denied_after(_after_last_value(sentence)):
        return
    aside = _ASIDE.search(sentence)
    computed = aside and "=" in sentence[aside.end() :] and not _ATTAINED.search(aside.group())
    remark = aside and not computed and not _inside(aside.start(), spans)
    if (
        aside
        and remark
        and not _NEGATED.search(sentence, 0, aside.start())
        and _HAS_VALUE.search(sentence, 0, aside.start())
    ):
        sentence = sentence[: aside.start()]
        spans = spans_of(sentence)
        prose = _without(sentence, spans)
        if not _WORD.search(prose):
            yield sentence
    for begin, value in _values(sentence, prose, spans, is_gold):
        if value.count("{") == value.count("}") and (is_gold or not _doubted(sentence, begin)):
            yield value


def _doubted(sentence: str, begin: int) -> bool:
    """Whether the words around the place where a value begins deny it, bound it, or hedge."""
    clause = _last_clause(sentence[:begin])
    if _HEDGED.search(clause) or _MODAL.search(_last_words(clause, _NEAR)) or _HEDGED_AFTER.search(sentence, begin):
        return True
    if clause.rstrip().endswith("="):  # 25 - 19 = 6
        return _NEGATED.search(_last_words(_COMPUTED.sub("", clause), 4)) is not None
    words = _last_words(_after_last_value(clause) or clause, _NEAR + 2)
    return bool(_BOUNDED.search(_last_words(clause, 4)) or _NEGATED.search(words))


def _last_words(text: str, count: int) -> str:
    return " ".join(text.split()[-count:])


def _values(sentence: str, prose: str, spans: list[re.Match[str]], is_gold: bool) -> Iterator[tuple[int, str]]:
    """The parts of a sentence that may be its answer, with where each begins."""
    inside = [span.span() for span in spans]
    verbs = [m for m in _STATEMENT.finditer(sentence) if not any(s < m.start() < e for s, e in inside)]
    numbers = list(_NUMBER.finditer(sentence)) if "\\" not in prose and _WORD.search(prose) else []
    strong = [v for v in verbs if v.group().strip() not in _WEAK or not any(n.end() <= v.start() for n in numbers)]
    valued = [v for v in strong if _HAS_VALUE.search(sentence, v.end())]
    verb = (valued or strong)[-1] if strong else None
    if verb:
        yield verb.end(), sentence[verb.end() :].strip(" *")
    last_span = spans[-1] if spans else None
    if last_span and not (numbers and numbers[-1].start() >= last_span.end()):
        alone = len(spans) < 2 or not _JOINS.fullmatch(sentence[spans[-2].end() : last_span.start()])
        if alone:
            yield last_span.start(), inner(last_span)
    if is_gold:
        return
    stated = [n for n in numbers if verb is None or n.start() >= verb.end()] or numbers
    if len(stated) > 1 and verb and stated[0].start() == verb.end() and _apart(sentence, stated[0], stated[1]):
        yield stated[0].start(), stated[0].group().strip()
        return
    if stated and len({number.group().strip() for number in stated}) == 1:
        yield stated[-1].start(), stated[-1].group().strip()
    letters = list(_LETTER.finditer(sentence))
    if letters and len({letter.group() for letter in letters}) == 1:
        yield letters[-1].start(), letters[-1].group()


def _apart(sentence: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether the words between two numbers make the second say more of the first: `328 pages in 240 minutes`."""
    words = set(re.findall(r"[a-z]+", sentence[first.end() : second.start()].lower()))
    return bool(words - _LINKS) and not words & NO_UNIT


def _inside(place: int, spans: list[re.Match[str]]) -> bool:
    return any(span.start() < place < span.end() for span in spans)


def _after_last_value(sentence: str) -> str:
    numbers = list(_NUMBER.finditer(sentence))
    return sentence[numbers[-1].end() :] if numbers else ""


def _last_clause(text: str) -> str:
    """The clause that a text ends in; "3, or 4" is one."""
    ends = list(_FULL_STOP.finditer(text))
    return text[ends[-1].end() :] if ends else text

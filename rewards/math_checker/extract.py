"""Finds the final answer in a model's whole response.

Order: what follows the last `</think>`; the last `<answer>…</answer>`; then the later one of the last `\\boxed{}`
(several joined by commas or "and" are a list) and the last "final answer is"; then `####`, then "the answer is", then
the last sentence. A bare answer comes back unchanged. The result is texts, nothing is parsed here; those after the
first are the same statement without the prose around it, for when the first is no mathematics.
Only the end of a very long response is searched, so the work is linear and bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rewards.math_checker.lexer import matching_brace

MAX_SEARCHED = 200_000
_TAIL = 20_000
_BARE = 120
_LINE = 2_000
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(?=[0-9A-Za-z\\]))")
_BETWEEN_BOXES = re.compile(
    r"(?:[\s,$;.&]|\\[\[\]()\\,;: ]|\\q?quad|\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|\band\b|\bor\b)*"
)
_MARKS = re.compile(r"\$|\\[()\[\],;: ]|\\q?quad|\\text\s*\{|\}")
_CONNECTED = re.compile(r"(?:[A-Za-z()]+ ){0,4}(?:,|,? ?and|,? ?or) ?(?:[A-Za-z](?:_\{?\w{1,3}\}?)?(?:\([a-z]\))? ?=)?")
_AFTER_BOX = re.compile(r"\s*\$?\s*(?:\\?%|percent(?:age)?\b|pct\b)")
_ANSWER_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_ANSWER_WORD = r"(?:\banswer|réponse|respuesta|resposta|risposta|antwort|ответ|答案)"
_FINAL = re.compile(r"final\s+answer(?:\s+is|\s*[:=]|\**\s*:\**)+", re.IGNORECASE)
_ANSWER = re.compile(
    _ANSWER_WORD + r"(?:\s+(?:is|est|es|ist|lautet|è|é)\b|\s*(?:[:=：]|是|为|為)|\**\s*[:：]\**)+", re.IGNORECASE
)
_CHAT_END = re.compile(r"<\|[a-z_]+\|>|</s>|\bI hope (?:it is correct|this helps)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?:\s|\*|$)|\n|\?\s|。|!(?:\s+[A-Z]|\s*$)|,\s+(?:not|rather|instead)\b")
_STATEMENT = re.compile(
    r"(?:\b(?:is|are|equals?|be|equal to|=>|gives?|get|have|of|by|approximately|about)|[:=→⇒])\s+(?=\S)"
)
_MATH_SPAN = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_MARKER = re.compile(r"\\(?:boxed|fbox|framebox)|<answer>|</think>|####|" + _ANSWER_WORD, re.IGNORECASE)
_NOT = re.compile(r"(?:\b(?:not?|(?:more|less|fewer|greater|other) than)|n't)\s+[$(]?$")
_ONLY_JOINED = re.compile(r"[\s,.;]*(?:(?:and|or)[\s,.;]*){0,20}")
_OPENING = re.compile(r"^(?:(?:so|thus|therefore|hence|then|we (?:get|have|find)|giving|that)\b,?\s*)+", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]{2}")
_LETTER = re.compile(r"(?<![\w\\])\([A-J]\)(?!\w)")
_TWO_LETTERS = re.compile(r"\([A-J]\)\s*(?:,|&|and|or)+\s*\([A-J]\)")
_NUMBER = re.compile(
    r"(?<![\w.{}^/*+(,\\-])[-−]?[$€£¥]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:[.,][0-9]+)?(?:\s*/\s*[0-9]+)?"
    r"(?:\s*\\?%)?(?![0-9{^*/+(;])"
)


def extract(text: str, is_gold: bool = False) -> list[str]:
    """Candidates for the answer inside `text`, best first: the second is the first without the prose around it.

    A bare gold answer such as `June 20` is words: the number in it is not the answer.
    """
    if len(text) <= _BARE and "\n" not in text and not _MARKER.search(text):
        return _with_reduced(text.strip(), is_gold)
    text = text[-MAX_SEARCHED:]
    text = text.rpartition("</think>")[2] if "</think>" in text and text.rpartition("</think>")[2].strip() else text
    tags = _ANSWER_TAG.findall(text) if "<answer>" in text.lower() else []
    if tags and tags[-1].strip():
        text = tags[-1]
    return _with_reduced(_marked(text) or _last_statement(text))


def _with_reduced(answer: str, is_bare_gold: bool = False) -> list[str]:
    candidates = [answer]
    if len(answer) <= _LINE:
        candidates.extend(p for p in _reductions(answer, is_bare_gold) if p and p not in candidates)
    return candidates


def _marked(text: str) -> str:
    """The answer at a box, a phrase or a `####`, or an empty string."""
    box, box_at = _last_boxes(text)
    final_at = -1
    for match in _FINAL.finditer(text[-_TAIL:]):
        final_at = max(0, len(text) - _TAIL) + match.end()
    if final_at > box_at:
        phrase = _after_phrase(text[final_at:])
        if phrase and (not box or any(char.isdigit() for char in phrase) or "\\" in phrase):
            return phrase
    if box:
        return box
    _, hashes, after = text.rpartition("####")
    if hashes and after.strip():
        return after.strip().splitlines()[0].strip()
    answers = list(_ANSWER.finditer(text[-_TAIL:]))
    return _after_phrase(text[-_TAIL:][answers[-1].end() :]) if answers else ""


def _last_boxes(text: str) -> tuple[str, int]:
    """The contents of the last run of boxes, joined by commas, and where the run begins."""
    starts = list(_BOX.finditer(text))[-20:]
    parts: list[str] = []
    begin, next_start = -1, -1
    for match in reversed(starts):
        content, end = _box_content(text, match)
        if end < 0:
            continue
        if parts and (end > next_start or not _joined(text[end:next_start])):
            break
        if not parts and _AFTER_BOX.match(text, end) and "%" not in content and "perc" not in content:
            content += r"\%"
        parts.append(content.strip())
        begin = next_start = match.start()
    return parts[0] if len(set(parts)) == 1 else ", ".join(reversed(parts)), begin


def _box_content(text: str, match: re.Match[str]) -> tuple[str, int]:
    if match.group().endswith("{"):
        end = matching_brace(text[: match.end() + _TAIL], match.end() - 1)
        return (text[match.end() : end], end + 1) if end >= 0 else ("", -1)
    word = re.compile(r"[^\s$.,]{1,40}").match(text, match.end())
    return (word.group(), word.end()) if word else ("", -1)


def _joined(between: str) -> bool:
    """Whether two boxes are parts of one answer: `\\boxed{1}, \\boxed{2}`, `\\boxed{3} cats and $n = \\boxed{4}$`."""
    if len(between) > 60:
        return False
    if _BETWEEN_BOXES.fullmatch(between):
        return True
    return _CONNECTED.fullmatch(" ".join(_MARKS.sub(" ", between).split())) is not None


def _after_phrase(rest: str) -> str:
    """The statement after "the answer is", to the end of its sentence."""
    rest = rest.lstrip(" *:\n\"'}")
    rest = _CHAT_END.split(rest, maxsplit=1)[0]
    span = _MATH_SPAN.match(rest)
    if span and "\\]" in span.group():
        return _inner(span)
    return _first_sentence(rest).strip(" *")


def _first_sentence(text: str) -> str:
    """Up to a full stop or line end that is not inside `$…$` or brackets."""
    text = text[:_LINE]
    spans = [match.span() for match in _MATH_SPAN.finditer(text)]
    for match in _SENTENCE_END.finditer(text):
        if not any(start < match.start() < end for start, end in spans):
            return text[: match.start()].strip()
    return text.strip()


def _reductions(sentence: str, is_bare_gold: bool) -> Iterator[str]:
    """A sentence's mathematics: what follows its last "is" or "=", its last `$…$`, its last number in prose."""
    sentence = sentence.strip(" *\t\"'`").removesuffix(".").rstrip(" *")
    listed = _OPENING.sub("", sentence, count=1)
    if _ONLY_JOINED.fullmatch(_MATH_SPAN.sub("", listed)):
        yield listed
    spans = list(_MATH_SPAN.finditer(sentence))
    statements = [m for m in _STATEMENT.finditer(sentence) if not any(s.start() < m.start() < s.end() for s in spans)]
    if statements:
        yield sentence[statements[-1].end() :].strip(" *")
    prose = _MATH_SPAN.sub("", sentence)
    numbers = list(_NUMBER.finditer(sentence)) if "\\" not in prose and _WORD.search(prose) else []
    if spans and not (numbers and numbers[-1].start() >= spans[-1].end()):
        yield _inner(spans[-1])
    if is_bare_gold:
        return
    if numbers and not _NOT.search(sentence, 0, numbers[-1].start()):
        yield numbers[-1].group().strip()
    if not _TWO_LETTERS.search(sentence):
        yield from _LETTER.findall(sentence)[-1:]


def _inner(span: re.Match[str]) -> str:
    return next(group for group in span.groups() if group is not None).strip()


def _last_statement(text: str) -> str:
    """The last statement of the last line that is not empty."""
    text = _CHAT_END.split(text[-_TAIL:])[0] if _CHAT_END.search(text[-_TAIL:]) else text
    stripped = text.rstrip()
    for close, opener in (("\\]", "\\["), ("$$", "$$")):
        body, found, _ = stripped.rstrip(".").rpartition(close)
        if found and stripped.rstrip(".").endswith(close):
            return body.rpartition(opener)[2].strip()
    lines = [line for line in stripped[-_TAIL:].splitlines() if line.strip(" `")]
    last = lines[-1].strip() if lines else ""
    sentences = re.split(r"(?<=[a-z0-9$)}])\.\s+(?=[A-Z])", last) if len(last) <= _TAIL else [last]
    return sentences[-1]

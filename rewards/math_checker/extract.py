"""Finds the final answer in a model's whole response.

Order: what follows the last `</think>`; the last `<answer>…</answer>`; then the later one of the last `\\boxed{}`
(several joined by commas, "and" or "or" are a list) and the last "final answer is"; then `####`, then "the answer is",
then the last sentence. A bare answer comes back unchanged. The result is texts, nothing is parsed here; those after the
first are the same statement without the prose around it, for when the first is no mathematics.
A denied or hedged answer (`rewards.math_checker.prose`) is no answer, and neither is a last box that is never closed.
Only the end of a very long response is searched, so the work is linear and bounded.
"""

from __future__ import annotations

import re

from rewards.math_checker.lexer import MAX_CHARS, matching_brace
from rewards.math_checker.prose import (
    CHAT_END,
    MATH_SPAN,
    denied_after,
    doubted_before,
    first_sentence,
    inner,
    joins_alternatives,
    reductions,
    revised,
)

MAX_SEARCHED = 200_000
_TAIL = 20_000
_BARE = 120
_LINE = 800
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(?=[0-9A-Za-z\\]))")
_BETWEEN_BOXES = re.compile(
    r"(?:[\s,$;.&/|]|\\[\[\]()\\,;: ]|\\q?quad|\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|\band\b|\bor\b)*"
)
_MARKS = re.compile(r"\$|\\[()\[\],;: ]|\\q?quad|\\text\s*\{|\}")
_CONNECTED = re.compile(r"(?:[A-Za-z()]+ ){0,4}(?:,|,? ?and|,? ?or) ?(?:[A-Za-z](?:_\{?\w{1,3}\}?)?(?:\([a-z]\))? ?=)?")
_AFTER_BOX = re.compile(r"\s*\$?\s*(?:\\?%|percent(?:age)?\b|pct\b)")
_ANSWER_WORD = r"(?:\banswer|réponse|respuesta|resposta|risposta|antwort|ответ|答案)"
_FINAL = re.compile(r"final\s+answer(?:\s+is|\s*[:=]|\**\s*:\**)+", re.IGNORECASE)
_ANSWER = re.compile(
    _ANSWER_WORD + r"(?:\s+(?:is|est|es|ist|lautet|è|é)\b|\s*(?:[:=：]|是|为|為)|\**\s*[:：]\**)+", re.IGNORECASE
)
_MARKER = re.compile(r"\\(?:boxed|fbox|framebox)|<answer>|</think>|####|" + _ANSWER_WORD, re.IGNORECASE)
_OPEN_LINE = re.compile(r"(?:[,;=+*/<>&(\[{-]|\\\\|\\(?:text\s*\{)?(?:and|or)\}?|\b(?:and|or))\s*$")


def extract(text: str, trusted: bool = False) -> list[str]:
    """Candidates for the answer inside `text`, best first: the second is the first without the prose around it.

    An empty list means that there is no answer, or that it is taken back. A `trusted` text is a gold answer, whose box
    counts whatever stands around it.
    """
    if len(text) <= _BARE and "\n" not in text and not _MARKER.search(text):
        return _with_reduced(text.strip(), is_gold=False)
    text = text[-MAX_SEARCHED:]
    text = text.rpartition("</think>")[2] if "</think>" in text and text.rpartition("</think>")[2].strip() else text
    tag = text.lower().rfind("<answer>")
    tagged = re.split("</answer>", text[tag + 8 :], maxsplit=1, flags=re.IGNORECASE)[0] if tag >= 0 else ""
    text = tagged if tagged.strip() else text
    found = _trusted_box(text) or _marked(text) if trusted else _marked(text)
    return [] if found is None else _with_reduced(found or _last_statement(text), is_gold=False)


def gold_texts(gold: str) -> list[str]:
    """The candidates for a gold answer: searched for like a response where it is one, else taken whole.

    A bare gold answer such as `June 20` is words: the number in it is not the answer.
    """
    if _MARKER.search(gold[-MAX_SEARCHED:]):
        return extract(gold, trusted=True)
    return _with_reduced(_one_line(gold.strip()), is_gold=True)


def _one_line(text: str) -> str:
    """Line breaks between whole statements are commas, others spaces."""
    if "\n" not in text or len(text) > MAX_CHARS:
        return text
    joined, depth = "", 0
    for line in filter(None, map(str.strip, text.splitlines())):
        open_end = depth > 0 or not joined or _OPEN_LINE.search(joined) or line[0] in ",;=)]}&"
        joined += (" " if open_end or line in ("$$", r"\[", r"\]") or joined in ("$$", r"\[") else ", ") + line
        depth += sum(line.count(mark) for mark in ("{", "(", "[")) - sum(line.count(mark) for mark in ("}", ")", "]"))
        depth += line.count(r"\begin") - line.count(r"\end")
    return joined.strip()


def _with_reduced(answer: str, is_gold: bool) -> list[str]:
    candidates = [answer]
    if len(answer) <= _LINE:
        candidates.extend(p for p in reductions(answer, is_gold) if p and p not in candidates)
    return candidates


def _trusted_box(text: str) -> str:
    """The content of the last boxes, to the end of the text if they are cut off."""
    boxes = _last_boxes(text)
    return boxes[0] if boxes else text[list(_BOX.finditer(text))[-1].end() :].strip()


def _marked(text: str) -> str | None:
    """The answer at a box, a phrase or a `####`; an empty string if there is none, None if it is taken back."""
    boxes = _last_boxes(text)
    if boxes is None:
        return None
    box, begin, end = boxes
    final_at = -1
    for match in _FINAL.finditer(text[-_TAIL:]):
        final_at = max(0, len(text) - _TAIL) + match.end()
    if final_at > begin:
        phrase = _after_phrase(text[final_at:])
        if phrase is None or (phrase and (not box or any(char.isdigit() for char in phrase) or "\\" in phrase)):
            return phrase
    if box:
        doubted = doubted_before(text[:begin], several=", " in box)
        return None if doubted or denied_after(text[end : end + 80]) else box
    _, hashes, after = text.rpartition("####")
    if hashes and after.strip():
        return after.strip().splitlines()[0].strip()
    answers = list(_ANSWER.finditer(text[-_TAIL:]))
    return _after_phrase(text[-_TAIL:][answers[-1].end() :]) if answers else ""


def _last_boxes(text: str) -> tuple[str, int, int] | None:
    """The contents of the last run of boxes, joined by commas, where the run begins and ends; None if it is cut off."""
    starts = list(_BOX.finditer(text))[-20:]
    parts: list[str] = []
    begin, last_end, next_start = -1, -1, -1
    for match in reversed(starts):
        content, end = _box_content(text, match)
        if end < 0 and not parts:
            return None
        if parts and end > next_start and match.group().endswith("{"):  # \boxed{\boxed{7}}
            begin, next_start, last_end = match.start(), match.start(), max(last_end, end)
            continue
        if end < 0 or (parts and not _joined(text[end:next_start])):
            break
        if not content.strip():
            if parts:
                break
            continue
        if not parts:
            last_end = end
            if _AFTER_BOX.match(text, end) and "%" not in content and "perc" not in content:
                content += r"\%"
        parts.append(content.strip())
        begin = next_start = match.start()
    return parts[0] if len(set(parts)) == 1 else ", ".join(reversed(parts)), begin, last_end


def _box_content(text: str, match: re.Match[str]) -> tuple[str, int]:
    if match.group().endswith("{"):
        end = matching_brace(text[: match.end() + 2 * MAX_CHARS], match.end() - 1)
        return (text[match.end() : end], end + 1) if end >= 0 else ("", -1)
    word = re.compile(r"[^\s$.,]{1,40}").match(text, match.end())
    return (word.group(), word.end()) if word else ("", -1)


def _joined(between: str) -> bool:
    """Whether two boxes are parts of one answer: `\\boxed{1}, \\boxed{2}`, `\\boxed{3} cats and $n = \\boxed{4}$`."""
    if len(between) > 80:
        return False
    if _BETWEEN_BOXES.fullmatch(between) or joins_alternatives(between):
        return True
    plain = " ".join(_MARKS.sub(" ", between).split())
    return len(between) <= 60 and _CONNECTED.fullmatch(plain) is not None


def _after_phrase(rest: str) -> str | None:
    """The statement after "the answer is", to the end of its sentence; None if a later sentence takes it back."""
    rest = rest[:_TAIL].lstrip(" *:\n\"'}")
    rest = CHAT_END.split(rest, maxsplit=1)[0]
    span = MATH_SPAN.match(rest)
    if span and "\\]" in span.group():
        return inner(span)
    sentence = first_sentence(rest[:_LINE])
    return revised(sentence, rest[len(sentence) : len(sentence) + _LINE])


def _last_statement(text: str) -> str:
    """The last statement of the last line that is not empty."""
    text = CHAT_END.split(text[-_TAIL:])[0] if CHAT_END.search(text[-_TAIL:]) else text
    stripped = text.rstrip()
    for close, opener in (("\\]", "\\["), ("$$", "$$")):
        body, found, _ = stripped.rstrip(".").rpartition(close)
        if found and stripped.rstrip(".").endswith(close):
            return body.rpartition(opener)[2].strip()
    lines = [line for line in stripped[-_TAIL:].splitlines() if line.strip(" `")]
    last = lines[-1].strip() if lines else ""
    sentences = re.split(r"(?<=[a-z0-9$)}])\.\s+(?=[A-Z])", last) if len(last) <= _TAIL else [last]
    return sentences[-1]

r"""Takes an answer out of its wrapping: delimiters, emphasis, labels, trailing punctuation; and rewrites spellings that
the parser would misread, such as `0.\dot{3}`, `7^{\text{th}}`, `6.02 x 10^{23}` or doubled backslashes.

`clean` is text to text and linear; nothing is parsed here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.math_checker.lexer import MAX_CHARS, TooLargeError, to_ascii
from rewards.math_checker.rewrites import REWRITES, respelled, rewritten

_MAX_LAYERS = 20
_REMEMBERED = 300
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ('"', '"'))
_FRENCH = re.compile(r"(?:\\left)?([\[\]])([^\[\]()\\,]*,(?:[^\[\]()\\]|\\(?!right))*)(?:\\right)?([\[\]])")
_QUOTED = re.compile(r"\\(?:text|mbox|textbf|mathbf|textrm)\s*\{([^{}]*[0-9][^{}]*)\}")
_BOXED = re.compile(r"\\boxed\s*\{")
_LEADING_RELATION = re.compile(r"^(?:=>?|\\approx\b|\\Rightarrow\b|\\implies\b|\\therefore\b)\s*(?=\S)")
_LABEL = re.compile(
    r"\\text\s*\{[^{}]*(?:\bis|[:=])\s*\}\s*(?=\S)"
    r"|(?:\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|[A-Za-z][a-z]{3,}(?: [A-Za-z]+)*)\s*(?:=|:|\bis\b)\s*(?=\S)"
)
_NEXT_LABEL = re.compile(r"[,;]\s*\\(?:text|mathrm|textbf)\s*\{[^{}]*[:=]\s*\}")
_TEXT_MARKUP = re.compile(r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' ,.\-]*")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[A-Za-z])")


def clean(answer: str) -> str:
    """The answer without delimiters, emphasis, labels and trailing punctuation. Raises `TooLargeError`."""
    return _cleaned_once(answer) if len(answer) <= _REMEMBERED else _cleaned(answer)


def _cleaned(answer: str) -> str:
    if len(answer) > MAX_CHARS * 2:
        raise TooLargeError(f"answer has {len(answer)} characters, {MAX_CHARS} are allowed")
    text = to_ascii(answer)
    if len(text) > MAX_CHARS * 2:
        raise TooLargeError(f"answer has {len(text)} characters, {MAX_CHARS} are allowed")
    text = _unwrapped(_single_backslashes(" ".join(text.split())))
    if text.startswith("]") or text.endswith("[") or "\\left]" in text:
        text = _FRENCH.sub(lambda m: f"{'(' if m[1] == ']' else '['}{m[2]}{')' if m[3] == '[' else ']'}", text)
    text = _LEADING_RELATION.sub("", respelled(text))
    label = _LABEL.match(text)
    if label and label.end() < len(text) and not _NEXT_LABEL.search(text, label.end()):
        text = text[label.end() :].strip()
    return rewritten(text, REWRITES)


_cleaned_once = lru_cache(maxsize=1024)(_cleaned)


def plain_words(text: str) -> str:
    """The text in lower case if it is only words, else an empty string."""
    unwrapped = " ".join(_TEXT_MARKUP.sub(r"\1", text).replace("~", " ").replace("\\ ", " ").split())
    return unwrapped.strip(" .,").lower() if _WORDS.fullmatch(unwrapped) else ""


def without_markup(text: str) -> str:
    """The text with the arguments of `\\text{…}` and relatives in their places, single spaces between words."""
    return " ".join(_TEXT_MARKUP.sub(r" \1 ", text).replace("$", "").split())


def _single_backslashes(text: str) -> str:
    """Undoes one level of escaping: `\\\\frac` is `\\frac` where no matrix could mean a new line."""
    if "\\\\begin" in text:
        return text.replace("\\\\", "\\")
    return text if "\\begin" in text else _DOUBLED_BACKSLASH.sub(lambda match: "\\", text)


def _unwrapped(text: str) -> str:
    previous, bare = None, True
    for _ in range(_MAX_LAYERS):
        if text == previous:
            break
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
    text = text.replace('\\"', "").replace('"', "")
    if "$" in text:
        text = re.sub(r"(?<!\\)\$\s*(and|or|,)\s*(?<!\\)\$", r" \1 ", text)
        text = text.replace("$", "") if text.count("$") % 2 == 0 and "\\$" not in text else text
    return text.strip()


def _strip_punctuation(text: str) -> str:
    text = text.strip().removesuffix("\\\\")
    kept = text.rstrip(".,; ")
    dropped = text[len(kept) :]
    if "..." not in dropped and not (dropped[:1] == "." and kept.endswith("\\right")):
        text = kept + dropped[:1] if kept.endswith("\\") else kept
    for space in ("\\,", "\\;", "\\!", "\\ ", "\\"):
        text = text.removesuffix(space) if not text.endswith("\\" + space) else text
    return text.strip()

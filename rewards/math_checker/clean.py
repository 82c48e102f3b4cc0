r"""Takes an answer out of its wrapping: delimiters, emphasis, labels, trailing punctuation; and rewrites spellings that
the parser would misread, such as `0.\dot{3}`, `7^{\text{th}}`, `6.02 x 10^{23}` or doubled backslashes.

`clean` is text to text and linear; nothing is parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.math_checker.lexer import MAX_CHARS, to_ascii

_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ('"', '"'))
_FRENCH = re.compile(r"(?:\\left)?([\[\]])([^\[\]()\\,]*,(?:[^\[\]()\\]|\\(?!right))*)(?:\\right)?([\[\]])")
_QUOTED = re.compile(r"\\(?:text|mbox|textbf|mathbf|textrm)\s*\{([^{}]*[0-9][^{}]*)\}")
_BOXED = re.compile(r"\\boxed\s*\{")
_LEADING_RELATION = re.compile(r"^(?:=>?|\\approx\b|\\Rightarrow\b|\\implies\b|\\therefore\b)\s*(?=\S)")
_LABEL = re.compile(
    r"\\text\s*\{[^{}]*(?:\bis|[:=])\s*\}\s*(?=\S)"
    r"|(?:\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|[A-Za-z][a-z]{3,}(?: [A-Za-z]+)*)\s*(?:=|:|\bis\b)\s*(?=\S)"
)
_TEXT_MARKUP = re.compile(r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' ,.\-]*")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[A-Za-z])")
_WORD_IN = r"\{?\s*\\(?:text|mathrm)\s*\{\s*([A-Za-z ]+?)\s*\}\s*\}?"
_Rewrite = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]
# A sign that must be in the text, the pattern, and what it becomes.
_REWRITES: tuple[_Rewrite, ...] = (
    # k \in \mathbb{Z}, where k is an integer: what names the range of a letter is no part of the value
    ("mathbb", re.compile(r"(?:[,;.]|\\[,; ]|\\q?quad|\\(?:text|mbox) ?\{[^{}]{0,20}\}| ){0,6}\( ?[a-z](?:_\w)? ?"
                          r"\\in ?\\mathbb ?\{? ?[ZN] ?\}?(?:_\+|\^\+)? ?\)$"), ""),
    ("integer", re.compile(r",? ?(?:\\text ?\{)?,? ?(?:(?:where|for|with|and) )?\}? ?\$?[a-z]\$? ?(?:\\text ?\{ ?)?is"
                           r" (?:an|any) integer ?\}?$|,? ?(?:\\text ?\{)?,? ?for (?:any|all|some|every) "
                           r"integers? ?\}? ?\$?[a-z]?\$?$"), ""),
    (r"\dot", re.compile(r"\.([0-9]*)\\dot\s*\{?\s*([0-9])\s*\}?(?:([0-9]*)\\dot\s*\{?\s*([0-9])\s*\}?)?"),
     lambda m: rf".{m[1]}\overline{{{m[2]}{m[3] or ''}{m[4] or ''}}}"),
    (r"\frac", re.compile(rf"\\[dt]?frac\s*{_WORD_IN}\s*{_WORD_IN}(?!\s*[\^{{])"),
     lambda m: rf"\text{{{m[1]}/{m[2]}}}"),
    (r"\circ", re.compile(r"\^\s*\{?\s*\\circ\s*\}?\s*(?:\\(?:text|mathrm)\s*\{)?\s*([CF])\s*\}?$"),
     lambda m: rf"\text{{degree {'Celsius' if m[1] == 'C' else 'Fahrenheit'}}}"),
    ("mod", re.compile(r"\( ?mod ([0-9]+) ?\)"), r"\\pmod{\1}"),
    ("negative", re.compile(r"^negative (?=[0-9\\$])"), "-"),
    ("-", re.compile(r"^- ?(\\?\$)(?=[0-9])"), r"\1-"),
    ("x", re.compile(r"(?<=[0-9]) ?[xX] ?(?=10(?:\^|\*\*))"), r"\\times "),
    ("th", re.compile(r"^([0-9]+) ?(?:\^ ?\{?)? ?(?:\\(?:text|mathrm|textsuperscript) ?\{)? ?th ?\}?\}?$"), r"\1"),
    ("st", re.compile(r"^([0-9]*1)st$"), r"\1"),
    ("nd", re.compile(r"^([0-9]*2)nd$"), r"\1"),
    ("rd", re.compile(r"^([0-9]*3)rd$"), r"\1"),
    # P(X = 1) = 1/2: what an event's probability is called is no part of the value
    ("P", re.compile(r"^(?:P|\\Pr|\\(?:text|mathrm|mathbb|operatorname) ?\{Pr?\}) ?(?:\\left)?\([^()]*[=<>|\\][^()]*"
                     r"\) ?= ?(?=\S)"), ""),
    ("sq", re.compile(r"(?<![A-Za-z\\])sq\.? ?(?=(?:[ckm]?m|in|ft|yd|mi)\b|unit|met|feet|inch)"), "square "),
    (r"\overline", re.compile(r"(?<![0-9])\.(?=\\overline)"), "0."),
    (r"\overline", re.compile(r"(\.[0-9]*)\\overline ?([0-9])"), r"\1\\overline{\2}"),
    (r"\text", re.compile(r"^\\text ?\{([\u4e00-\u9fff]+)\}$"), r"\1"),
    ("", re.compile(r"(?<=[0-9}%]) ?([\u4e00-\u9fff]{1,4})$"), r"\\text{\1}"),
    ("", re.compile(r"^(USD|EUR|GBP|INR|Rs|CNY|RMB|JPY)\.? ?([0-9][0-9.,]*)$"), r"\2\\text{ \1}"),
    ("", re.compile(r"^([0-9][0-9.,]*) ?(USD|EUR|GBP|INR|Rs|CNY|RMB|JPY)\.?$"), r"\1\\text{ \2}"),
    ("<", re.compile(r"^<([^<>=,]*,[^<>=]*)>$"), r"\\langle \1\\rangle "),
)  # fmt: skip


def clean(answer: str) -> str:
    """The answer without delimiters, emphasis, labels and trailing punctuation."""
    text = _unwrapped(_single_backslashes(" ".join(to_ascii(answer[: MAX_CHARS * 2]).split())))
    if text.startswith("]") or text.endswith("[") or "\\left]" in text:
        text = _FRENCH.sub(lambda m: f"{'(' if m[1] == ']' else '['}{m[2]}{')' if m[3] == '[' else ']'}", text)
    text = _LEADING_RELATION.sub("", text)
    label = _LABEL.match(text)
    text = text[label.end() :].strip() if label and label.end() < len(text) else text
    for sign, pattern, becomes in _REWRITES:
        if sign in text:
            text = pattern.sub(becomes, text)
    return text


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
    text = text.replace('\\"', "").replace('"', "")
    if "$" in text:
        text = re.sub(r"(?<!\\)\$\s*(and|or|,)\s*(?<!\\)\$", r" \1 ", text)
        text = text.replace("$", "") if text.count("$") % 2 == 0 and "\\$" not in text else text
    return text.strip()


def _strip_punctuation(text: str) -> str:
    text = text.strip().removesuffix("\\\\")
    while text and text[-1] in ".,;" and not text.endswith(("...", "\\,", "\\;")):
        text = text[:-1].rstrip()
    for space in ("\\,", "\\;", "\\!", "\\ ", "\\"):
        text = text.removesuffix(space) if not text.endswith("\\" + space) else text
    return text.strip()

"""Spellings of one thing that the parser would misread, each with what it becomes: signs of inequality, colours, unit
vectors, spoken operators, remarks in brackets, repeating decimals, ordinals.

Every pattern is linear in the text; nothing is parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_WORD_IN = r"\{?\s*\\(?:text|mathrm)\s*\{\s*([A-Za-z ]+?)\s*\}\s*\}?"
Rewrite = tuple[Iterable[str], re.Pattern[str], str | Callable[[re.Match[str]], str]]
_OPEN = r"(?:\\(?:text|mbox|textrm|mathrm)\s*\{)?\s*"
_CLOSE = r"(?:\s*\})?"
_EMPHASES = ("mathbf", "boldsymbol", "bm", "vec", "hat", "widehat", "overrightarrow", "textbf", "pmb")
_EMPHASIZED = tuple(rf"\{name}" for name in _EMPHASES)
_EMPHASIS = rf"(?:{'|'.join(map(re.escape, _EMPHASIZED))})"
_SPOKEN = {
    "plus": "+", "minus": "-", "times": r"\times ", "multiplied by": r"\times ", "divided by": "/", "over": "/",
    "out of": "/", "to the power": "^", "to the power of": "^",
}  # fmt: skip
_ROW_END = re.compile(r"(?<!\\)[,.;] ?(?=\\\\|$)")
_ALIGNED = re.compile(r"&\s*=")
_FRACTIONS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5}
_POSTFIX = {"squared": "^2", "cubed": "^3", "factorial": "!"}


def respelled(text: str) -> str:
    """The text with the spellings of `SPELLINGS`."""
    return rewritten(text, SPELLINGS) if _SPELLED.search(text) else text


def rewritten(text: str, table: tuple[Rewrite, ...]) -> str:
    """The text after every rewrite of the table in turn."""
    for signs, pattern, becomes in table:
        if any(sign in text for sign in signs):
            text = pattern.sub(becomes, text)
    return text


# Before labels such as "the area is" are taken off.
SPELLINGS: tuple[Rewrite, ...] = (
    ((r"\not",), re.compile(r"\\not\s*(?:=|\{\s*=\s*\}|\\equiv\b)"), r"\\neq "),
    ((r"\not",), re.compile(r"\\not\s*\\in\b"), r"\\notin "),
    (("=/=",), re.compile(r"=\s*/\s*="), r"\\neq "),
    ((r"\ne",), re.compile(r"\\neq?\s*=(?!=)"), r"\\neq "),
    (("!=",), re.compile(r"!==+"), "!="),
    (("<>",), re.compile(r"(?<=[A-Za-z0-9)} ])<>(?=[-\s0-9\\A-Za-z])"), r"\\neq "),
    (
        ("not",),
        re.compile(
            rf"{_OPEN}(?:\bis|\bare|\bdoes|\bdo|\bcan|\bmust|\bcannot)?\s*\bnot(?: be)?(?: equals?)?(?: to)?{_CLOSE}"
            r"\s*=(?!=)"
        ),
        r" \\neq ",
    ),
    (
        ("not",),
        re.compile(rf"{_OPEN}\b(?:is|are|does|do|can|must|may) ?not(?: be)? equal(?: to)?\b{_CLOSE}"),
        r" \\neq ",
    ),
    (
        ("n't",),
        re.compile(rf"{_OPEN}\b(?:is|are|does|do|ca|must)n't(?: be)?(?: equals?)?(?: to)?{_CLOSE}\s*=?"),
        r" \\neq ",
    ),
    (
        (r"\right",),
        re.compile(
            r"\\left\s*\\\{\s*\\begin\s*\{(array|aligned|matrix|gathered|split)\}\s*(?:\{[clr| ]*\})?(.*?)"
            r"\\end\s*\{\1\}\s*\\right\s*\."
        ),
        lambda m: rf"\begin{{cases}}{_ALIGNED.sub('=', _ROW_END.sub('', m[2]))}\end{{cases}}",
    ),
    (
        ("color",),
        re.compile(
            r"\\textcolor\s*(?:\[\w*\]\s*)?\{[^{}]*\}|\\color\s*(?:\[\w*\]\s*)?\{[^{}]*\}"
            r"|\\(?:colorbox|fcolorbox)\s*\{[^{}]*\}"
        ),
        "",
    ),
    (("$",), re.compile(r"(?:\\(?:text|mathrm)\s*\{\s*)?(?<![A-Za-z])(?:US|U\.S\.|USD)\s*\}?\s*(?=\\?\$)"), ""),
    (("$",), re.compile(r"\\(?:text|mathrm|textbf)\s*\{\s*(\\?\$)\s*\}"), r"\1"),
    (
        (r"\prime",),
        re.compile(r"\^\s*\{\s*((?:\\prime\s*)+)\}|\^\s*\\prime\b"),
        lambda m: "'" * (m[1].count("prime") if m[1] else 1),
    ),
)
_SPELLED = re.compile("|".join(re.escape(sign) for signs, _, _ in SPELLINGS for sign in signs))

# Signs of which one must be in the text, the pattern, and what it becomes.
REWRITES: tuple[Rewrite, ...] = (
    # remarks that say nothing about the value: "(since x > 0)", "(double root)"
    (("(",), re.compile(rf",?\s*{_OPEN}\(\s*(?:since|because|as|double|repeated|triple|with multiplicity|rounded"
                    r"|extraneous|simplified|in simplest|in lowest|by symmetry|by the)\b[^()=]*(?:\([^()]*\)[^()]*)?"
                    r"[)}]+$"), ""),
    (("since", "because"), re.compile(rf"(?<=[0-9}}A-Za-z])\s*{_OPEN}(?:, ?)?\b(?:since|because)\b"
                                      r"(?!.*\b(?:not|or)\b).*$"), ""),
    (("and",), re.compile(rf"(?<=[0-9])\s*{_OPEN}and (?:a|one)[ -](half|third|quarter|fourth|fifth)\b\s*"
                       rf"([^{{}}]*){_CLOSE}$"),
     lambda m: rf"\frac{{1}}{{{_FRACTIONS[m[1]]}}}" + (rf"\text{{ {m[2]}}}" if m[2].strip() else "")),
    (_SPOKEN, re.compile(rf"(?<=[0-9}})])\s*{_OPEN}\b(plus|minus|times|multiplied by|divided by|over|out of"
                    rf"|to the power of|to the power)\b{_CLOSE}\s*(?=[-0-9\\({{])"), lambda m: _SPOKEN[m[1]]),
    (_POSTFIX, re.compile(rf"(?<=[0-9}})])\s*{_OPEN}\b(squared|cubed|factorial){_CLOSE}$"), lambda m: _POSTFIX[m[1]]),
    # unit vectors
    (_EMPHASIZED, re.compile(rf"{_EMPHASIS}\s*\{{?\s*(?:{_EMPHASIS}\s*)?\{{?\s*\\?([ijk])(?:math)?(?![A-Za-z])"
                             r"\s*\}?\s*\}?"),
     r"\\unit\1 "),
    # choices in words: \text{A,D}
    ((r"\text",), re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{\s*([A-J](?:\s*(?:,|;|&|\band\b)\s*[A-J])+)\s*\}"),
     r"\1"),
    # k \in \mathbb{Z}, where k is an integer: what names the range of a letter is no part of the value
    (("mathbb",), re.compile(r"(?:[,;.]|\\[,; ]|\\q?quad|\\(?:text|mbox) ?\{[^{}]{0,20}\}| ){0,6}\( ?[a-z](?:_\w)? ?"
                          r"\\in ?\\mathbb ?\{? ?[ZN] ?\}?(?:_\+|\^\+)? ?\)$"), ""),
    (("integer",), re.compile(r",? ?(?:\\text ?\{)?,? ?(?:(?:where|for|with|and) )?\}? ?\$?[a-z]\$? ?(?:\\text ?\{ ?)?"
                           r"is (?:an|any) integer ?\}?$|,? ?(?:\\text ?\{)?,? ?for (?:any|all|some|every) "
                           r"integers? ?\}? ?\$?[a-z]?\$?$"), ""),
    ((r"\dot",), re.compile(r"\.([0-9]*)\\dot\s*\{?\s*([0-9])\s*\}?(?:([0-9]*)\\dot\s*\{?\s*([0-9])\s*\}?)?"),
     lambda m: rf".{m[1]}\overline{{{m[2]}{m[3] or ''}{m[4] or ''}}}"),
    ((r"\frac",), re.compile(rf"\\[dt]?frac\s*{_WORD_IN}\s*{_WORD_IN}(?!\s*[\^{{])"),
     lambda m: rf"\text{{{m[1]}/{m[2]}}}"),
    ((r"\circ",), re.compile(r"\^\s*\{?\s*\\circ\s*\}?\s*(?:\\(?:text|mathrm)\s*\{)?\s*([CF])\s*\}?$"),
     lambda m: rf"\text{{degree {'Celsius' if m[1] == 'C' else 'Fahrenheit'}}}"),
    (("mod",), re.compile(r"\( ?(?:\\(?:text|mathrm|operatorname) ?\{ ?mod ?\}|\\?mod\b)"
                       r" ?(?:\\[ ,;:]|~)? ?([0-9]+) ?\)"),
     r"\\pmod{\1}"),
    (("negative",), re.compile(r"^negative (?=[0-9\\$])"), "-"),
    (("-",), re.compile(r"^- ?(\\?\$)(?=[0-9])"), r"\1-"),
    (("x",), re.compile(r"(?<=[0-9]) ?[xX] ?(?=10(?:\^|\*\*))"), r"\\times "),
    (("th",), re.compile(r"^([0-9]+) ?(?:\^ ?\{?)? ?(?:\\(?:text|mathrm|textsuperscript) ?\{)? ?th ?\}?\}?$"), r"\1"),
    (("st",), re.compile(r"^([0-9]*1)st$"), r"\1"),
    (("nd",), re.compile(r"^([0-9]*2)nd$"), r"\1"),
    (("rd",), re.compile(r"^([0-9]*3)rd$"), r"\1"),
    ((r"\mathcal",), re.compile(r"^\\mathcal ?\{? ?O ?\}?(?= ?(?:\\left)?\()"), "O"),
    # P(X = 1) = 1/2: what an event's probability is called is no part of the value
    (("P",), re.compile(r"^(?:P|\\Pr|\\(?:text|mathrm|mathbb|operatorname) ?\{Pr?\}) ?(?:\\left)?\([^()]*[=<>|\\][^()]*"
                     r"\) ?= ?(?=\S)"), ""),
    (("sq",), re.compile(r"(?<![A-Za-z\\])sq\.? ?(?=(?:[ckm]?m|in|ft|yd|mi)\b|unit|met|feet|inch)"), "square "),
    ((r"\overline",), re.compile(r"(?<![0-9])\.(?=\\overline)"), "0."),
    ((r"\overline",), re.compile(r"(\.[0-9]*)\\overline ?([0-9])"), r"\1\\overline{\2}"),
    ((r"\text",), re.compile(r"^\\text ?\{([\u4e00-\u9fff]+)\}$"), r"\1"),
    (("",), re.compile(r"(?<=[0-9}%]) ?([\u4e00-\u9fff]{1,4})$"), r"\\text{\1}"),
    (("",), re.compile(r"^(USD|EUR|GBP|INR|Rs|CNY|RMB|JPY)\.? ?([0-9][0-9.,]*)$"), r"\2\\text{ \1}"),
    (("",), re.compile(r"^([0-9][0-9.,]*) ?(USD|EUR|GBP|INR|Rs|CNY|RMB|JPY)\.?$"), r"\1\\text{ \2}"),
    (("<",), re.compile(r"^<([^<>=,]*,[^<>=]*)>$"), r"\\langle \1\\rangle "),
)  # fmt: skip

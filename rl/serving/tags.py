"""`/think` and `/no_think` in what a user writes: the mode of this message. Only as words of their own, and not inside
code: between back quotes, or lines that a fence of back quotes or tildes surrounds."""

from __future__ import annotations

import re

from rollout.types import Mode

FENCED = r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)"
CODE = re.compile(rf"{FENCED}|(?P<tick>`+)[^`]+?(?P=tick)", re.MULTILINE | re.DOTALL)
TAG = re.compile(r"(?<!\S)/(?P<mode>no_think|think)(?!\S)")


def asked_mode(text: str) -> tuple[str, Mode | None]:
    """(the message without its tags, the mode that the last of them asks for; None without one).

    >>> asked_mode("what is 7 + 1? /no_think")
    ('what is 7 + 1?', 'no_think')
    """
    code = [found.span() for found in CODE.finditer(text)]
    tags = [found for found in TAG.finditer(text) if not any(a <= found.start() < b for a, b in code)]
    if not tags:
        return text, None
    kept, end = "", 0
    for found in tags:
        kept, end = kept + text[end : found.start()], found.end()
    mode: Mode = "think" if tags[-1]["mode"] == "think" else "no_think"
    return (kept + text[end:]).strip(), mode

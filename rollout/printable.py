"""Text that came from a model, a data set or a server, on its way to a terminal or a page."""

from __future__ import annotations


def printable(text: str, limit: int, keep: str = "") -> str:
    """Bounded, and without the control characters that could steer a terminal or a page, but for those in `keep`.

    >>> printable("a\\x1b[2Jb\\u202ec", 80)
    'a�[2Jb�c'
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in cut)

"""What a model writes, shown in a terminal: text alone. Escape sequences, carriage returns, bells and the marks that
turn the direction of text around are shown by their number and do nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

KEPT = "\n\t"
TURNING = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def harmless(text: str) -> str:
    """The text with every control character spelled out.

    >>> harmless("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(one if _is_plain(one) else _spelled(one) for one in text)


class Pieces:
    """The text of tokens as they come. A character may need several tokens, and a token is spelled by those before it,
    so it is decoded with the tokens of the piece before."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self.decode = decode
        self.ids: list[int] = []
        self.begin, self.shown = 0, 0

    def push(self, token: int) -> str:
        """The new text that this token completes."""
        self.ids.append(token)
        new = self.rest()
        if new.endswith("\ufffd"):
            return ""
        if new:
            self.begin, self.shown = self.shown, len(self.ids)
        return new

    def rest(self) -> str:
        """What has not been shown, cut characters and all."""
        before, now = (self.decode(self.ids[self.begin : end]) for end in (self.shown, len(self.ids)))
        return now[len(before) :]


def _is_plain(one: str) -> bool:
    return one in KEPT or (unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") and one not in TURNING)


def _spelled(one: str) -> str:
    return f"\\x{ord(one):02x}" if ord(one) < 256 else f"\\u{ord(one):04x}"

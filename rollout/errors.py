"""The base of every error that a user can mend: configuration, data, protocol, reward. Scripts print it in one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Says in one line what value was found, what is allowed, and where."""


def nearest(name: object, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean 'x'?` for the known name that is most like this one, in small letters or large; `otherwise` where
    none is.

    >>> nearest("Fromat", ["format", "math"]), nearest("zzz", ["math"], "allowed: math")
    ("did you mean 'format'?", 'allowed: math')
    """
    folded = {one.casefold(): one for one in known}
    near = get_close_matches(str(name).casefold(), folded, 1)
    return f"did you mean {folded[near[0]]!r}?" if near else otherwise

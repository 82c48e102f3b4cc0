"""The reward `language`: the share of letters that are in the prompt's script, so that languages are not mixed.

    score = letters in a wanted script / letters     1.0 without letters; with `threshold` 1.0 from it on, else 0.0

Source: DeepSeek-R1's language consistency reward (arXiv 2501.12948, section 2.3.2), the share of words in the target
language; scripts instead of languages need no model and cannot be fooled. Wanted are `scripts`, by default those that
hold at least a tenth of the prompt's letters; a prompt without letters asks for none. Not counted: code blocks, inline
code, formulas, LaTeX commands, and single letters, which are variables in any language.
Left out: languages that share a script. French instead of English is not seen.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from rewards.builtin.parts import Part, part_text
from rewards.parameters import Share
from rollout.errors import UserError
from rollout.types import Rollout

_PROMPT_SHARE = 0.1
# One writing system under several names of Unicode.
_SAME = {"HIRAGANA": "JAPANESE", "KATAKANA": "JAPANESE", "IDEOGRAPHIC": "CJK"}
_WITH = {"JAPANESE": ("CJK",), "HANGUL": ("CJK",)}
# No alternative can run over the start of another: thousands of unclosed formulas are read in one pass.
_NO_LANGUAGE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$[^$]*\$\$|\$[^$\n]*\$"
    r"|\\[(\[](?:[^\\]|\\(?![()\[\]]))*\\[)\]]|\\[A-Za-z]+",
    re.DOTALL,
)
_WORD = re.compile(r"[^\W\d_]+")


def check_scripts(names: Sequence[str]) -> None:
    """Raises `UserError` for a name that no script has."""
    for name in names:
        if name != name.upper():
            raise UserError(f"language.scripts has {name!r}; allowed: upper-case names such as LATIN or CJK")


def language(
    rollout: Rollout,
    *,
    scripts: Annotated[Sequence[str], check_scripts] = (),
    of: Part = "response",
    threshold: Share | None = None,
) -> float:
    """From 0 to 1. `scripts` are the first words of Unicode's letter names: LATIN, CYRILLIC, CJK, ARABIC, …"""
    wanted = {_SAME.get(name, name) for name in scripts} or prompt_scripts(rollout.problem.prompt)
    wanted |= {other for name in wanted for other in _WITH.get(name, ())}
    found = count_scripts(part_text(rollout, of))
    total = sum(found.values())
    share = sum(n for name, n in found.items() if name in wanted) / total if total and wanted else 1.0
    return share if threshold is None else float(share >= threshold)


def prompt_scripts(prompt: str) -> set[str]:
    """The scripts of at least a tenth of the letters."""
    found = count_scripts(prompt)
    return {name for name, n in found.items() if n >= _PROMPT_SHARE * sum(found.values())}


def count_scripts(text: str) -> Counter[str]:
    """Letters by script, formulas and variables left out."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(_NO_LANGUAGE.sub(" ", unicodedata.normalize("NFKC", text))):
        # A single Chinese character is a word, a single Latin letter a variable.
        letters = [_script(c) for c in word]
        if len(word) > 1 or letters[0] in ("CJK", "JAPANESE"):
            found.update(letters)
    return found


@functools.cache
def _script(letter: str) -> str:
    name = re.split(r"[ -]", unicodedata.name(letter, "UNKNOWN"))[0]
    return _SAME.get(name, name)

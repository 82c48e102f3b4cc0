"""Whether a direct answer reasons all the same: too long, or with words that only reasoning has."""

from __future__ import annotations

import re

from rollout.types import Rollout

WORDS = ("wait", "hmm", "let me", "let us", "let's", "first,", "step by step", "double-check", "actually", "therefore")
_WORDS = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, WORDS)) + r")(?!\w)", re.IGNORECASE)


def leaks(rollout: Rollout, direct_tokens: int = 0) -> bool:
    """Whether a rollout of mode no_think holds reasoning; `direct_tokens` caps its answer (0: no cap)."""
    if rollout.mode != "no_think":
        return False
    too_long = 0 < direct_tokens < len(rollout.answer_ids)
    return too_long or bool(_WORDS.search(f"{rollout.judge_text}\n{rollout.answer_text}"))

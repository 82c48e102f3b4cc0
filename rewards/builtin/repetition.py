"""The reward `repetition`: a penalty for saying the same again.

    R = max_penalty · (1 − different n-grams / all n-grams)          0 when there are fewer than n tokens or words

Source: the n-gram penalty of "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373, appendix C), as one
number a response: over words as in its code, or over tokens (the default) as TRL's `get_repetition_penalty_reward`.
Left out: its dense form, which puts the penalty on the repeated tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from rewards.builtin.parts import Part, part_ids, part_text
from rollout.types import Rollout


def repetition(
    rollout: Rollout,
    *,
    n: Annotated[int, Ge(1)] = 3,
    max_penalty: Annotated[float, Le(0)] = -1.0,
    unit: Literal["tokens", "words"] = "tokens",
    of: Part = "response",
) -> float:
    """From `max_penalty` to 0."""
    units: Sequence[Any] = part_ids(rollout, of) if unit == "tokens" else part_text(rollout, of).lower().split()
    share = repeated_share(units, n)
    return max_penalty * share if share else 0.0


def repeated_share(units: Sequence[Any], n: int) -> float:
    """1 − different n-grams / all n-grams.

    >>> repeated_share([5, 5, 5, 5, 5], 2)
    0.75
    """
    ngrams = [tuple(units[i : i + n]) for i in range(len(units) - n + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0

"""Rollouts drawn as words, one letter a token: j judge text of a free rollout, x judge text of a forced one, S a
sampled switch, F a forced one, f template text written along with it, A answer part, n a token without any decision."""

from __future__ import annotations

from factories import make_rollout

from rollout.types import Rollout


def draw(word: str) -> Rollout:
    """The rollout that a word describes."""
    switch = next((i for i, letter in enumerate(word) if letter in "SF"), None)
    return make_rollout(
        None if switch is None else "think",
        tokens=len(word),
        judge_tokens=0 if switch is None else switch + 1,
        forced="F" in word,
        sampled=tuple(0 if letter in "Ff" else 1 for letter in word),
    )

"""The reward `length`, in the published shapes. n is the number of tokens of the part `of`, "right" is correctness 1.

    min_max   λ = ½ − (n − min)/(max − min) over the group; λ if right, else min(0, λ); 0 if all are equally long
              (Kimi k1.5, arXiv 2501.12599, section 2.3.3)
    target    −α·|target − n|                                        (L1, LCPO-Exact, arXiv 2503.04697; α = 0.0003)
    budget    clip(α·(target − n) + δ, 0, 1) if right, else 0        (L1, LCPO-Max; δ = 0.5)
    overlong  0 up to max − cache, then ((max − cache) − n)/cache, −1 above max
              (DAPO, arXiv 2503.14476, equation 13; cache = a fifth of max, as its 4,096 of 20,480)
    cosine    long + ½·(short − long)·(1 + cos(π·n/max)), with the two values of right or of wrong answers; `exceeded`
              from max on            (Demystifying Long Chain-of-Thought, arXiv 2502.03373; TRL's default values)

L1's full rewards add correctness to `target` and are `budget` alone: there give the correctness reward the weight 0.
`per_mode` takes the group of `min_max` to be the rollouts of one mode: thinking is then not compared with direct
answers, which is the judge reward's task. L1 writes the target into each prompt: `metadata["target_tokens"]` of a
problem wins over `target`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Gt

from rewards.builtin.parts import Part, part_ids
from rewards.parameters import AboveZero, AtLeastZero
from rewards.plugin import group_reward
from rollout.errors import UserError
from rollout.types import MODES, Mode, RolloutGroup


@group_reward
def length(
    group: RolloutGroup,
    *,
    shape: Literal["min_max", "target", "budget", "overlong", "cosine"],
    of: Part = "response",
    per_mode: bool = False,
    target: AboveZero | None = None,
    alpha: AtLeastZero = 0.0003,
    delta: float = 0.5,
    max_tokens: Annotated[int, Gt(0)] | None = None,
    cache: AboveZero | None = None,
    right_short: float = 1.0,
    right_long: float = 0.5,
    wrong_short: float = -1.0,
    wrong_long: float = -0.5,
    exceeded: float = -1.0,
) -> list[float]:
    """One score a rollout. Raises `UserError` on a value that the shape lacks."""
    sizes = [len(part_ids(r, of)) for r in group.rollouts]
    right = [r.scores.get("correct", 0.0) >= 1.0 for r in group.rollouts]
    if shape == "min_max":
        return _min_max_by_group([r.mode for r in group.rollouts], sizes, right, per_mode)
    if shape in ("target", "budget"):
        wanted = _above_zero("target", group.problem.metadata.get("target_tokens", target), shape)
        if shape == "target":
            return [-alpha * abs(wanted - n) for n in sizes]
        return [
            min(max(alpha * (wanted - n) + delta, 0.0), 1.0) if ok else 0.0 for n, ok in zip(sizes, right, strict=True)
        ]
    longest = _above_zero("max_tokens", max_tokens, shape)
    if shape == "overlong":
        return [overlong(n, longest, cache or longest / 5) for n in sizes]
    ends = {True: (right_short, right_long), False: (wrong_short, wrong_long)}
    return [exceeded if n >= longest else cosine(n / longest, *ends[ok]) for n, ok in zip(sizes, right, strict=True)]


def min_max(sizes: Sequence[int], right: Sequence[bool]) -> list[float]:
    """Kimi k1.5's reward of each of these responses."""
    shortest, longest = min(sizes), max(sizes)
    if shortest == longest:
        return [0.0] * len(sizes)
    values = [0.5 - (n - shortest) / (longest - shortest) for n in sizes]
    return [value if ok else min(0.0, value) for value, ok in zip(values, right, strict=True)]


def overlong(n: int, longest: float, cache: float) -> float:
    """DAPO's soft punishment of one response."""
    if n > longest:
        return -1.0
    return min(0.0, (longest - cache - n) / cache)


def cosine(progress: float, short: float, long: float) -> float:
    """From `short` at 0 to `long` at 1."""
    return long + 0.5 * (short - long) * (1 + math.cos(math.pi * progress))


def _min_max_by_group(
    modes: Sequence[Mode | None], sizes: Sequence[int], right: Sequence[bool], per_mode: bool
) -> list[float]:
    """`min_max` over the answered rollouts, together or mode by mode; 0 for the others."""
    scores = [0.0] * len(modes)
    for members in tuple((mode,) for mode in MODES) if per_mode else (MODES,):
        rows = [i for i, mode in enumerate(modes) if mode in members]
        if rows:
            values = min_max([sizes[i] for i in rows], [right[i] for i in rows])
            for i, value in zip(rows, values, strict=True):
                scores[i] = value
    return scores


def _above_zero(name: str, value: float | None, shape: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UserError(f"length.{name} is {value!r}; allowed for the shape {shape!r}: a number above 0")
    return value

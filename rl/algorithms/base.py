"""What an algorithm is: a plan, two advantages per rollout, and how the loss weighs the two steps. Pure numpy.

Shapes: G is the number of rollouts in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout.errors import UserError
from rollout.plan import ForcedShare
from rollout.types import MODES, Mode, RolloutGroup

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GroupArrays:
    """One group as arrays: what every algorithm is a function of.

    `modes` is "think", "no_think" or None for each of G rollouts; `rewards_G` the answer rewards r, `judge_G` the
    judge rewards q, `correct_G` in [0, 1], `lengths_G` completion tokens, `switch_probs_G2` the policy's probabilities
    of (think, no_think) at the decision, `forced_G` 1 where the mode was forced, `truncated_G` 1 where the response
    hit the length limit. `progress` is the share of the run that is over, in [0, 1].
    """

    modes: tuple[Mode | None, ...]
    rewards_G: Array
    judge_G: Array
    correct_G: Array
    lengths_G: Array
    switch_probs_G2: Array
    forced_G: Array
    truncated_G: Array
    progress: float = 0.0

    def mask(self, mode: Mode | None) -> NDArray[np.bool_]:
        """True for the rollouts of this mode."""
        return np.array([m == mode for m in self.modes], dtype=bool)


@dataclass(frozen=True)
class LossOptions:
    """How the two advantages enter the loss.

    `judge_weight` is w_J. `judge_mean` says what the judge step is averaged over: "rollouts" (its own count, so that
    long judge texts cannot drown the switch) or "tokens" (one token mean with the answer step, as in GRPO).
    `forced_switch`: "uncorrected" trains a forced switch as if it had been sampled, "masked" gives it no gradient.
    """

    judge_weight: float = 0.4
    judge_mean: str = "rollouts"
    forced_switch: str = "uncorrected"

    def __post_init__(self) -> None:
        _one_of("judge_mean", self.judge_mean, ("rollouts", "tokens"))
        _one_of("forced_switch", self.forced_switch, ("uncorrected", "masked"))


Advantages = Callable[..., tuple[Array, Array]]


@dataclass(frozen=True)
class Algorithm:
    """`advantages(group, **parameters) -> (judge_G, answer_G)`; `plan` replaces the configured forced share when the
    algorithm prescribes its own."""

    name: str
    advantages: Advantages
    parameters: Mapping[str, Any]
    loss: LossOptions = field(default_factory=LossOptions)
    plan: ForcedShare | None = None

    def __call__(self, group: GroupArrays) -> tuple[Array, Array]:
        """The two advantages of every rollout, each of shape (G,)."""
        return self.advantages(group, **self.parameters)


def group_advantages(algorithm: Algorithm, group: RolloutGroup, progress: float) -> tuple[Array, Array]:
    """The two advantages of every rollout of a group, each of shape (G,). A broken rollout takes part in nothing: they
    are computed on the others alone, and its own are 0."""
    usable_G = np.array([not r.broken for r in group.rollouts], dtype=bool)
    judge_G, answer_G = np.zeros(len(usable_G)), np.zeros(len(usable_G))
    if usable_G.any():
        judge_G[usable_G], answer_G[usable_G] = algorithm(group_arrays(group.usable(), progress))
    return judge_G, answer_G


def group_arrays(group: RolloutGroup, progress: float) -> GroupArrays:
    """The arrays of a scored group."""
    rollouts = group.rollouts
    return GroupArrays(
        modes=tuple(r.mode for r in rollouts),
        rewards_G=np.array([r.scores["answer_reward"] for r in rollouts], dtype=float),
        judge_G=np.array([r.scores["judge_reward"] for r in rollouts], dtype=float),
        correct_G=np.array([r.scores["correct"] for r in rollouts], dtype=float),
        lengths_G=np.array([len(r.completion_ids) for r in rollouts], dtype=float),
        switch_probs_G2=np.array([[r.switch_probs.get(m, 0.0) for m in MODES] for r in rollouts], dtype=float),
        forced_G=np.array([r.forced for r in rollouts], dtype=float),
        truncated_G=np.array([r.truncated for r in rollouts], dtype=float),
        progress=progress,
    )


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UserError(f"algorithm.{name} is {value!r}; allowed: {', '.join(allowed)}")

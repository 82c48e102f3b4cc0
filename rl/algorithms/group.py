"""One group of rollouts as arrays, and the few statistics that several algorithms share. Pure numpy.

Shapes: G is the number of rollouts in a group. A rollout without a switch has no mode; its reward r is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rewards.builtin.judge import PassCounts
from rl.statistics.targets import judge_target
from rollout.errors import UserError
from rollout.types import MODES, Mode, Problem, RolloutGroup, untagged

Array = NDArray[np.float64]
Scale = Literal["none", "std"]


@dataclass(frozen=True)
class GroupArrays:
    """One group as arrays: what every algorithm is a function of.

    `modes` is "think", "no_think" or None for each of G rollouts; `rewards_G` the answer rewards r, `judge_G` the
    judge rewards q, `correct_G` in [0, 1], `lengths_G` completion tokens, `switch_probs_GM` the policy's probabilities
    of the modes at the decision, in the order of `MODES`, `forced_G` 1 where the mode was forced, `truncated_G` 1 where
    the response hit the length limit, `readable_G` 1 where it had the form of an answer (None: all had). `progress` is
    the share of the run that is over, in [0, 1].

    What only some need: `necessity` the problem's own label; `history` the pass counts of earlier visits by mode;
    `batch_think_share` the share of thinking among the free choices of the whole batch (None: nobody chose);
    `batch_target_share` the share of the batch's problems whose judge reward prefers thinking, among those where it
    prefers a mode (None: nowhere);
    `reference_accuracy` the pass rate of a reference policy on this problem (None: unknown);
    `stated` the mode that the prompt states (None: it leaves it open).
    """

    modes: tuple[Mode | None, ...]
    rewards_G: Array
    judge_G: Array
    correct_G: Array
    lengths_G: Array
    switch_probs_GM: Array
    forced_G: Array
    truncated_G: Array
    progress: float = 0.0
    readable_G: Array | None = None
    necessity: Mode | None = None
    history: Mapping[str, PassCounts] = field(default_factory=dict)
    batch_think_share: float | None = None
    batch_target_share: float | None = None
    reference_accuracy: float | None = None
    stated: Mode | None = None

    def mask(self, mode: Mode | None) -> NDArray[np.bool_]:
        """True for the rollouts of this mode."""
        return np.array([m == mode for m in self.modes], dtype=bool)

    def mean_reward(self, mode: Mode) -> float | None:
        """R̄_m, or None for a mode without rollouts."""
        mask = self.mask(mode)
        return float(self.rewards_G[mask].mean()) if mask.any() else None

    def choice_probs(self) -> Array:
        """π of each mode, normalised over them, shape (G, M) in the order of `MODES`; equal where all are 0."""
        total_G1 = self.switch_probs_GM.sum(axis=1, keepdims=True)
        return np.where(total_G1 > 0, self.switch_probs_GM / np.where(total_G1 > 0, total_G1, 1.0), 1 / len(MODES))


def standardise(values_G: Array) -> Array:
    """z of section-wide use: (x − mean) / (sample std + 1e-6); 0 where the std is 0 or there is one value."""
    std = values_G.std(ddof=1) if len(values_G) > 1 else 0.0
    # Equal rewards may differ by rounding.
    return (values_G - values_G.mean()) / (std + 1e-6) if std > 1e-9 else np.zeros(len(values_G))


def within_modes(group: GroupArrays, scale: Scale = "none", std_floor: float = 1e-3) -> Array:
    """r minus the mean of its own mode, with `scale` "std" divided by that mode's sample std + 1e-6 (0 below
    `std_floor`); 0 for a mode with one rollout and for rollouts without a mode."""
    answer_G = np.zeros(len(group.modes))
    for mode in MODES:
        mask = group.mask(mode)
        if mask.sum() < 2:
            continue
        rewards = group.rewards_G[mask]
        if scale == "none":
            answer_G[mask] = rewards - rewards.mean()
        elif rewards.std(ddof=1) >= std_floor:
            answer_G[mask] = standardise(rewards)
    return answer_G


def right_answers(group: GroupArrays) -> NDArray[np.bool_]:
    """Which answers count as right where a formula knows only right and wrong: more than half of full correctness."""
    return (group.correct_G > 0.5) & ~group.mask(None)


def group_arrays(
    group: RolloutGroup,
    progress: float,
    *,
    history: Mapping[str, PassCounts] | None = None,
    batch_think_share: float | None = None,
    batch_target_share: float | None = None,
) -> GroupArrays:
    """The arrays of a scored group; `history` are the problem's pass counts before this visit."""
    rollouts = group.rollouts
    return GroupArrays(
        modes=tuple(r.mode for r in rollouts),
        rewards_G=np.array([r.scores["answer_reward"] for r in rollouts], dtype=float),
        judge_G=np.array([r.scores["judge_reward"] for r in rollouts], dtype=float),
        correct_G=np.array([r.scores["correct"] for r in rollouts], dtype=float),
        lengths_G=np.array([len(r.completion_ids) for r in rollouts], dtype=float),
        switch_probs_GM=np.array([[r.switch_probs.get(m, 0.0) for m in MODES] for r in rollouts], dtype=float),
        forced_G=np.array([r.forced is not None for r in rollouts], dtype=float),
        truncated_G=np.array([r.truncated for r in rollouts], dtype=float),
        progress=progress,
        readable_G=np.array([r.status == "ok" for r in rollouts], dtype=float),
        necessity=group.problem.necessity,
        history=history or {},
        batch_think_share=batch_think_share,
        batch_target_share=batch_target_share,
        stated=group.stated,
        reference_accuracy=_reference_accuracy(group.problem, history or {}),
    )


def _reference_accuracy(problem: Problem, history: Mapping[str, PassCounts]) -> float | None:
    """The problem's metadata say it, else the pass rate of thinking at earlier visits."""
    known = getattr(problem, "metadata", {}).get("reference_accuracy")
    if known is not None:
        if isinstance(known, bool) or not isinstance(known, int | float) or not math.isfinite(known):
            raise UserError(f"problem {problem.id!r}: metadata.reference_accuracy is {known!r}; allowed: a number")
        return float(known)
    past = history.get("think", PassCounts())
    return past.successes / past.trials if past.trials > 0 else None


def free_choices(groups: Sequence[RolloutGroup]) -> tuple[int, int]:
    """(thinking, all) of the rollouts whose mode the policy chose; add them up over ranks."""
    modes = [
        r.mode for g in untagged(groups) for r in g.rollouts if not r.forced and not r.broken and r.mode is not None
    ]
    return modes.count("think"), len(modes)


def judge_targets(groups: Sequence[RolloutGroup]) -> tuple[int, int]:
    """(preferring thinking, preferring a mode) of the problems, by their judge rewards; add them up over ranks."""
    targets = [target for target in map(judge_target, untagged(groups)) if target is not None]
    return targets.count("think"), len(targets)

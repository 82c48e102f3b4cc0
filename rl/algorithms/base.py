"""What an algorithm is: a plan, two advantages per rollout, and how the loss weighs the two steps. Pure numpy."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from rewards.parameters import AtLeastZero, type_hints, typed
from rl.algorithms.group import Array, GroupArrays, group_arrays
from rollout.errors import UserError
from rollout.modes import ForcedShare
from rollout.types import MODES, RolloutGroup

FREE = ForcedShare(start=0.0, floor=0.0, decay_steps=0, minimum=0)
PAIRED = ForcedShare(start=1.0, floor=1.0, decay_steps=0, minimum=0)


@dataclass(frozen=True)
class LossOptions:
    """How the two advantages enter the loss; `rl.training.loss.policy_loss` has the formulas.

    `judge_weight` is w_J. `judge_mean` says what the judge part is averaged over: "rollouts" (its own count, so that
    long judge texts cannot drown the switch) or "tokens" (one mean with the answer part, as in GRPO). `judge_text`:
    the part that sampled judge text before the switch belongs to, "judge", or "answer" where a formula singles out
    the switch alone (a response without a switch is then all answer).
    `answer_mean`: "tokens" (of the batch), "sequences" (of each rollout, then over rollouts) or "constant" (a sum
    divided by rollouts and the length limit, as Dr.GRPO). `ratio`: "token", or "sequence": exp of the mean log-ratio
    over a rollout's trained tokens (GSPO, arXiv 2507.18071).
    `forced_switch`: "uncorrected" trains a forced switch as if it had been sampled, "masked" gives it no gradient,
    "importance" weighs every switch by π(m)·G/F_m. `forced_log_prob`: the denominator of a forced switch's ratio is
    the "policy"'s own probability, or ½ ("half"). `truncated`: a response cut at the length limit is trained as any
    other ("train"), or none of its tokens is and it counts as no rollout ("masked": DAPO's overlong filtering).
    `clip_low`, `clip_high`: the ratio is clipped to [1 − low, 1 + high]; null: trainer.clip_low and trainer.clip_high.
    `delta`: a second bound, above 1 + high, for ratios of tokens with a negative advantage (two-sided clipping,
    INTELLECT-2, arXiv 2505.07291; the c of dual-clip PPO, arXiv 1912.09729); null: none. `entropy` weighs the bonus
    for entropy, a mean over trained tokens; `kl` the KL to the starting model, where trainer.kl is not set.
    `rehearsal` weighs the answers of the cold start that train again (rl/curriculum/rehearsal.py), a mean over tokens.
    """

    judge_weight: AtLeastZero = 0.4
    judge_mean: Literal["rollouts", "tokens"] = "rollouts"
    judge_text: Literal["judge", "answer"] = "judge"
    answer_mean: Literal["tokens", "sequences", "constant"] = "tokens"
    ratio: Literal["token", "sequence"] = "token"
    forced_switch: Literal["uncorrected", "masked", "importance"] = "uncorrected"
    forced_log_prob: Literal["policy", "half"] = "policy"
    truncated: Literal["train", "masked"] = "train"
    clip_low: AtLeastZero | None = None
    clip_high: AtLeastZero | None = None
    delta: Annotated[float, Gt(1)] | None = None
    entropy: AtLeastZero = 0.0
    kl: AtLeastZero = 0.0
    rehearsal: AtLeastZero = 0.0

    def __post_init__(self) -> None:
        for name, hint in type_hints(type(self)).items():
            typed(getattr(self, name), hint, f"algorithm.{name}")
        if self.delta is not None and self.delta <= 1 + (self.clip_high or 0.0):
            raise UserError(f"algorithm.delta is {self.delta}; allowed: above 1 + clip_high, or null for none")
        if self.forced_switch == "importance" and self.forced_log_prob == "half":
            raise UserError("algorithm.forced_log_prob is 'half' with forced_switch 'importance'; allowed: policy")


@dataclass(frozen=True)
class Savings:
    """How an algorithm gets by with fewer generated tokens. `direct_first`: a group is drawn in two parts, and thinks
    only where its direct answers leave open whether thinking is right (rl/training/direct_first.py). `judge_replay`:
    so many earlier groups train their decisions again in each round (rl/curriculum/judge_replay.py)."""

    direct_first: bool = False
    judge_replay: Annotated[int, Ge(0)] = 0


ONE_MEAN = LossOptions(judge_weight=1.0, judge_mean="tokens")

Advantages = Callable[..., tuple[Array, Array]]


@dataclass(frozen=True)
class Algorithm:
    """`advantages(group, **parameters) -> (judge_G, answer_G)`; a configuration's own parameters come after
    `parameters`. `plan` replaces the configured forced share when the algorithm prescribes its own. `one_advantage`:
    both are always equal. `loss_names`: the algorithm's own names of loss options, such as degrpo's alpha for
    judge_weight. `published`: the parameters and loss options that its authors' own code differs in, for `preset:
    published`; None where no such code is known. `savings`: None for an algorithm that has none, because its judge
    advantage depends on the policy or is none of its own. `idle`: parameters that do nothing while another has a
    value, refused there."""

    name: str
    advantages: Advantages
    parameters: Mapping[str, Any] = field(default_factory=dict)
    loss: LossOptions = field(default_factory=LossOptions)
    plan: ForcedShare | None = None
    one_advantage: bool = False
    loss_names: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Any] | None = None
    savings: Savings | None = None
    idle: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        loss = self.loss
        same = self.one_advantage and loss.judge_mean == "tokens" and loss.judge_weight == 1
        if loss.ratio == "sequence" and not (same and loss.forced_switch != "importance"):
            raise UserError(
                f"algorithm.ratio is 'sequence' with {self.name!r}, whose tokens differ in advantage or weight; "
                "allowed: token (a sequence ratio would average them)"
            )

    def __call__(self, group: GroupArrays) -> tuple[Array, Array]:
        """The two advantages of every rollout, each of shape (G,)."""
        return self.advantages(group, **self.parameters)

    def switch_weights(self, group: GroupArrays) -> Array:
        """What `forced_switch: importance` multiplies each switch's judge advantage by, shape (G,); else 1.

        π(m)·G/F_m with π over the two switches and F_m the rollouts of mode m. With the policy baseline
        A = q − Σ_m π(m) q(m), the mean over rollouts of weight · A · ∇log π(m) is Σ_m ∇π(m) q(m), the exact gradient
        of E[q], whoever was forced, as long as both modes occur. The baseline also cancels what the switches' common
        share of the vocabulary would add.
        """
        weights_G = np.ones(len(group.modes))
        if self.loss.forced_switch == "importance":
            for column, mode in enumerate(MODES):
                mask = group.mask(mode)
                weights_G[mask] = group.choice_probs()[mask, column] * len(group.modes) / max(mask.sum(), 1)
        return weights_G


def group_advantages(algorithm: Algorithm, group: RolloutGroup, **known: Any) -> tuple[Array, Array, Array]:
    """The two advantages and the switch weight of every rollout of a group, each of shape (G,). A broken rollout takes
    part in nothing: they are computed on the others alone, and its own are 0. `known` goes to `group_arrays`."""
    usable_G = np.array([not r.broken for r in group.rollouts], dtype=bool)
    judge_G, answer_G, weights_G = (np.zeros(len(usable_G)) for _ in range(3))
    if usable_G.any():
        arrays = group_arrays(group.usable(), **known)
        judge_G[usable_G], answer_G[usable_G] = _checked(algorithm, arrays, group.problem.id)
        weights_G[usable_G] = algorithm.switch_weights(arrays)
    return judge_G, answer_G, weights_G


def _checked(algorithm: Algorithm, arrays: GroupArrays, problem: str) -> tuple[Array, Array]:
    """The two advantages. Raises `UserError` where somebody's function raises or returns anything else."""
    place, size = f"algorithm {algorithm.name!r} on problem {problem!r}", len(arrays.modes)
    try:
        made = algorithm(arrays)
        found = [np.asarray(one) for one in made] if isinstance(made, tuple | list) and len(made) == 2 else []
        sound = [one.shape == (size,) and one.dtype.kind in "fiub" and bool(np.isfinite(one).all()) for one in found]
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(f"{place} raised {type(error).__name__}: {error} ({last.filename}:{last.lineno})") from error
    if not found or not all(sound):
        raise UserError(
            f"{place} returned {made!r:.200}; allowed: (A_judge, A_answer), two arrays of shape ({size},) with finite "
            "numbers"
        )
    return found[0], found[1]

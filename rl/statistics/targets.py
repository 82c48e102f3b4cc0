"""What a scored group says about its problem: the mode that the judge reward prefers, and the policy's own preference.

Shared by metrics, resampling and the collapse guard, so that all three mean the same by "the right mode".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.types import MODES, Mode, Rollout, RolloutGroup


def judge_target(group: RolloutGroup) -> Mode | None:
    """The mode with the highest mean judge reward; None where the best are worth the same, and without direct answers.
    Direct answers alone may be known to be right: no thought was drawn because none could be (direct_first)."""
    means: dict[Mode, float] = {}
    for mode in MODES:
        values = [r.scores["judge_reward"] for r in group.usable().by_mode(mode)]
        if not values and mode == "no_think":
            return None
        means[mode] = sum(values) / len(values) if values else 0.0
    best = [mode for mode in MODES if means[mode] == max(means.values())]
    return best[0] if len(best) == 1 else None


def think_share(rollout: Rollout) -> float:
    """The probability of thinking among the two switches at the decision; ½ where neither had any."""
    return share_of(rollout.switch_probs)


def share_of(switch_probs: Mapping[str, float]) -> float:
    """`think_share` from the probabilities alone."""
    think, direct = (switch_probs.get(mode, 0.0) for mode in ("think", "no_think"))
    return think / (think + direct) if think + direct > 0 else 0.5


def mean_switch_probability(rollouts: Iterable[Rollout], mode: Mode) -> float | None:
    """The mean probability of `mode` over the rollouts with a decision; None without any."""
    shares = [think_share(r) for r in rollouts if r.switch_probs]
    if not shares:
        return None
    mean = sum(shares) / len(shares)
    return mean if mode == "think" else 1 - mean

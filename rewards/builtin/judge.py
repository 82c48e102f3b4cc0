"""The judge reward: was the mode right for this problem?

    p_m   = (history successes + group successes + prior · p̄) / (history trials + group trials + prior)
    right = think  iff  p_T − p_N > margin,  else no_think          (within the margin, direct answering wins)
    q_i   = 1 if the rollout took the right mode, else `wrong`       (0, or −1)

`p̄` is the problem's own pass rate over both modes (½ before any trial): shrinking both modes towards one value keeps
an untried problem undecided and adds no difference of its own. Pooling with the history matters: with four rollouts
a mode, rates move in steps of ¼ and any smaller margin is inert. When both modes fail nothing is known and q = 0.
A group without a thought is judged as if it had as many thoughts as direct answers, all of them right: where direct
answering is right even then, it is right; else nothing is known.

Where the prompt states a mode by a tag (rollout.tagged_share), that mode is the right one, whatever else is known.

Targets: `group` (pass rates of this group and its history) and `label` (the problem's own `necessity`). 1 for right and
0 for wrong, without a baseline, is a push that fades as the policy agrees; see docs/algorithm.md. The margin may change
over the run: rewards/builtin/margin.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Le

from rewards.builtin.margin import check_margin, margin_at
from rewards.parameters import AtLeastZero
from rewards.plugin import RewardError, group_reward, judges_with
from rollout.types import MODES, Mode, Problem, RolloutGroup


@dataclass(frozen=True)
class PassCounts:
    """Successes and trials of one mode on one problem; fractional when they decay."""

    successes: float = 0.0
    trials: float = 0.0


def pooled_pass_rates(
    modes: Sequence[Mode | None],
    correct: Sequence[float],
    history: Mapping[str, PassCounts] | None = None,
    prior: float = 0.5,
) -> dict[Mode, float | None]:
    """Pass rate of each mode over a group and its history; None for a mode that was never tried."""
    counts = {}
    for mode in MODES:
        past = (history or {}).get(mode, PassCounts())
        now = [c for m, c in zip(modes, correct, strict=True) if m == mode]
        counts[mode] = (past.successes + sum(now), past.trials + len(now))
    trials = sum(n for _, n in counts.values())
    centre = sum(s for s, _ in counts.values()) / trials if trials else 0.5
    return {mode: (s + prior * centre) / (n + prior) if n else None for mode, (s, n) in counts.items()}


def right_mode(rates: Mapping[Mode, float | None], margin: float, all_wrong: str = "neutral") -> Mode | None:
    """The mode to prefer, or None when nothing is known."""
    think, direct = rates["think"], rates["no_think"]
    if think is None or direct is None:
        return None
    if think == 0 and direct == 0:
        return "no_think" if all_wrong == "no_think" else None
    # Rates such as 0.55 and 0.5 are 0.05 apart but for rounding.
    return "think" if think - direct > margin + 1e-9 else "no_think"


def may_think(
    modes: Sequence[Mode | None],
    correct: Sequence[float],
    history: Mapping[str, PassCounts] | None = None,
    margin: float = 0.05,
    prior: float = 0.5,
) -> bool:
    """Whether thinking could turn out right for a group without thoughts: whether it were, had the group as many
    thoughts as direct answers, all of them right.

    >>> direct = ["no_think"] * 4
    >>> may_think(direct, [1, 1, 1, 0], margin=0.25), may_think(direct, [1, 1, 0, 0], margin=0.25)
    (False, True)
    """
    thoughts = list(modes).count("no_think")
    supposed: list[Mode | None] = [*modes]
    supposed += ["think"] * thoughts
    rates = pooled_pass_rates(supposed, [*correct, *[1.0] * thoughts], history, prior)
    return right_mode(rates, margin) != "no_think"


def check_problem(problem: Problem, target: str = "group") -> None:
    """Raises `RewardError` for a problem without a label where the target is its label: it would teach nothing."""
    if target == "label" and problem.necessity is None:
        raise RewardError(
            f"problem {problem.id!r} has no 'necessity', which judge.target 'label' reads; allowed: rows of "
            "scripts/label_necessity.py, or target group"
        )


@judges_with(check_problem)
@group_reward
def judge(
    group: RolloutGroup,
    *,
    history: Mapping[str, PassCounts] | None = None,
    step: int = 0,
    target: Literal["group", "label"] = "group",
    margin: Annotated[float | Mapping[str, Any], check_margin] = 0.05,
    wrong: Annotated[float, Le(1)] = 0.0,
    all_wrong: Literal["neutral", "no_think"] = "neutral",
    prior: AtLeastZero = 0.5,
) -> list[float]:
    """One score a rollout, from `scores["correct"]` of the whole group. `margin` is a number or a schedule
    (rewards/builtin/margin.py), read at `step`."""
    margin = margin_at(margin, step)
    modes, correct = [r.mode for r in group.rollouts], [r.scores["correct"] for r in group.rollouts]
    right: Mode | None
    if group.stated:
        right = group.stated
    elif target == "label":
        right = group.problem.necessity
    elif "think" not in modes and not may_think(modes, correct, history, margin, prior):
        right = "no_think"
    else:
        right = right_mode(pooled_pass_rates(modes, correct, history, prior), margin, all_wrong)
    if right is None:
        return [0.0] * len(modes)
    return [0.0 if mode is None else 1.0 if mode == right else wrong for mode in modes]

"""What a person would want to be told of a run while it goes on. Pure: the metrics of each step in, lines out.

Each alarm is told once and says what to try. `PATIENCE` steps with rollouts must agree, so that no single step alarms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

PATIENCE = 10
CUT = 0.25
SUMS = ("judge", "correct", "answer_reward", "judge_reward")
NOT_FINITE = "the loss or its gradient is not finite; a lower trainer.learning_rate, or float32"
UNPAID = f"the reward {{!r}} has paid nothing for {PATIENCE} steps; look at rollouts/ and at scripts/check_rewards.py"
GAP = 0.02
Metrics = Mapping[str, float]


class Alarms:
    """Watches the steps of one run."""

    def __init__(self) -> None:
        self._lasts: dict[str, int] = {}
        self._told: set[str] = set()

    def observe(self, metrics: Metrics) -> list[str]:
        """The alarms that this step completes."""
        found = []
        if not math.isfinite(metrics.get("loss", 0.0)) or not math.isfinite(metrics.get("grad_norm", 0.0)):
            found.append(("nan", 1, NOT_FINITE))
        if "groups/informative" in metrics:
            found += [(name, PATIENCE, text) for name, (holds, text) in CHECKS.items() if holds(metrics)]
            scores = {key.removeprefix("score/"): value for key, value in metrics.items() if key.startswith("score/")}
            unpaid = [name for name, value in scores.items() if value == 0 and name not in SUMS]
            found += [(f"score/{name}", PATIENCE, UNPAID.format(name)) for name in unpaid]
            for name in set(self._lasts) - {name for name, _, _ in found}:
                self._lasts[name] = 0
        return [text for name, patience, text in found if self._completes(name, patience)]

    def _completes(self, name: str, patience: int) -> bool:
        self._lasts[name] = self._lasts.get(name, 0) + 1
        if self._lasts[name] < patience or name in self._told:
            return False
        self._told.add(name)
        return True


def uninformative_line(metrics: Metrics) -> str:
    """Why a step taught nothing; empty where it taught something."""
    if metrics.get("groups/informative", 1.0) > 0:
        return ""
    reasons = {
        "all right in both modes, and the judge agrees": metrics.get("groups/all_right", 0.0),
        "all wrong in both modes": metrics.get("groups/all_wrong", 0.0),
        "answered in one mode only": metrics.get("groups/one_mode", 0.0),
    }
    shown = ", ".join(f"{share:.0%} {name}" for name, share in reasons.items() if share > 0)
    return f"no group of this step has an advantage: {shown or 'rewards are equal within each mode'}"


def _both_zero(metrics: Metrics) -> bool:
    return metrics.get("accuracy/think") == 0 and metrics.get("accuracy/no_think") == 0


def _never_better(metrics: Metrics) -> bool:
    # Within groups: where only problems that direct answers leave open are thought about, the modes' means have
    # different problems.
    return metrics.get("accuracy/think", 0.0) > 0 and metrics.get("accuracy/gain", 1.0) <= GAP


def _always_better(metrics: Metrics) -> bool:
    return metrics.get("accuracy/no_think") == 0 and metrics.get("accuracy/think", 0.0) > 0


CHECKS: dict[str, tuple[Callable[[Metrics], bool], str]] = {
    "uninformative": (
        lambda m: m["groups/informative"] == 0,
        f"no group has had an advantage for {PATIENCE} steps: nothing is learned; easier or harder problems, more "
        "rollout.group_size, or a longer rollout.max_new_tokens",
    ),
    "both_zero": (
        _both_zero,
        f"neither mode has solved a problem for {PATIENCE} steps, so the choice cannot matter; a cold start, easier "
        "problems, or a longer rollout.max_new_tokens",
    ),
    "never_better": (
        _never_better,
        f"thinking has not been better than answering directly for {PATIENCE} steps, so there is nothing to judge; "
        "harder problems, or a longer cap for thoughts",
    ),
    "always_better": (
        _always_better,
        f"no direct answer has been right for {PATIENCE} steps, so there is nothing to judge; some easier problems, or "
        "a cold start on direct answers",
    ),
    "cut": (
        lambda m: m.get("status/truncated", 0.0) > CUT,
        f"more than {CUT:.0%} of the responses have been cut for {PATIENCE} steps; a longer rollout.max_new_tokens",
    ),
    "broken": (
        lambda m: m.get("reward/broken_share", 0.0) >= 1,
        f"every reward has failed for {PATIENCE} steps; scripts/check_rewards.py says why",
    ),
}

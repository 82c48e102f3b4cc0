"""The collapse guard: sees one mode die, or reasoning leak into direct answers. Pure, with its state in the checkpoint.

A mode is dying when, for `patience` steps in a row,

    rate < share  while  target > disagreement

`rate`: the mean probability of the mode at the decision; where there are at least 1/share free choices, also their
share of it. `target`: the share of problems whose judge reward prefers the mode, over the last `patience` steps in
which a group had both modes to compare. A dead mode gives no new comparison, so the last known ones stand.

Direct answers leak when, for `patience` steps in a row, they are `leak_tokens` times as long as in the first `patience`
steps, or the share of them that reads like reasoning is `leak_words` above its level then.

An alarm is told. With the action `floor` no smaller share of the rollouts than `floor` is forced from then on: for a
mode that died because it was hardly sampled any more.

Not covered: a collapse that the judge target itself calls for; a remedy for leaking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl.config.schema import GuardConfig
from rl.statistics.reflection import WORDS, reads_like_reasoning
from rl.statistics.targets import judge_target, mean_switch_probability
from rollout.types import MODES, RolloutGroup


@dataclass(frozen=True)
class Signals:
    """One step. `rates` by mode, None where nothing says; `targets` (problems that prefer think, decided problems);
    of the direct answers the mean tokens and the share that reads like reasoning, None without any."""

    rates: Mapping[str, float | None]
    targets: tuple[int, int]
    direct_tokens: float | None
    direct_words: float | None


def signals(groups: Sequence[RolloutGroup], settings: GuardConfig) -> Signals:
    """What a step's scored groups show."""
    rollouts = [r for group in groups for r in group.rollouts]
    free = [r for r in rollouts if not r.forced]
    rates: dict[str, float | None] = {}
    for mode in MODES:
        found = [mean_switch_probability(rollouts, mode)]
        if len(free) * settings.share >= 1:
            found.append(sum(r.mode == mode for r in free) / len(free))
        rates[mode] = min((rate for rate in found if rate is not None), default=None)
    targets = [target for target in map(judge_target, groups) if target is not None]
    direct = [r for r in rollouts if r.mode == "no_think"]
    words = settings.words or WORDS
    leaking = sum(reads_like_reasoning(f"{r.judge_text}\n{r.answer_text}", words) for r in direct)
    return Signals(
        rates,
        (targets.count("think"), len(targets)),
        sum(len(r.completion_ids) for r in direct) / len(direct) if direct else None,
        leaking / len(direct) if direct else None,
    )


class CollapseGuard:
    """Follows a run step by step; see the module docstring."""

    def __init__(self, settings: GuardConfig) -> None:
        self.settings = settings
        self._targets: list[tuple[int, int]] = []
        self._levels: list[tuple[float, float]] = []
        self._steps: dict[str, int] = dict.fromkeys((*MODES, "leak"), 0)
        self._alarms: list[str] = []
        self.count = 0
        self.floor = 0.0

    def observe(self, step: int, groups: Sequence[RolloutGroup]) -> dict[str, float]:
        """Take in one step's scored groups; its metrics."""
        if self.settings.action == "off":
            return {}
        found = signals(groups, self.settings)
        if found.targets[1]:
            self._targets = [*self._targets, found.targets][-self.settings.patience :]
        metrics = self._leak(step, found)
        for mode in MODES:
            self._dying(step, mode, found.rates[mode])
            metrics[f"guard/{mode}_low_steps"] = float(self._steps[mode])
        return {**metrics, "guard/alarms": float(self.count), "guard/floor": self.floor}

    def take_alarms(self) -> list[str]:
        """The alarms that nobody has been told yet."""
        alarms, self._alarms = self._alarms, []
        return alarms

    def _target(self, mode: str) -> float:
        think, decided = (sum(pair[k] for pair in self._targets) for k in (0, 1))
        share = think / decided if decided else 0.0
        return share if mode == "think" or not decided else 1 - share

    def _dying(self, step: int, mode: str, rate: float | None) -> None:
        target = self._target(mode)
        low = rate is not None and rate < self.settings.share and target > self.settings.disagreement
        message = f"{mode} is dying: chosen at {rate or 0:.1%} for {{}} steps, right for {target:.0%} of the problems"
        if self._lasts(mode, low, step, message) and self.settings.action == "floor":
            self.floor = self.settings.floor

    def _leak(self, step: int, found: Signals) -> dict[str, float]:
        """The meters, against the level of the first steps."""
        if found.direct_tokens is None or found.direct_words is None:
            return {}
        if len(self._levels) < self.settings.patience:
            self._levels.append((found.direct_tokens, found.direct_words))
        tokens, words = (sum(level[k] for level in self._levels) / len(self._levels) for k in (0, 1))
        ratio = found.direct_tokens / max(tokens, 1.0)
        leaks = ratio > self.settings.leak_tokens or found.direct_words > words + self.settings.leak_words
        message = (
            f"reasoning leaks into direct answers: for {{}} steps {ratio:.1f} times as long as at the start, "
            f"{found.direct_words:.0%} read like reasoning ({words:.0%} at the start)"
        )
        self._lasts("leak", leaks, step, message)
        return {"leak/tokens": ratio, "leak/words": found.direct_words}

    def _lasts(self, name: str, bad: bool, step: int, message: str) -> bool:
        """Count the steps of a bad state; an alarm when they reach the patience."""
        self._steps[name] = self._steps[name] + 1 if bad else 0
        if self._steps[name] != self.settings.patience:
            return False
        self._alarms.append(f"step {step}: {message.format(self._steps[name])}")
        self.count += 1
        return True

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {
            "targets": self._targets,
            "levels": self._levels,
            "steps": self._steps,
            "count": self.count,
            "floor": self.floor,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another guard stopped."""
        if not state:
            return
        self._targets = [(think, decided) for think, decided in state["targets"]]
        self._levels = [(tokens, words) for tokens, words in state["levels"]]
        self._steps = dict(state["steps"])
        self.count, self.floor = state["count"], state["floor"]

"""Which problems a pass over the data visits: history resampling, `off`, `srpo` or `mode_aware`. Pure.

`srpo` (SRPO, arXiv 2504.14286): over a pass record each prompt's rollouts; the next pass leaves out the prompts whose
rollouts were all correct and keeps mixed and all-wrong ones.

Taken as it is, that starves a judge of modes: an all-correct prompt is exactly where direct answering is learned, and
when those leave, only pushes towards thinking remain. `mode_aware` (this project's choice) retires a prompt only if

    all its rollouts of the pass were correct, and it has had `warmup_visits`, and
    p(target) ≥ settled, the policy's probability of the mode that its judge reward calls right, and
    problems of its target are still more frequent among the active ones than those of the other target

and each retired prompt returns to a pass with `return_probability`; a visit that it fails brings it back for good.
The most settled retire first. All of it follows from the observed groups and the stream's own random numbers, so ranks
that observe the same gathered groups agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rl.config.schema import HistoryConfig
from rl.statistics.targets import judge_target, mean_switch_probability
from rollout.types import MODES, RolloutGroup


@dataclass(frozen=True)
class Record:
    """What a problem showed: visits ever; since the last decision whether it was seen and all its rollouts were right;
    at the last visit its target (None: undecided) and the policy's probability of that mode."""

    visits: int = 0
    fresh: bool = False
    all_correct: bool = True
    target: str | None = None
    probability: float = 0.0

    def after(self, group: RolloutGroup) -> Record:
        """This record with one more visit."""
        correct = all(r.scores["correct"] >= 1 for r in group.rollouts)
        target = judge_target(group)
        probability = mean_switch_probability(group.rollouts, target) if target else None
        return Record(self.visits + 1, True, self.all_correct and correct, target, probability or 0.0)


class Resampler:
    """Keeps the records and decides, at the start of each pass, who takes part."""

    def __init__(self, settings: HistoryConfig) -> None:
        self.settings = settings
        self._records: dict[str, Record] = {}
        self._retired: set[str] = set()

    @property
    def on(self) -> bool:
        """Whether the order of prompts depends on what was observed."""
        return self.settings.resample != "off"

    def observe(self, groups: Iterable[RolloutGroup]) -> None:
        """Record what scored groups showed."""
        if self.on:
            # Where all rewards broke, a group showed nothing.
            for group in filter(lambda one: one.rollouts, groups):
                name = group.problem.id
                self._records[name] = self._records.get(name, Record()).after(group)

    def members(self, pool: Sequence[str], at_least: int, rng: random.Random) -> list[str]:
        """The problems of the next pass over `pool`, in the pool's order; never fewer than `at_least`."""
        if not self.on:
            return list(pool)
        self._decide(pool)
        resting = [name for name in pool if name in self._retired]
        share = self.settings.return_probability if self.settings.resample == "mode_aware" else 0.0
        back = {name for name in resting if rng.random() < share}
        missing = at_least - (len(pool) - len(resting) + len(back))
        if missing > 0:
            back |= set(rng.sample([name for name in resting if name not in back], missing))
        return [name for name in pool if name not in self._retired or name in back]

    def _decide(self, pool: Sequence[str]) -> None:
        """Retire and bring back by what was seen since the last decision."""
        seen = [name for name in pool if name in self._records and self._records[name].fresh]
        candidates = [name for name in seen if self._may_retire(self._records[name])]
        self._retired -= set(seen)
        if self.settings.resample == "mode_aware":
            candidates = self._balanced(pool, candidates)
        self._retired |= set(candidates)
        for name in seen:
            self._records[name] = replace(self._records[name], fresh=False, all_correct=True)

    def _may_retire(self, record: Record) -> bool:
        if not record.all_correct or self.settings.resample == "srpo":
            return record.all_correct
        settled = record.target is not None and record.probability >= self.settings.settled
        return settled and record.visits >= self.settings.warmup_visits

    def _balanced(self, pool: Sequence[str], candidates: Sequence[str]) -> list[str]:
        """The candidates that can go before their target becomes the rarer one among the active problems."""
        active = self._active_by_target(pool)
        gone = []
        for name in sorted(candidates, key=lambda name: -self._records[name].probability):
            target = str(self._records[name].target)
            (other,) = (mode for mode in MODES if mode != target)
            if active[target] > active[other]:
                active[target] -= 1
                gone.append(name)
        return gone

    def _active_by_target(self, pool: Iterable[str]) -> dict[str, int]:
        counts: dict[str, int] = dict.fromkeys(MODES, 0)
        for name in pool:
            target = self._records[name].target if name in self._records else None
            if target is not None and name not in self._retired:
                counts[target] += 1
        return counts

    def metrics(self) -> dict[str, float]:
        """How many problems are retired, and the known targets of the others; empty when off."""
        if not self.on:
            return {}
        active = self._active_by_target(self._records)
        counts = {f"history/active_{mode}": float(active[mode]) for mode in MODES}
        return {"history/retired": float(len(self._retired)), **counts}

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        records = {name: list(vars(record).values()) for name, record in self._records.items()}
        return {"records": records, "retired": sorted(self._retired)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all records."""
        self._records = {name: Record(*values) for name, values in state["records"].items()}
        self._retired = set(state["retired"])

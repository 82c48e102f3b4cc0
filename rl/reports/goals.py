"""What the embedded default must show, checked on the evaluations before and after RL.

    before RL  the cold start has both modes and no opinion on when to use which
    after RL   auto is as accurate as the better forced think (of before and after) minus 0.01, thinks on at most 10 %
               of the easy and at least 90 % of the hard problems, and captures at least 90 % of the oracle's saving;
               neither mode has changed where auto uses it: "within 2 points" holds in both directions

Pure: two dicts in the layout of `rl.evaluation.outcomes.summarize` in, a list of verdicts out. A number that was not
measured fails its goal. Says nothing about seeds or controls: those are runs of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl.reports.tables import LevelRow, level_rows, number, saving_captured
from rl.statistics.names import MODE_LABELS
from rollout.printable import printable

Goal = tuple[str, bool, str]
Result = Mapping[str, Any]

# 0.97 - 0.95 is a little more than 0.02 in binary.
ROUNDING = 1e-9
POINTS = 0.02


def goals(before: Result, after: Result, min_share: float = 0.10) -> list[Goal]:
    """(name, passed, detail) of each goal. A mode counts at a level where auto uses it on `min_share` of the problems
    or more."""
    return cold_start_goals(before) + rl_goals(before, after) + steady_goals(before, after, min_share)


def cold_start_goals(before: Result) -> list[Goal]:
    """Both modes work where they should, and the free choice is uninformed."""

    def accuracy(split: str, mode: str) -> float | None:
        return number(before, split, mode, "accuracy")

    checks = [
        within("cold start: forced think on hard", accuracy("hard", "think"), low=0.90),
        within("cold start: forced direct on hard", accuracy("hard", "no_think"), high=0.40),
        within("cold start: forced think on easy", accuracy("easy", "think"), low=0.95),
        within("cold start: forced direct on easy", accuracy("easy", "no_think"), low=0.95),
    ]
    for split in ("easy", "hard"):
        share = number(before, split, "auto", "think_probability")
        checks.append(within(f"cold start: think probability on {split}", share, low=0.30, high=0.70))
    return checks


def rl_goals(before: Result, after: Result) -> list[Goal]:
    """Accuracy kept, modes separated, tokens saved."""
    thinking = [number(result, "modes", "think", "accuracy") for result in (before, after)]
    known = [value for value in thinking if value is not None]
    auto = number(after, "modes", "auto", "accuracy") if len(known) == 2 else None
    floor = max(known, default=0.0) - 0.01
    captured = saving_captured(before, after)
    return [
        within("auto accuracy", auto, low=floor),
        within("think rate on easy", number(after, "easy", "auto", "think_rate"), high=0.10),
        within("think rate on hard", number(after, "hard", "auto", "think_rate"), low=0.90),
        within("share of the oracle's saving captured", captured, low=0.90),
    ]


def steady_goals(before: Result, after: Result, min_share: float) -> list[Goal]:
    """Each forced mode, where auto uses it, answers as it did before RL."""
    name = "forced modes within 2 points of before"
    levels = level_rows(before, after)
    if not levels:
        return [(name, False, "not measured: the evaluations have no difficulty levels")]
    found: list[Goal] = []
    for level in levels:
        rate = level.think_rate[1]
        if rate is None:
            found.append((f"{name}: level {printable(level.level, 24)}", False, "not measured: think rate after RL"))
            continue
        for mode, share in (("think", rate), ("no_think", 1 - rate)):
            if share >= min_share - ROUNDING:
                found.append(_steady(level, mode, share))
    return found


def _steady(level: LevelRow, mode: str, share: float) -> Goal:
    name = f"{MODE_LABELS[mode]} on level {printable(level.level, 24)} within 2 points of before"
    before, after = level.accuracy[mode]
    if before is None or after is None:
        return (name, False, f"not measured {'before' if before is None else 'after'} RL")
    change = after - before
    detail = f"{before:.3f} before, {after:.3f} after ({100 * change:+.1f} points; auto uses it on {share:.0%})"
    return (name, abs(change) <= POINTS + ROUNDING, detail)


def within(name: str, value: float | None, low: float | None = None, high: float | None = None) -> Goal:
    """Whether a measured value is at least `low` and at most `high`."""
    if value is None:
        return (name, False, "not measured")
    limits = (("at least", low), ("at most", high))
    bounds = [f"{words} {limit:.3f}" for words, limit in limits if limit is not None]
    passed = (low is None or value >= low - ROUNDING) and (high is None or value <= high + ROUNDING)
    return (name, passed, f"{value:.3f}; wanted: {' and '.join(bounds)}")

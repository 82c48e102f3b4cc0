"""Do the rewards know right from wrong on this data? Each gold answer must earn full marks and a wrong one must not.

`rl/checks/known_answers.py` says what the answers are. Every gold answer is also read by the math reward, where that
applies: one that cannot be read would stop the run when its problem is drawn, hours later.

Used by `scripts/check_rewards.py`, by a run before it starts (`rl/checks/preflight.py`), and for gold answers alone by
`rl/checks/data_check.py`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from rewards.builtin import math_answer
from rewards.plugin import RewardError
from rewards.registry import Reward
from rewards.score import score_groups
from rl.checks.known_answers import gold_answer, wrong_answer
from rollout.printable import printable
from rollout.types import Problem, Rollout, RolloutGroup, Status

KINDS = ("gold", "wrong")
LONGEST_LINE = 4000  # characters of a line of a report; ids and texts of data stand in it


@dataclass(frozen=True)
class Probe:
    """One answer put before the rewards. `kind` is gold or wrong; `correct` is None where a reward broke, and `error`
    says how."""

    problem: str
    kind: str
    answer: str
    correct: float | None
    seconds: float
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the rewards got it wrong."""
        return self.correct is None or (self.correct >= 1.0) != (self.kind == "gold")

    def told(self) -> str:
        """The answer and what became of it."""
        answer = self.answer if len(self.answer) <= 60 else self.answer[:57] + "..."
        return f"{answer!r}: {self.error or f'correct {self.correct:g}'}"


@dataclass(frozen=True)
class RewardCheck:
    """What was tried, and the ids of the problems (of `problems`) whose gold answer the math reward cannot read."""

    problems: int
    probes: tuple[Probe, ...]
    unreadable: tuple[str, ...]

    def of(self, kind: str) -> list[Probe]:
        """The probes of a kind."""
        return [p for p in self.probes if p.kind == kind]

    def failed(self, kind: str) -> list[Probe]:
        """Those that the rewards got wrong."""
        return [p for p in self.of(kind) if p.failed]

    @property
    def per_second(self) -> float:
        """Verdicts a second, one after the other."""
        seconds = sum(p.seconds for p in self.probes)
        return len(self.probes) / seconds if seconds else 0.0

    def slowest(self) -> list[Probe]:
        """The five probes that took longest."""
        return sorted(self.probes, key=lambda p: -p.seconds)[:5]

    def to_json(self) -> dict[str, Any]:
        """Plain data, with every probe that failed."""
        kinds = {
            kind: {"tried": len(self.of(kind)), "failed": [dataclasses.asdict(p) for p in self.failed(kind)]}
            for kind in KINDS
        }
        return {
            "problems": self.problems,
            **kinds,
            "unreadable": list(self.unreadable),
            "verdicts_per_second": self.per_second,
            "slowest": [{"problem": p.problem, "kind": p.kind, "seconds": p.seconds} for p in self.slowest()],
        }


def check_rewards(
    problems: Sequence[Problem],
    rewards: Sequence[Reward],
    limit: int | None = None,
    progress: bool = False,
    kinds: Sequence[str] = KINDS,
) -> RewardCheck:
    """Tries `limit` problems, evenly spread (None: all). A reward that breaks on a problem is a failed probe.

    `kinds` is what each is tried with: its gold answer, a wrong one, or both.
    """
    count = len(problems) if limit is None else min(limit, len(problems))
    tried = [index * len(problems) // count for index in range(count)]
    probes = []
    for index in tqdm(tried, desc="rewards", unit="problem", dynamic_ncols=True, disable=None if progress else True):
        for kind in kinds:
            answer = gold_answer(problems[index]) if kind == "gold" else wrong_answer(problems, index)
            if answer is not None:
                probes.append(_probe(problems[index], kind, answer, rewards))
    unreadable = tuple(p.id for p in problems if _is_unreadable(p, rewards))
    return RewardCheck(len(problems), tuple(probes), unreadable)


def plain_rollout(problem: Problem, answer: str) -> Rollout:
    """A direct answer without a tokenizer: bytes stand in for tokens."""
    ids = tuple(answer.encode())
    return Rollout(problem, "no_think", None, Status.OK, (), ids, answer_ids=ids, answer_text=answer)


def _probe(problem: Problem, kind: str, answer: str, rewards: Sequence[Reward]) -> Probe:
    answers = [r for r in rewards if r.step == "answer"]
    group = RolloutGroup(problem, (plain_rollout(problem, answer),))
    started = time.perf_counter()
    try:
        (scored,) = score_groups([group], answers)
    except RewardError as error:
        return Probe(problem.id, kind, answer, None, time.perf_counter() - started, str(error))
    return Probe(problem.id, kind, answer, scored.rollouts[0].scores["correct"], time.perf_counter() - started)


def _is_unreadable(problem: Problem, rewards: Sequence[Reward]) -> bool:
    read = any(r.function is math_answer.math and r.applies_to(problem.domain, problem.source) for r in rewards)
    return read and not math_answer.is_readable(problem.answer or "")


def report_lines(check: RewardCheck, shown: int = 10) -> list[str]:
    """The findings, a line each."""
    gold, wrong = check.of("gold"), check.of("wrong")
    lines = []
    for name, tried in (("gold", gold), ("wrong", wrong)):
        failed = check.failed(name)
        passed = len(tried) - len(failed) if name == "gold" else len(failed)
        lines += [f"{name} answers: {passed} of {len(tried)} earn full marks"] if tried else []
        lines += [f"  {p.problem}: {p.told()}" for p in failed[:shown]]
    if not gold:
        lines.append("gold answers: none is known, so none was tried (tests need metadata.solution)")
    if check.unreadable:
        ids = ", ".join(check.unreadable[:shown]) + (" …" if len(check.unreadable) > shown else "")
        lines.append(
            f"gold answers that the math reward cannot read: {len(check.unreadable)} of {check.problems}: {ids}"
        )
    return [printable(line, LONGEST_LINE) for line in lines]


def complaints(check: RewardCheck, max_share: float) -> list[str]:
    """Which kinds fail in a larger share than `max_share`, a sentence each; empty if none does."""
    found = []
    for kind, finding in (("gold", "do not earn full marks"), ("wrong", "are not told from right ones")):
        tried, failed = check.of(kind), check.failed(kind)
        if len(failed) > max_share * len(tried):
            found.append(
                f"{len(failed)} of {len(tried)} {kind} answers {finding}; allowed: a share of {max_share} "
                f"(data.max_bad_gold); the first: {failed[0].problem}: {failed[0].told()}"
            )
    if len(check.unreadable) > max_share * check.problems:
        found.append(
            f"{len(check.unreadable)} of {check.problems} gold answers cannot be read by the math reward; allowed: a "
            f"share of {max_share} (data.max_bad_gold); the first: problem {check.unreadable[0]!r}"
        )
    return [printable(line, LONGEST_LINE) for line in found]

"""Whether the rewards can verify a problem at all: its own gold answer, given directly, must earn full marks.

Gold is `answer`, or for a problem with tests the reference program `metadata["solution"]`. A problem that has neither
cannot be tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rewards.registry import Reward
from rewards.score import score_groups
from rollout.errors import UserError
from rollout.types import Problem, Rollout, RolloutGroup


@dataclass(frozen=True)
class GoldCheck:
    """How many gold answers were tried, and why each of the failing ones fails, by problem id."""

    tried: int
    failed: dict[str, str]

    @property
    def share(self) -> float:
        """The share that fails."""
        return len(self.failed) / self.tried if self.tried else 0.0


def gold_text(problem: Problem) -> str | None:
    """The answer that must earn full marks, or None when the problem has none."""
    if problem.answer is not None:
        return problem.answer
    program = problem.metadata.get("solution")
    return f"```python\n{program}\n```" if problem.tests and program else None


def check_gold(problems: Iterable[Problem], rewards: Sequence[Reward]) -> GoldCheck:
    """Try every gold answer."""
    answers = [reward for reward in rewards if reward.step == "answer"]
    tried, failed = 0, {}
    for problem in problems:
        gold = gold_text(problem)
        if gold is not None:
            tried += 1
            reason = _fault(problem, gold, answers)
            if reason:
                failed[problem.id] = reason
    return GoldCheck(tried, failed)


def _fault(problem: Problem, gold: str, answers: Sequence[Reward]) -> str:
    """Why the gold answer does not earn full marks; empty when it does."""
    rollout = Rollout(problem, "no_think", False, "ok", (), (), answer_text=gold)
    try:
        (group,) = score_groups([RolloutGroup(problem, (rollout,))], answers)
    except UserError as error:
        return " ".join(str(error).split())
    correct = group.rollouts[0].scores["correct"]
    return "" if correct >= 1 else f"its gold answer {gold[:60]!r} scores {correct:g}"

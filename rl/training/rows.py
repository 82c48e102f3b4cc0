"""The rows of an update on one rank: its rollouts with their advantages, stored decisions, rows of the cold start, and
what fills up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rl.curriculum.judge_replay import StoredGroup
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout, Status


class Rows(NamedTuple):
    """B rollouts, A_judge and A_answer of each, and what multiplies A_judge at its switch, each of shape (B,)."""

    rollouts: list[Rollout]
    judge_B: list[float]
    answer_B: list[float]
    switch_weights_B: list[float]

    def with_decisions(self, decisions: Sequence[tuple[Rollout, float]]) -> Rows:
        """And the decisions of stored groups, each with its A_judge; they have no answer."""
        count = len(decisions)
        return Rows(
            self.rollouts + [rollout for rollout, _ in decisions],
            self.judge_B + [judge for _, judge in decisions],
            self.answer_B + [0.0] * count,
            self.switch_weights_B + [1.0] * count,
        )

    def with_rehearsed(self, rollouts: Sequence[Rollout]) -> Rows:
        """And rows of the cold start, which have no advantage."""
        nothing = [0.0] * len(rollouts)
        return Rows(
            [*self.rollouts, *rollouts],
            self.judge_B + nothing,
            self.answer_B + nothing,
            self.switch_weights_B + nothing,
        )

    def filled(self, count: int) -> Rows:
        """At least `count` rows: copies of the shortest one fill up, which no part of the loss trains. Every rank must
        pass as many rows through the model."""
        missing = max(count - len(self.rollouts), 0)
        shortest = min(self.rollouts, key=lambda r: len(r.prompt_ids) + len(r.completion_ids))
        idle = dataclasses.replace(shortest, broken="a row that fills up")
        return Rows(
            self.rollouts + [idle] * missing,
            self.judge_B + [0.0] * missing,
            self.answer_B + [0.0] * missing,
            self.switch_weights_B + [1.0] * missing,
        )


def stored_decisions(
    stored: Sequence[StoredGroup], problem_of: Callable[[str], Problem], protocol: DecisionProtocol
) -> list[tuple[Rollout, float]]:
    """The decisions of these groups as rollouts that end with their switch, forced, so that nothing else is trained."""
    made = []
    for group in stored:
        problem = problem_of(group.problem)
        prompt = protocol.render(problem.prompt, problem.messages)
        for mode, (ids, judge) in group.decisions.items():
            rollout = Rollout(
                problem,
                mode,
                mode,
                Status.OK,
                prompt,
                ids,
                switch_index=len(ids) - 1,
                logprobs=(0.0,) * len(ids),
                sampled=(0,) * len(ids),
            )
            made.append((rollout, judge))
    return made

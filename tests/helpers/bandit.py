"""A policy that only decides, small enough to follow by hand: what a judge signal does to it, in milliseconds.

Two kinds of problems, easy (both modes are right) and hard (only thinking is). The logit of thinking is a shared bias
plus a weight of the kind, as in a network where one feature says "think" and others tell the problems apart:

    z(kind) = bias + weight(kind)        each rollout adds A_judge · ∇ log π(its mode) to both
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from factories import make_rollout

from rewards.builtin.judge import judge
from rl.algorithms.base import Algorithm, group_arrays
from rollout.modes import Plan
from rollout.types import Problem, RolloutGroup

RIGHT = {"easy": {"think": 1.0, "no_think": 1.0}, "hard": {"think": 1.0, "no_think": 0.0}}


def make_problems(easy: int, hard: int) -> list[Problem]:
    """Problems whose difficulty is their kind."""
    kinds = ["easy"] * easy + ["hard"] * hard
    return [Problem(f"{kind}{k}", "", difficulty=kind) for k, kind in enumerate(kinds)]


class Bandit:
    """The policy; `rate` is the step of one parameter, `shared` how much of it the bias takes."""

    def __init__(self, rate: float = 0.3, shared: float = 1.0, seed: int = 0) -> None:
        self.rate, self.shared = rate, shared
        self.bias = 0.0
        self.weights = {"easy": 0.0, "hard": 0.0}
        self.rng = random.Random(seed)

    def think(self, kind: str) -> float:
        """The probability of thinking."""
        return 1 / (1 + math.exp(-(self.bias + self.weights[kind])))

    def roll_out(self, problem: Problem, plan: Plan, **target: object) -> RolloutGroup:
        """A scored group; `target` are options of the judge reward."""
        kind = str(problem.difficulty)
        p = self.think(kind)
        rollouts = []
        for forced in plan:
            mode = forced or ("think" if self.rng.random() < p else "no_think")
            rollouts.append(
                make_rollout(
                    mode,
                    problem=problem,
                    forced=forced,
                    correct=RIGHT[kind][mode],
                    switch_probs=(p, 1 - p),
                    tokens=12 if mode == "think" else 3,
                )
            )
        scores = judge(RolloutGroup(problem, tuple(rollouts)), **target)  # type: ignore[arg-type]
        return RolloutGroup(
            problem, tuple(r.with_scores(judge_reward=q) for r, q in zip(rollouts, scores, strict=True))
        )

    def advantages(self, groups: Sequence[RolloutGroup], algorithm: Algorithm) -> list[float]:
        """A_judge of every rollout."""
        return [float(a) for group in groups for a in algorithm(group_arrays(group, 0.0))[0]]

    def update(self, groups: Sequence[RolloutGroup], judge_B: Sequence[float]) -> None:
        """One step of gradient ascent, a mean over the rollouts."""
        rollouts = [r for group in groups for r in group.rollouts]
        gradient = {"easy": 0.0, "hard": 0.0}
        for rollout, advantage in zip(rollouts, judge_B, strict=True):
            kind = str(rollout.problem.difficulty)
            slope = (1.0 if rollout.mode == "think" else 0.0) - self.think(kind)
            gradient[kind] += advantage * slope / len(rollouts)
        for kind, value in gradient.items():
            self.weights[kind] += self.rate * value
        self.bias += self.rate * self.shared * sum(gradient.values())

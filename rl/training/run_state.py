"""What a run carries from step to step besides weights: prompt order, token budget, collapse guard, the skipped
steps, and the pass history, which has a file of its own in a checkpoint.

Every rank feeds it the same gathered groups, so all ranks hold the same state; it is part of each checkpoint.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.builtin.judge import judge
from rewards.builtin.margin import margin_at
from rewards.registry import Reward
from rl.algorithms import SHIPPED
from rl.algorithms.base import Algorithm, Savings
from rl.algorithms.configured import configured_algorithm, configured_savings
from rl.config.schema import Config
from rl.curriculum.history import PassHistory
from rl.curriculum.judge_replay import JudgeReplay
from rl.curriculum.phases import mixes, stage_at, stage_index
from rl.curriculum.prompt_order import PromptOrder
from rl.curriculum.resampling import Resampler
from rl.curriculum.token_budget import TokenBudget
from rl.training.guard import CollapseGuard
from rl.training.skips import Skips
from rollout.types import Problem, RolloutGroup, untagged

logger = logging.getLogger(__name__)


class RunState:
    """The parts of a checkpoint by name: `order`, `budget`, `guard`, `skips`, `replay`; `parameters` and `savings` of
    the algorithm; and `history`. `rows`: the training set's rows by problem id."""

    def __init__(
        self,
        config: Config,
        problems: Sequence[Problem],
        rewards: Sequence[Reward],
        algorithm: Algorithm | None = None,
    ) -> None:
        self.config = config
        self.order = PromptOrder(
            mixes(config, problems),
            prompts=config.trainer.prompts_per_step,
            seed=config.seed,
            resampler=Resampler(config.history),
        )
        self.budget = TokenBudget(config.trainer.token_budget)
        self.guard = CollapseGuard(config.guard)
        self.skips = Skips(config.trainer.max_skipped)
        algorithm = algorithm or configured_algorithm(config)
        self.savings = configured_savings(config, algorithm)
        self.algorithm = algorithm
        self.replay = JudgeReplay(self.savings.judge_replay, config.seed)
        margins = [r.parameters.get("margin", 0.05) for r in rewards if r.function is judge]
        self.margin = margins[0] if margins else None
        self.rows = {problem.id: row for row, problem in enumerate(problems)}
        self.history = PassHistory(config.history.decay, self.rows)
        self.parts: dict[str, Any] = {
            "order": self.order,
            "budget": self.budget,
            "guard": self.guard,
            "skips": self.skips,
            "replay": self.replay,
        }

    def observe(self, step: int, groups: Sequence[RolloutGroup]) -> dict[str, float]:
        """Take in the scored groups of all ranks in optimizer step `step`; its metrics."""
        usable = [group.usable() for group in untagged(groups)]
        self.history.observe(usable)
        self.order.observe(usable)
        self.budget.observe(groups)
        metrics = {**self.order.resampler.metrics(), **self.guard.observe(step, usable)}
        if self.margin is not None:
            metrics["judge/margin"] = margin_at(self.margin, step - 1)
        if self.config.stages:
            metrics["stage"] = float(stage_index(self.config, step - 1))
        return metrics

    def forced_share(self, scheduled: float, step: int) -> float:
        """The forced share of a step: the stage's, else the scheduled one; never under the guard's floor."""
        share = stage_at(self.config, step).forced_share
        return max(scheduled if share is None else share, self.guard.floor)

    @property
    def over(self) -> bool:
        """Whether the run ends here, however many steps are left."""
        return self.budget.exhausted or bool(self.skips.stopped)

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        return {**parts, "savings": dataclasses.asdict(self.savings), "parameters": dict(self.algorithm.parameters)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another run stopped; parts that the checkpoint does not know start afresh. What an algorithm does
        by default may be another thing by now: a run goes on with what it began with."""
        if "savings" not in state and self.savings != Savings():
            logger.warning("the checkpoint is of a run without direct_first and judge_replay: it goes on without them")
        own = self.algorithm.parameters
        added = SHIPPED[self.algorithm.name].parameters if self.algorithm.name in SHIPPED else {}
        before = {name: value for name, value in own.items() if name in self.config.algorithm or name not in added}
        began = state.get("parameters", before)
        if began != own:
            logger.warning(
                "the run began with the parameters %s of its algorithm and goes on with them", began or "none"
            )
        self.algorithm = dataclasses.replace(self.algorithm, parameters=began)
        self.savings = Savings(**state.get("savings", {}))
        self.replay.count = self.savings.judge_replay
        for name, part in self.parts.items():
            part.load_state_dict(state.get(name, {}))

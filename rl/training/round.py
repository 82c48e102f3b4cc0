"""A round: one generation and the optimizer steps taken on it. Problems in, a `Round` with its batches out.

collect -> score -> two advantages a rollout -> `StepBatch`. Groups never cross ranks, so advantages are local; counts
and what is observed are gathered.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from rewards.early import EarlyScores
from rewards.registry import Reward
from rewards.score import check_broken, score_groups
from rl.algorithms.base import Algorithm, LossOptions, group_advantages
from rl.algorithms.group import free_choices, judge_targets
from rl.config.schema import Config
from rl.curriculum.judge_replay import StoredGroup
from rl.curriculum.phases import rollout_at
from rl.curriculum.rehearsal import rehearsed_tokens, rows_of_round
from rl.models.engines import PolicyEngine
from rl.training.ahead import Ahead, Drawn, Order
from rl.training.batch import StepBatch, step_batch
from rl.training.controls import permuted
from rl.training.direct_first import collect_direct_first, open_groups
from rl.training.masks import Counts, count_tokens, counts
from rl.training.metrics import step_metrics
from rl.training.rows import Rows, stored_decisions
from rl.training.run_state import RunState
from rollout.engines.base import Engine
from rollout.modes import ForcedShare, make_plan, stated_modes
from rollout.printable import printable
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout, RolloutGroup

logger = logging.getLogger(__name__)


@dataclass
class Round:
    """What one generation gave. `groups` are this rank's; `everyone` are (groups, judge advantages, answer advantages)
    of all ranks, advantages one float a rollout. `counts` is what the loss divides by, `seconds` what took how long,
    `sums` what the loss of the optimizer step under way has added up for its metrics. `version` is the optimizer step
    whose weights drew it."""

    step: int
    groups: list[RolloutGroup]
    everyone: tuple[list[RolloutGroup], list[float], list[float]]
    forced_share: float
    counts: Counts
    batch: StepBatch
    seconds: dict[str, float]
    version: int
    observed: bool = False
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, sums: dict[str, Tensor]) -> None:
        """Add a micro-batch's sums."""
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value


class RoundMaker:
    """Makes rounds for a trainer; everything that a round needs besides the policy."""

    def __init__(
        self,
        config: Config,
        problems: Sequence[Problem],
        protocol: DecisionProtocol,
        rewards: Sequence[Reward],
        algorithm: Algorithm,
        loss: LossOptions,
        recorded: dict[str, RolloutGroup] | None = None,
        rehearsed: Sequence[Rollout] = (),
    ) -> None:
        self.config, self.protocol, self.rewards = config, protocol, rewards
        self.loss, self.recorded, self.rehearsed = loss, recorded, rehearsed
        self.problems = problems
        self.state = RunState(config, problems, rewards, algorithm)
        self.forced: ForcedShare = algorithm.plan or config.rollout.forced
        self.engine = PolicyEngine(config, protocol)
        self.ahead = Ahead(self) if config.rollout.ahead else None

    def make(self, trainer: Any, names: Sequence[str]) -> Round:
        """The round of these problem ids, each `group_size` times in a row. Raises `RewardError`, on all ranks or on
        none, when more rewards broke than allowed."""
        started = time.perf_counter()
        step = trainer.state.global_step
        drawn = self._drawn(trainer, names[:: self.config.rollout.group_size])
        generated = time.perf_counter()
        groups = self._scored(drawn.groups, step, drawn.early)
        seconds = {"time/rollout": generated - started, "time/reward": time.perf_counter() - generated}
        everyone = gather_object(groups)
        self._check_broken(trainer, everyone)
        judge_B, answer_B, weights_B = self._advantages(trainer, groups)
        # A training set that was shortened since may lack a stored problem.
        stored = [group for group in self.state.replay.draw(step) if group.problem in self.state.rows]
        again = rows_of_round(self.rehearsed, self.config.trainer.prompts_per_step, self.config.seed, step)
        rows = Rows([r for group in groups for r in group.rollouts], judge_B, answer_B, weights_B)
        batch = step_batch(
            *self._whole(trainer, rows, stored, again),
            self.loss,
            pad_id=trainer._tokenizer.pad_token_id,
            engine=(self.engine.apart or self.ahead is not None) and not self.recorded,
        )
        return Round(
            step,
            groups,
            (everyone, gather_object(judge_B), gather_object(answer_B)),
            drawn.forced_share,
            self._counts(trainer, groups, stored, again),
            batch,
            seconds,
            drawn.version,
        )

    def observe(self, round_: Round) -> dict[str, float]:
        """Take in what the round showed on all ranks; its metrics."""
        groups, judge, answer = round_.everyone
        state = self.state.observe(round_.step + 1, groups)
        self.state.replay.observe(groups, judge, partial(counts, options=self.loss))
        shown = step_metrics(
            groups, judge, answer, forced_share=round_.forced_share, history_size=len(self.state.history)
        )
        round_.observed = True
        staleness = {"engine/staleness": float(round_.step - round_.version)} if self.ahead else {}
        return {**shown, **state, **round_.seconds, **staleness}

    def _check_broken(self, trainer: Any, groups: Sequence[RolloutGroup]) -> None:
        """On the groups of all ranks, so that all of them stop or none."""
        if check_broken(groups, self.config.reward_errors.max_share) and trainer.accelerator.is_main_process:
            broken = [r.broken for g in groups for r in g.rollouts if r.broken]
            step = trainer.state.global_step + 1
            logger.warning("step %d: %d rollouts left out; the first: %s", step, len(broken), printable(broken[0], 500))

    def _drawn(self, trainer: Any, names: Sequence[str]) -> Drawn:
        step = trainer.state.global_step
        if self.ahead is not None:
            return self.ahead.next(trainer, names)
        early = EarlyScores(self.rewards)
        if self.recorded is not None:
            return Drawn([self.recorded[name] for name in names], self.forced_share(trainer, step), step, early)
        order = self.order(trainer, step, names)
        with self.engine.open(trainer) as engine:
            return Drawn(self._collected(order, engine, early), order.forced_share, step, early)

    def _collected(self, order: Order, engine: Engine, early: EarlyScores) -> list[RolloutGroup]:
        if not self.state.savings.direct_first:
            return order.collect(engine, self.protocol, early)
        is_open = partial(
            open_groups,
            rewards=self.rewards,
            history=self.state.history.counts,
            step=order.step,
            early=early,
        )
        return collect_direct_first(order, engine, self.protocol, early, is_open)

    def order(self, trainer: Any, step: int, names: Sequence[str]) -> Order:
        """What the engine is asked for the round of these problem ids that begins at `step`."""
        settings, share = rollout_at(self.config, step), self.forced_share(trainer, step)
        plan = make_plan(settings.group_size, share, self.forced.least(settings.group_size))
        seed = random.Random(f"{self.config.seed}-{step}-{trainer.accelerator.process_index}").getrandbits(48)
        number = step // self.config.trainer.iterations
        stated = stated_modes(number * len(names), len(names), settings.tagged_share)
        return Order(step, [self._problem(name) for name in names], plan, settings.sampling(), seed, share, stated)

    def _problem(self, name: str) -> Problem:
        return self.problems[self.state.rows[name]]

    def _scored(self, groups: list[RolloutGroup], step: int, early: EarlyScores) -> list[RolloutGroup]:
        policy = self.config.reward_errors.policy
        scored = score_groups(groups, self.rewards, self.state.history.counts, policy, early, step=step)
        return permuted(scored, f"permute-{self.config.seed}-{step}") if self.config.control.permute_judge else scored

    def _advantages(self, trainer: Any, groups: Sequence[RolloutGroup]) -> tuple[list[float], list[float], list[float]]:
        """Judge and answer advantage and switch weight of every rollout of this rank, each of shape (B,)."""
        think, chosen, target, decided = _over_ranks(trainer, *free_choices(groups), *judge_targets(groups))
        parts = [
            group_advantages(
                self.state.algorithm,
                group,
                progress=self.progress(trainer, trainer.state.global_step),
                history=self.state.history.counts(group.problem),
                batch_think_share=think / chosen if chosen else None,
                batch_target_share=target / decided if decided else None,
            )
            for group in groups
        ]
        judge_B, answer_B, weights_B = (np.concatenate(values).tolist() for values in zip(*parts, strict=True))
        return judge_B, answer_B, weights_B

    def _whole(self, trainer: Any, rows: Rows, stored: Sequence[StoredGroup], again: Sequence[Rollout]) -> Rows:
        """This rank's rows with its share of the stored decisions and of the rows of the cold start, as many as every
        other rank has, and enough for the micro-batches."""
        accelerator, parts = trainer.accelerator, trainer.args.gradient_accumulation_steps
        mine = slice(accelerator.process_index, None, accelerator.num_processes)
        rows = rows.with_decisions(stored_decisions(stored[mine], self._problem, self.protocol))
        rows = rows.with_rehearsed(again[mine])
        most = int(accelerator.gather(torch.tensor([len(rows.rollouts)], device=accelerator.device)).max())
        return rows.filled(max(most, parts) if self.config.trainer.balance else -(-most // parts) * parts)

    def _counts(
        self,
        trainer: Any,
        groups: Sequence[RolloutGroup],
        stored: Sequence[StoredGroup],
        again: Sequence[Rollout],
    ) -> Counts:
        local = count_tokens([r for group in groups for r in group.rollouts], self.loss)
        rollouts, tokens, answer_tokens = _over_ranks(trainer, local.rollouts, local.tokens, local.answer_tokens)
        limit = rollout_at(self.config, trainer.state.global_step).max_new_tokens
        decisions = sum(len(group.decisions) for group in stored)
        return Counts(
            rollouts,
            tokens + decisions,
            answer_tokens,
            limit,
            trainer.accelerator.num_processes,
            sum(group.rollouts for group in stored),
            sum(sum(rehearsed_tokens(row)) for row in again),
        )

    def progress(self, trainer: Any, step: int) -> float:
        """The share of the run that is over at this step."""
        return self.state.budget.progress(step / max(trainer.args.max_steps, 1))

    def forced_share(self, trainer: Any, step: int) -> float:
        """The share of a group that is forced at this step."""
        return self.state.forced_share(self.forced.at(step, self.progress(trainer, step)), step)


def _over_ranks(trainer: Any, *counts: int) -> list[int]:
    """The sums of these counts over all ranks."""
    accelerator = trainer.accelerator
    return accelerator.reduce(torch.tensor(counts, device=accelerator.device), reduction="sum").tolist()

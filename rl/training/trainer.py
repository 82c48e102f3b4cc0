"""`StepSRPOTrainer`: TRL's GRPOTrainer, and the difference only.

What is different, in the order it happens in a step:
  1. `_get_train_sampler`  our prompt order, exact to resume
  2. `rollout_func`        plan -> engine -> parse -> rewards; TRL gets ids and the mask of trained tokens
  3. `_generate_and_score_completions`  super(), then TRL's scalar advantages are replaced by the (B, T) tensor that
     carries a judge and an answer advantage, each on its own tokens (and old log-probabilities, for algorithms in
     which a coin chose the forced switch)
  4. `log`, `_save_checkpoint`  our metrics, our history in the checkpoint
How rows are grouped and padded is `BalancedGRPOTrainer`'s; loss, clipping, optimizer, distribution and checkpoints are
TRL's, accelerate's and transformers' own.

Groups never cross ranks, so advantages are local; only token counts, history and metrics are gathered.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig

from rewards.early import EarlyScores
from rewards.registry import Reward
from rewards.score import check_broken, score_groups
from rl.algorithms.base import Algorithm, group_advantages
from rl.algorithms.group import free_choices, judge_targets
from rl.config.schema import Config
from rl.curriculum.history import PassHistory
from rl.curriculum.phases import rollout_at
from rl.curriculum.sampler import RoundSampler
from rl.curriculum.token_budget import learning_rate_share
from rl.files.run_log import RunLog, write_atomically
from rl.models.engines import PolicyEngine
from rl.training.advantages import Counts, count_tokens, token_advantages, trained_mask
from rl.training.balanced_trainer import BalancedGRPOTrainer
from rl.training.checkpoints import COMPLETE, HISTORY, RUN_STATE
from rl.training.coin import coin_log_probs
from rl.training.metrics import step_line, step_metrics
from rl.training.off_policy import OffPolicyTrainer
from rl.training.run_state import RunState
from rollout.collect import collect
from rollout.modes import ForcedShare, make_plan
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, RolloutGroup

logger = logging.getLogger(__name__)

FROM_TRL = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "token_entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clip_ratio",
    "engine/logprob_gap": "engine/logprob_gap",
    "engine/ratio_cut": "engine/ratio_cut",
}


def answer_reward(answer_reward: list[float], **_: Any) -> list[float]:
    """The reward that TRL is shown; ours are computed before, with the whole rollout in hand."""
    return answer_reward


class StepSRPOTrainer(OffPolicyTrainer, BalancedGRPOTrainer):
    """Trains `model` on `problems`; see the module docstring. `args` comes from `rl.training.run.grpo_config`."""

    args: GRPOConfig

    def __init__(
        self,
        *,
        config: Config,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        args: GRPOConfig,
        problems: list[Problem],
        protocol: DecisionProtocol,
        rewards: list[Reward],
        algorithm: Algorithm,
        recorded: dict[str, RolloutGroup] | None = None,
        peft_config: Any = None,
    ) -> None:
        self.config, self.protocol, self.rewards, self.algorithm = config, protocol, rewards, algorithm
        self.problems = {problem.id: problem for problem in problems}
        self.recorded = recorded
        self.history = PassHistory(config.history.decay)
        self.run_state = RunState(config, problems, rewards)
        self.forced: ForcedShare = algorithm.plan or config.rollout.forced
        self.engine = PolicyEngine(config, protocol)
        self.engine_ratio_cap = config.trainer.engine_ratio_cap
        self.balance = config.trainer.balance
        self.run_log: RunLog | None = None
        self.show_line: Callable[[str], Any] = print
        self._groups: list[RolloutGroup] = []
        self._pending: dict[str, float] = {}
        super().__init__(
            model=model,
            reward_funcs=[answer_reward],  # type: ignore[list-item]
            args=args,
            train_dataset=Dataset.from_dict({"prompt": [problem.id for problem in problems]}),
            processing_class=tokenizer,
            rollout_func=_rollout_func,  # type: ignore[arg-type]
            peft_config=peft_config,
        )

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        settings = self.config.trainer
        return RoundSampler(
            self.run_state.order,
            {name: row for row, name in enumerate(self.problems)},
            group_size=self.config.rollout.group_size,
            repeats=self.args.gradient_accumulation_steps * settings.iterations,
            rounds=-(-settings.steps // settings.iterations),
        )

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Where tokens end the run they set the pace of the decay too: how many steps it takes nobody knows before."""
        budget, settings = self.run_state.budget, self.config.trainer
        if budget.limit and settings.schedule in ("linear", "cosine") and self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer,  # type: ignore[arg-type]
                lambda step: learning_rate_share(settings.schedule, step, settings.warmup_steps, budget.progress(0.0)),
            )
        return super().create_scheduler(num_training_steps, optimizer)

    def roll_out(self, prompts: list[str]) -> dict[str, Any]:
        """Collect and score one group a distinct prompt; what TRL's `rollout_func` returns."""
        started = time.perf_counter()
        problems = [self.problems[prompt] for prompt in prompts[:: self.config.rollout.group_size]]
        early = EarlyScores(self.rewards)
        groups = self._collect(problems, early)
        generated = time.perf_counter()
        state = {"step": self.state.global_step, "controlled_margin": self.run_state.margin.controlled}
        policy = self.config.reward_errors.policy
        self._groups = self._permuted(score_groups(groups, self.rewards, self.history.counts, policy, early, **state))
        self._pending["time/rollout"] = generated - started
        self._pending["time/reward"] = time.perf_counter() - generated
        rollouts = [r for group in self._groups for r in group.rollouts]
        return {
            "prompt_ids": [list(r.prompt_ids) for r in rollouts],
            "completion_ids": [list(r.completion_ids) for r in rollouts],
            "logprobs": [list(r.logprobs) for r in rollouts] if self.engine.apart and not self.recorded else None,
            "env_mask": [trained_mask(r, self.algorithm.loss.forced_switch) for r in rollouts],
            "answer_reward": [r.scores.get("answer_reward", 0.0) for r in rollouts],
        }

    def _collect(self, problems: list[Problem], early: EarlyScores) -> list[RolloutGroup]:
        if self.recorded is not None:
            return [self.recorded[problem.id] for problem in problems]
        step = self.state.global_step
        settings = rollout_at(self.config, step)
        plan = make_plan(settings.group_size, self._forced_share(), self.forced.least(settings.group_size))
        seed = random.Random(f"{self.config.seed}-{step}-{self.accelerator.process_index}").getrandbits(48)
        with self.engine.open(self) as engine:
            return collect(problems, plan, engine, self.protocol, settings.sampling(), seed, finished=early.begin)

    def _permuted(self, groups: list[RolloutGroup]) -> list[RolloutGroup]:
        """The control run: judge rewards dealt out at random within the batch."""
        if not self.config.control.permute_judge:
            return groups
        values = [r.scores["judge_reward"] for group in groups for r in group.usable().rollouts]
        random.Random(f"permute-{self.config.seed}-{self.state.global_step}").shuffle(values)
        dealt = iter(values)
        return [
            RolloutGroup(
                g.problem,
                tuple(r if r.broken else r.with_scores(judge_reward=next(dealt)) for r in g.rollouts),
            )
            for g in groups
        ]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        loss = self.algorithm.loss
        rollouts = [r for group in self._groups for r in group.rollouts]
        judge_B, answer_B, weights_B = self._advantages()
        local = count_tokens(rollouts, loss.forced_switch, loss.judge_text)
        advantages_BT = token_advantages(
            rollouts,
            self.run_state.guard.balanced(self._groups, judge_B),
            answer_B,
            loss,
            Counts(*self._over_ranks(local.rollouts, local.tokens, local.answer_tokens)),
            switch_weights_B=weights_B,
            max_tokens=rollout_at(self.config, self.state.global_step).max_new_tokens,
        )
        output["advantages"] = torch.tensor(advantages_BT, dtype=torch.float32, device=self.accelerator.device)
        if loss.forced_log_prob == "half":
            output["old_per_token_logps"] = coin_log_probs(self, output, rollouts)
        self._observe(judge_B, answer_B)
        return output

    def _advantages(self) -> tuple[list[float], list[float], list[float]]:
        """Judge and answer advantage and switch weight of every rollout of this rank, each of shape (B,)."""
        think, chosen, target, decided = self._over_ranks(*free_choices(self._groups), *judge_targets(self._groups))
        progress = self._progress()
        parts = [
            group_advantages(
                self.algorithm,
                group,
                progress=progress,
                history=self.history.counts(group.problem),
                batch_think_share=think / chosen if chosen else None,
                batch_target_share=target / decided if decided else None,
            )
            for group in self._groups
        ]
        judge_B, answer_B, weights_B = (np.concatenate(values).tolist() for values in zip(*parts, strict=True))
        return judge_B, answer_B, weights_B

    def _progress(self) -> float:
        return self.run_state.budget.progress(self.state.global_step / max(self.args.max_steps, 1))

    def _forced_share(self) -> float:
        return self.run_state.forced_share(
            self.forced.at(self.state.global_step, self._progress()), self.state.global_step
        )

    def _over_ranks(self, *counts: int) -> list[int]:
        """The sums of these counts over all ranks."""
        return self.accelerator.reduce(torch.tensor(counts, device=self.accelerator.device), reduction="sum").tolist()

    def _observe(self, judge_B: list[float], answer_B: list[float]) -> None:
        """Everything that looks at the groups of all ranks."""
        groups = gather_object(self._groups)
        self._check_broken(groups)
        judge, answer = gather_object(judge_B), gather_object(answer_B)
        self.history.observe(groups)
        share, step = self._forced_share(), self.state.global_step + 1
        self._pending |= step_metrics(groups, judge, answer, forced_share=share, history_size=len(self.history))
        self._pending |= self.run_state.observe(step, groups, judge)
        if self.run_log is None:
            return
        if step == 1 or step % self.config.rollout.save_every == 0:
            self.run_log.save_rollouts(step, groups)
        if step == 1 or step % self.config.wandb.table_every == 0:
            self.run_log.table(step, groups)

    def _check_broken(self, groups: list[RolloutGroup]) -> None:
        """On the groups of all ranks, so that all of them stop or none."""
        if check_broken(groups, self.config.reward_errors.max_share) and self.accelerator.is_main_process:
            broken = [r.broken for g in groups for r in g.rollouts if r.broken]
            step = self.state.global_step + 1
            logger.warning("step %d: %d rollouts left out; the first: %s", step, len(broken), broken[0])

    def add_metrics(self, metrics: dict[str, float]) -> None:
        """Metrics that belong to the step being logged next."""
        self._pending |= metrics

    def tell(self, alarm: str) -> None:
        """An alarm, as a line and through W&B."""
        if self.run_log is not None:
            self.show_line(f"alarm: {alarm}")
            self.run_log.alert(alarm)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        if self.run_log is None or "loss" not in logs or not self._pending:
            return
        metrics = {"tokens/spent": float(self.run_state.budget.spent), **self._pending}
        for theirs, ours in FROM_TRL.items():
            value = logs.get(theirs)
            if value is not None and np.isfinite(value):
                metrics[ours] = float(value)
        metrics["time/step"] = float(logs.get("step_time") or 0.0)
        self._pending = {}
        self.run_log.log(self.state.global_step, metrics)
        self.show_line(step_line(self.state.global_step, self.args.max_steps, metrics))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        if self.accelerator.is_main_process:
            write_atomically(folder / HISTORY, json.dumps(self.history.state_dict()))
            write_atomically(folder / RUN_STATE, json.dumps(self.run_state.state_dict()))
        super()._save_checkpoint(model, trial)
        # Written last, when every rank is done: a checkpoint without it was interrupted.
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_atomically(folder / COMPLETE, json.dumps({"step": self.state.global_step}))

    def load_history(self, checkpoint: Path) -> None:
        """Take the pass history and the run's state back from a checkpoint."""
        self.history.load_state_dict(json.loads((checkpoint / HISTORY).read_text(encoding="utf-8")))
        file = checkpoint / RUN_STATE
        self.run_state.load_state_dict(json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {})


def _rollout_func(prompts: list[str], trainer: StepSRPOTrainer) -> dict[str, Any]:
    return trainer.roll_out(prompts)

"""`StepSRPOTrainer`: TRL's `GRPOTrainer` with a round and a loss of its own.

Replaced whole, so that nothing of TRL's is left in them:
  `_prepare_inputs`   at a new round: problems -> rollouts -> rewards -> advantages -> batch (rl/training/round.py),
                      dealt to micro-batches (rl/training/batch.py)
  `_compute_loss`     log-probabilities (rl/training/scoring.py) into the objective (rl/training/loss.py)
Added to:
  `_get_train_sampler`, `create_scheduler`, `_save_checkpoint`   prompt order, a decay by tokens, state in checkpoints
  `_get_grad_norm`                                               no update where the gradient is not finite

TRL and below keep accelerate, DeepSpeed and FSDP, the fused head, optimizer, schedules and checkpoints. `round` is
replaced once a round; rl/training/callbacks.py reads it after the update.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from rewards.registry import Reward
from rl.algorithms.base import Algorithm
from rl.algorithms.configured import configured_loss
from rl.config.schema import Config
from rl.curriculum.sampler import RoundSampler
from rl.curriculum.token_budget import learning_rate_share
from rl.files.atomic import write_atomically
from rl.models.weights import reshard
from rl.training.batch import StepBatch, micro_batches
from rl.training.batching import envelope
from rl.training.checkpoints import AHEAD, HISTORY, REFERENCE, RUN_STATE, mark_complete
from rl.training.loss import policy_loss, rehearsal_loss
from rl.training.reference import Reference
from rl.training.round import Round, RoundMaker
from rl.training.scoring import check_router, forward_price, token_scores
from rl.training.unshared import unshared
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout, RolloutGroup


def _never_asked(**_: Any) -> list[float]:
    """TRL's constructor wants a reward; ours are computed with the whole rollout in hand."""
    raise RuntimeError("TRL asked for a reward")


class StepSRPOTrainer(GRPOTrainer):
    """Trains `model` on `problems`; see the module docstring. `args` comes from `rl.training.grpo_config`."""

    args: GRPOConfig
    _buffered_inputs: Any  # the round's micro-batches

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
        rehearsed: Sequence[Rollout] = (),
    ) -> None:
        loss = configured_loss(config, algorithm)
        self.config, self.loss_options = config, loss if rehearsed else dataclasses.replace(loss, rehearsal=0.0)
        self.rounds = RoundMaker(config, problems, protocol, rewards, algorithm, self.loss_options, recorded, rehearsed)
        self.round: Round | None = None
        self.skipped = self.terminated = False
        with_reference = self.loss_options.kl > 0
        self.reference = Reference(model, adapters=peft_config is not None) if with_reference else None
        super().__init__(
            model=model,
            reward_funcs=[_never_asked],  # type: ignore[list-item]
            args=args,
            train_dataset=Dataset.from_dict({"prompt": [problem.id for problem in problems]}),
            processing_class=tokenizer,
            peft_config=peft_config,
        )
        if self.aux_loss_enabled:
            check_router(model, self.config.trainer.micro_tokens)
        if self.reference:
            self.reference.attach(self)

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        settings = self.config.trainer
        return RoundSampler(
            self.rounds.state.order,
            self.rounds.state.rows,
            group_size=self.config.rollout.group_size,
            repeats=self.args.gradient_accumulation_steps * settings.iterations,
            rounds=-(-settings.steps // settings.iterations),
        )

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Where tokens end the run they set the pace of the decay too: how many steps it takes nobody knows before."""
        budget, settings = self.rounds.state.budget, self.config.trainer
        if budget.limit and settings.schedule in ("linear", "cosine") and self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer,  # type: ignore[arg-type]
                lambda step: learning_rate_share(settings.schedule, step, settings.warmup_steps, budget.progress(0.0)),
            )
        return super().create_scheduler(num_training_steps, optimizer)

    def _prepare_inputs(self, generation_batch: Any) -> StepBatch:  # type: ignore[override]
        """The micro-batch of this forward pass; a new round where the last one has had its optimizer steps.
        `generation_batch` has the problem id of every row of this rank."""
        micro = self._step % self.args.gradient_accumulation_steps
        begins = micro == 0 and self.state.global_step % self.config.trainer.iterations == 0
        if begins or self.round is None:
            self.round = self.rounds.make(self, [row["prompt"] for row in generation_batch])
            self._buffered_inputs = self._micro_batches(self.round.batch)
        return self._buffered_inputs[micro]

    def _micro_batches(self, batch: StepBatch) -> list[StepBatch]:
        """The rows of a round in micro-batches, with the starting model's log-probabilities where there is a KL."""
        device = self.accelerator.device
        price = forward_price(device, router=self.aux_loss_enabled) if self.config.trainer.balance else None
        count = self.args.gradient_accumulation_steps
        most = self.config.trainer.micro_tokens or None
        batches = [part.to(device) for part in micro_batches(batch, count, self._envelope, price, most)]
        if self.reference is None:
            return batches
        with self.reference.open(self) as model:
            return [dataclasses.replace(part, reference_BT=self._scores(model, part)[0]) for part in batches]

    def _envelope(self, lengths_B: torch.Tensor) -> Any:
        """The lengths that all ranks cut by."""
        everyone = self.accelerator.gather(lengths_B.to(self.accelerator.device))
        return envelope(everyone.view(-1, len(lengths_B)).tolist())

    def _scores(self, model: Any, batch: StepBatch) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        unwrapped = self.accelerator.unwrap_model(model)
        backbone = (unwrapped.get_base_model() if hasattr(unwrapped, "get_base_model") else unwrapped).base_model
        return token_scores(
            model,
            backbone,
            batch,
            self.accelerator.autocast,
            router=self.aux_loss_enabled,
            lone_token=self.rounds.protocol.lone_token,
        )

    def _compute_loss(self, model: Any, inputs: StepBatch) -> torch.Tensor:
        """This micro-batch's part of the objective, and of a mixture of experts' router loss, a mean over micro-batches
        and ranks. With `trainer.micro_tokens` the gradients of all passes but the last are there when it returns."""
        *first, last = inputs.passes() if self.config.trainer.micro_tokens else [inputs]
        total, old = torch.zeros((), device=inputs.ids_BL.device), list[torch.Tensor]()
        for rows in first:
            with unshared(self.accelerator, model) as options:
                loss, logps_BT = self._rows_loss(model, rows)
                self.accelerator.backward(loss, **options)
            total = total + loss.detach()
            old.append(logps_BT)
        loss, logps_BT = self._rows_loss(model, last)
        if inputs.policy_old_BT is None:
            # The first pass over a micro-batch is that of the policy that generated.
            inputs = dataclasses.replace(inputs, policy_old_BT=torch.cat([*old, logps_BT]))
            self._buffered_inputs[self._step % self.args.gradient_accumulation_steps] = inputs
        return total + loss

    def _rows_loss(self, model: Any, inputs: StepBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """These rows' part of the loss, and their log-probabilities without a gradient, of shape (B, T)."""
        logps_BT, entropy_BT, router_loss = self._scores(model, inputs)
        assert self.round is not None
        assert entropy_BT is not None
        old_BT = logps_BT.detach()
        if inputs.policy_old_BT is None:
            inputs = dataclasses.replace(inputs, policy_old_BT=old_BT)
        loss, sums = policy_loss(
            logps_BT,
            inputs.ratio_old(),
            inputs.policy_old(),
            inputs.engine_BT,
            inputs.reference_BT,
            entropy_BT,
            inputs.judge_BT,
            inputs.answer_B,
            inputs.judge_mask_BT,
            inputs.answer_mask_BT,
            inputs.sampled_BT,
            self.round.counts,
            self.loss_options,
            self.config.trainer.engine_ratio_cap,
        )
        self.round.add(sums)
        if inputs.rehearsed_BT is not None:
            again, sums = rehearsal_loss(logps_BT, inputs.rehearsed_BT, self.round.counts, self.loss_options)
            self.round.add(sums)
            loss = loss + again
        if router_loss is not None:
            loss = loss + self.router_aux_loss_coef * router_loss / self.args.gradient_accumulation_steps
        return loss, old_BT

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Where the gradient over all ranks is not finite there is no update: an optimizer leaves what has no gradient
        as it is, its moments too. DeepSpeed has seen to that itself by now, and gives inf."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        self.skipped = norm is not None and not math.isfinite(float(norm))
        if self.skipped:
            model.zero_grad()
        return norm

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        ahead = self.rounds.ahead.state_dict() if self.rounds.ahead else {}
        if self.accelerator.is_main_process:
            state = self.rounds.state
            write_atomically(folder / HISTORY, json.dumps(state.history.state_dict()))
            write_atomically(folder / RUN_STATE, json.dumps(state.state_dict()))
            if ahead:
                write_atomically(folder / AHEAD, json.dumps(ahead))
            if self.reference:
                write_atomically(folder / REFERENCE, json.dumps({"sha256": self.reference.hash}))
        reshard(model)
        super()._save_checkpoint(model, trial)
        # Written last, when every rank is done: a checkpoint without it was interrupted.
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            mark_complete(folder, self.state.global_step)

    def load_state(self, checkpoint: Path) -> None:
        """Take the pass history and the run's state back from a checkpoint. Raises `UserError` when the starting model
        is another one than that checkpoint's, or the files are of something else."""
        try:
            self._load_state(checkpoint)
        except UserError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the state in {checkpoint} is no run's ({type(error).__name__}: {error}); allowed: that folder moved "
                "away, to go on from the checkpoint before it"
            ) from error

    def _load_state(self, checkpoint: Path) -> None:
        state = self.rounds.state
        state.history.load_state_dict(json.loads((checkpoint / HISTORY).read_text(encoding="utf-8")))
        file = checkpoint / RUN_STATE
        state.load_state_dict(json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {})
        file = checkpoint / AHEAD
        if self.rounds.ahead and file.is_file():
            self.rounds.ahead.load_state_dict(json.loads(file.read_text(encoding="utf-8")))
        file = checkpoint / REFERENCE
        if self.reference and file.is_file():
            self.reference.check(json.loads(file.read_text(encoding="utf-8"))["sha256"])

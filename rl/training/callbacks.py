"""What follows an update: what the round showed is observed and logged, alarms are told, the probe is measured, and a
run that has spent its tokens ends with a checkpoint."""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import TrainerCallback
from trl.models.utils import unwrap_model_for_generation

from rl.evaluation.probe import Probe
from rl.files.terminated import asked
from rl.training.journal import Journal
from rl.training.round import Round
from rl.training.trainer import StepSRPOTrainer
from rollout.engines.hf import HFEngine

FROM_TRL = {"loss": "loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate", "step_time": "time/step"}
# The Trainer's own log goes into every checkpoint; ours is metrics.jsonl.
LOG_ENTRIES = 100
# Metric: (sum, what it is divided by).
OF_THE_LOSS = {
    "token_entropy": ("entropy", "tokens"),
    "kl": ("kl", "tokens"),
    "rehearsal/loss": ("rehearsal", "rehearsed"),
    "clip_ratio": ("clipped", "ratios"),
    "engine/logprob_gap": ("gap", "drawn"),
    "engine/ratio_cut": ("cut", "drawn"),
}


class AfterUpdate(TrainerCallback):
    """Watches one trainer; see the module docstring. Every optimizer step has a record; those that take no new rollouts
    have none of the metrics of rollouts. Where there is a probe, step 0 has what it measured before the first one."""

    def __init__(self, trainer: StepSRPOTrainer, journal: Journal, probe: Probe | None) -> None:
        self.trainer, self.journal, self.probe = trainer, journal, probe
        self.metrics: dict[str, float] = {}

    @property
    def round(self) -> Round:
        """The round under way."""
        assert self.trainer.round is not None
        return self.trainer.round

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """What RL starts from, as step 0."""
        if self.probe and state.global_step == 0:
            self.journal.step(0, {"tokens/spent": 0.0, **self._probed()})

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the schedule moves on, which may follow the tokens spent."""
        if not self.round.observed:
            self.metrics |= self.trainer.rounds.observe(self.round)
            self.journal.rollouts(self.round.step + 1, self.round.everyone[0])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Runs before the step is logged and saved."""
        self.metrics |= loss_metrics(self.trainer)
        run_state = self.trainer.rounds.state
        for alarm in run_state.guard.take_alarms():
            self.journal.alarm(alarm)
        self.metrics |= run_state.skips.observe(state.global_step, self.trainer.skipped)
        if self.trainer.skipped:
            self.journal.line(run_state.skips.line(state.global_step))
        # Between two steps on one generation nothing ends: its tokens are paid for, and nothing could go on exactly.
        between = state.global_step % self.trainer.config.trainer.iterations != 0
        if not between and (run_state.over or self.trainer.terminated):
            control.should_training_stop = control.should_save = True
        last = (run_state.over and not between) or state.global_step >= state.max_steps
        if self.probe and (last or self.probe.due(state.global_step)):
            self.metrics |= self._probed()

    def _probed(self) -> dict[str, float]:
        assert self.probe is not None
        with unwrap_model_for_generation(self.trainer.model_wrapped, self.trainer.accelerator) as model:
            engine = HFEngine(model, self.trainer.rounds.protocol, self.trainer._tokenizer.pad_token_id)
            return self.probe.measure(engine)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """One record a step, of everything that is known of it."""
        if not logs or "loss" not in logs:
            return
        metrics = {"tokens/spent": float(self.trainer.rounds.state.budget.spent), **self.metrics}
        self.metrics = {}
        for theirs, ours in FROM_TRL.items():
            value = logs.get(theirs)
            if value is not None:
                metrics[ours] = float(value)
        del state.log_history[:-LOG_ENTRIES]
        if self.trainer.skipped:
            # TRL's base writes the mean of earlier losses in the place of one that is not finite.
            metrics["loss"] = math.nan
        self.journal.step(state.global_step, metrics)


def loss_metrics(trainer: StepSRPOTrainer) -> dict[str, float]:
    """The metrics of the loss of one optimizer step: means over the micro-batches of all ranks. On the way the ranks
    agree on whether one of them was asked to end."""
    assert trainer.round is not None
    sums, trainer.round.sums = trainer.round.sums, {}
    local = [*(value.float() for value in sums.values()), torch.tensor(float(asked()), device=trainer.args.device)]
    *totals, terminated = trainer.accelerator.reduce(torch.stack(local), reduction="sum").tolist()
    trainer.terminated = terminated > 0
    known = dict(zip(sums, totals, strict=True))
    return {
        name: known[value] / max(known[count], 1.0) for name, (value, count) in OF_THE_LOSS.items() if value in known
    }

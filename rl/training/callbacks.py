"""What happens at the end of an optimizer step besides the update: alarms are told, the probe is measured, and a run
that has spent its tokens, or that the guard stops, ends with a checkpoint."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback
from trl.models.utils import unwrap_model_for_generation

from rl.evaluation.probe import Probe
from rl.training.trainer import StepSRPOTrainer
from rollout.engines.hf import HFEngine


class StepEnd(TrainerCallback):
    """Watches one trainer; see the module docstring."""

    def __init__(self, trainer: StepSRPOTrainer, probe: Probe | None) -> None:
        self.trainer, self.probe = trainer, probe

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Runs before the step is logged and saved."""
        trainer = self.trainer
        for alarm in trainer.run_state.guard.take_alarms():
            trainer.tell(alarm)
        if trainer.run_state.over:
            control.should_training_stop = control.should_save = True
        last = control.should_training_stop or state.global_step >= state.max_steps
        if self.probe and (last or self.probe.due(state.global_step)):
            with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
                engine = HFEngine(model, trainer.protocol, trainer._tokenizer.pad_token_id)
                trainer.add_metrics(self.probe.measure(engine))

"""What a run tells while it goes on: lines beside a progress bar, `metrics.jsonl`, rollouts, W&B."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from rl.config.schema import Config
from rl.evaluation.probe import probe_line
from rl.files.run_log import RunLog
from rl.training.alarms import Alarms, uninformative_line
from rl.training.metrics import step_line
from rollout.types import RolloutGroup


class Journal:
    """Silent until it is opened: that of the other ranks, or of a trainer on its own."""

    def __init__(self) -> None:
        self._log: RunLog | None = None
        self._bar: Any = None
        self._config = Config()
        self._alarms = Alarms()
        self._begun = (0, 0.0)

    def open(self, config: Config, start: int) -> None:
        """Begin, or go on after step `start`."""
        self._config, self._log = config, RunLog(config, start)
        self._begun = (start, time.monotonic())
        self._bar = tqdm(total=config.trainer.steps, initial=start, desc="RL", unit="step", dynamic_ncols=True)
        for line in self._log.told:
            self.line(line)

    def line(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.write(text)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """The record of one optimizer step, or of step 0, which is before the first; the bar moves to it."""
        if self._log is not None:
            # Neither JSON nor a chart has a place for what is not finite; the alarms see it.
            self._log.log(step, {name: value for name, value in metrics.items() if math.isfinite(value)})
            data, total = self._config.data, self._config.trainer.steps
            if step:
                self.line(step_line(step, total, metrics, data.easy, data.hard, self._left_s(step, total)))
            if probed := probe_line(metrics):
                self.line(probed if step else f"before RL, {probed}")
            self._bar.update(step - self._bar.n)
            if silent := uninformative_line(metrics):
                self.line(silent)
            for alarm in self._alarms.observe(metrics):
                self.alarm(alarm)

    def _left_s(self, step: int, total: int) -> float:
        start, begun = self._begun
        return (time.monotonic() - begun) / max(step - start, 1) * (total - step)

    def rollouts(self, step: int, groups: Sequence[RolloutGroup]) -> None:
        """The rollouts of a step, in the steps that save them or show a table of them."""
        if self._log is None:
            return
        if step == 1 or step % self._config.rollout.save_every == 0:
            self._log.save_rollouts(step, groups)
        if step == 1 or step % self._config.wandb.table_every == 0:
            self._log.table(step, groups)

    def alarm(self, text: str) -> None:
        """A line and a W&B alert."""
        if self._log is not None:
            self.line(f"alarm: {text}")
            self._log.alert(text)

    def close(self) -> None:
        """No more will be told."""
        if self._log is not None:
            self._log.finish()
            self._bar.close()
            self._log = self._bar = None

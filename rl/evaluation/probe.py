"""A small greedy evaluation during training: the policy's own choice on a few test problems.

What `scripts/evaluate.py` measures three modes at the end for, this measures one mode of, after every N generations, on
`evaluation.probe` test problems, with the same parser and the clean rewards of the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from rewards.registry import Reward
from rl.config.schema import Config
from rl.data.load import take
from rl.evaluation.answer import answer
from rl.statistics.targets import mean_switch_probability
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import Problem


class Probe:
    """Measures a model on the same problems each time."""

    def __init__(
        self, config: Config, problems: Sequence[Problem], protocol: DecisionProtocol, rewards: Sequence[Reward]
    ) -> None:
        self.config, self.protocol = config, protocol
        self.problems = take(list(problems), config.evaluation.probe, config, config.data.test)
        self.rewards = [r for r in rewards if r.step == "answer"]

    def due(self, step: int) -> bool:
        """Whether this optimizer step is the last on a generation after which to measure."""
        every = self.config.evaluation.every * self.config.trainer.iterations
        return every > 0 and step % every == 0

    def measure(self, engine: Engine) -> dict[str, float]:
        """Accuracy, mean response tokens and think rate as metrics, and the mean probability of thinking on the levels
        that the configuration calls easy and hard."""
        batches = answer(self.config, self.problems, (None,), engine, self.protocol, self.rewards)
        rollouts = [rollout for groups in batches for group in groups for rollout in group.usable().rollouts]
        count = len(rollouts)
        metrics = {
            "probe/accuracy": sum(r.scores["correct"] for r in rollouts) / count,
            "probe/tokens": sum(len(r.completion_ids) for r in rollouts) / count,
            "probe/think_rate": sum(r.mode == "think" for r in rollouts) / count,
        }
        for name, levels in (("easy", self.config.data.easy), ("hard", self.config.data.hard)):
            mean = mean_switch_probability([r for r in rollouts if r.problem.difficulty in levels], "think")
            if mean is not None:
                metrics[f"probe/think_probability/{name}"] = mean
        return metrics

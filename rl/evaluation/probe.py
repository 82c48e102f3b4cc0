"""A small greedy evaluation before RL and during it: forced think, forced no_think and auto on a few test problems.

What `scripts/evaluate.py` measures at the end this measures on `evaluation.probe` test problems before the first step,
after every N generations and at the end, with the same parser and the clean rewards of the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rewards.registry import Reward
from rl.config.schema import Config
from rl.data.load import take
from rl.evaluation.answer import answer
from rl.evaluation.outcomes import MODE_PLAN
from rl.statistics.targets import mean_switch_probability
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout


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
        """Accuracy and mean response tokens of auto and, below the mode's name, of each forced mode; auto's think rate,
        and its mean probability of thinking on the levels that the configuration calls easy and hard."""
        plan = tuple(MODE_PLAN.values())
        batches = answer(self.config, self.problems, plan, engine, self.protocol, self.rewards)
        rollouts = [r for groups in batches for group in groups for r in group.usable().rollouts]
        auto = [r for r in rollouts if r.forced is None]
        metrics = _means(auto, "") | {"probe/think_rate": sum(r.mode == "think" for r in auto) / max(len(auto), 1)}
        for mode in filter(None, plan):
            metrics |= _means([r for r in rollouts if r.forced == mode], f"/{mode}")
        for name, levels in (("easy", self.config.data.easy), ("hard", self.config.data.hard)):
            mean = mean_switch_probability([r for r in auto if r.problem.difficulty in levels], "think")
            if mean is not None:
                metrics[f"probe/think_probability/{name}"] = mean
        return metrics


def _means(rollouts: Sequence[Rollout], place: str) -> dict[str, float]:
    """Nothing of no rollouts: a reward may have broken on all of a mode."""
    count = len(rollouts)
    sums = {
        f"probe/accuracy{place}": sum(r.scores["correct"] for r in rollouts),
        f"probe/tokens{place}": sum(len(r.completion_ids) for r in rollouts),
    }
    return {name: value / count for name, value in sums.items()} if count else {}


def probe_line(metrics: Mapping[str, float]) -> str:
    """A probe as one readable line; empty where a step has none."""
    if "probe/accuracy" not in metrics:
        return ""
    parts = []
    for label, place in (("auto", ""), ("think", "/think"), ("direct", "/no_think")):
        keys = f"probe/accuracy{place}", f"probe/tokens{place}"
        if all(key in metrics for key in keys):
            parts.append(f"{label} {metrics[keys[0]]:.1%} at {metrics[keys[1]]:.1f} tokens")
    rate = f"thinks on {metrics['probe/think_rate']:.0%}" if "probe/think_rate" in metrics else ""
    return f"test problems: {', '.join(filter(None, (*parts, rate)))}"

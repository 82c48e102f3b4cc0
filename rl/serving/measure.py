"""What an export measures that its run has not: the untouched model, by the run's own evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rewards.registry import build_rewards
from rewards.sandbox import configure
from rl.config.schema import Config
from rl.data.load import load_problems, take
from rl.data.prompts import fit_prompts
from rl.evaluation.evaluate import evaluate
from rl.evaluation.untouched import evaluate_plainly, needs_tokens
from rl.files.atomic import write_atomically
from rl.models.open import open_policy, open_protocol
from rollout.errors import UserError
from rollout.types import Problem

UNTOUCHED = "eval_untouched.json"


def measured_problems(config: Config, count: int) -> list[Problem]:
    """The first test problems of a run; none where its data is not here, which is said."""
    if not count:
        return []
    try:
        return take(load_problems(config, "test"), count, config, config.data.test)
    except UserError as error:
        print(f"nothing is measured: {error}")
        return []


def measure_untouched(config: Config, run: Path) -> None:
    """Evaluate the model that the run began with on the problems of its evaluations, once a run; one that cannot be
    asked is said."""
    file = run / UNTOUCHED
    if file.is_file():
        return
    try:
        problems = take(load_problems(config, "test"), config.evaluation.problems, config, config.data.test)
        configure(config.sandbox.workers, config.sandbox.tier, config.sandbox.allow_weak, config.sandbox.packages)
        result = _evaluated(config, problems)
    except UserError as error:
        print(f"the untouched model is not measured: {error}")
        return
    write_atomically(file, json.dumps(result, indent=2) + "\n")
    print(f"the untouched model was measured: {file}")


def _evaluated(config: Config, problems: list[Problem]) -> dict[str, Any]:
    """As `evaluate.py --untouched` does: plainly where the decision tokens are yet to come."""
    rewards = build_rewards(config.rewards)
    if needs_tokens(config):
        return evaluate_plainly(config, fit_prompts(config, problems, open_protocol(config)).problems, rewards)
    policy = open_policy(config)
    fitting = fit_prompts(config, problems, policy.protocol).problems
    return evaluate(config, fitting, policy.engine, policy.protocol, rewards)

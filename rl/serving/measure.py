"""What an export measures that its run has not: the untouched model, by the run's own evaluation."""

from __future__ import annotations

import json
from pathlib import Path

from rewards.registry import build_rewards
from rewards.sandbox import configure
from rl.config.schema import Config
from rl.data.load import load_problems, take
from rl.data.prompts import fit_prompts
from rl.evaluation.evaluate import evaluate
from rl.files.atomic import write_atomically
from rl.models.open import open_policy
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
        policy = open_policy(config)
        problems = take(load_problems(config, "test"), config.evaluation.problems, config, config.data.test)
        problems = fit_prompts(config, problems, policy.protocol).problems
        configure(config.sandbox.workers, config.sandbox.tier, config.sandbox.allow_weak, config.sandbox.packages)
        result = evaluate(config, problems, policy.engine, policy.protocol, build_rewards(config.rewards))
    except UserError as error:
        print(f"the untouched model is not measured: {error}")
        return
    write_atomically(file, json.dumps(result, indent=2) + "\n")
    print(f"the untouched model was measured: {file}")

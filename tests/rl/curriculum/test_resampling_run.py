"""History resampling while a policy learns: the easy think rate after solved prompts have left (a bandit)."""

from __future__ import annotations

import pytest
from bandit import Bandit, make_problems

from rl.algorithms import build_algorithm
from rl.config.schema import HistoryConfig
from rl.curriculum.prompt_order import Mix, PromptOrder
from rl.curriculum.resampling import Resampler
from rollout.modes import make_plan


def easy_think_rates(resample: str, steps: int) -> tuple[list[float], list[float]]:
    """The easy think rate and the share of retired problems, step by step."""
    problems = {p.id: p for p in make_problems(easy=64, hard=32)}
    resampler = Resampler(HistoryConfig(resample=resample))
    order = PromptOrder([Mix(0, {"": list(problems)}, {})], prompts=16, seed=0, resampler=resampler)
    policy, algorithm, plan = Bandit(rate=4.0), build_algorithm({"name": "step_srpo"}), make_plan(8, 0.5, 2)
    rates, retired = [], []
    for step in range(steps):
        groups = [policy.roll_out(problems[name], plan) for name in order.block(step)]
        policy.update(groups, policy.advantages(groups, algorithm))
        order.observe(groups)
        rates.append(policy.think("easy"))
        retired.append(resampler.metrics().get("history/retired", 0.0) / len(problems))
    return rates, retired


@pytest.fixture(scope="module")
def runs():
    return {resample: easy_think_rates(resample, 130) for resample in ("off", "srpo", "mode_aware")}


def first_retirement(retired):
    return next(step for step, share in enumerate(retired) if share > 0.2)


@pytest.mark.medium
def test_the_easy_think_rate_stays_put_for_fifty_steps_after_mode_aware_retirement(runs):
    rates, retired = runs["mode_aware"]
    start = first_retirement(retired)
    assert rates[start] < 0.1
    assert len(rates) >= start + 50
    assert max(rates[start : start + 50]) < 0.1


@pytest.mark.medium
def test_dropping_all_correct_prompts_brings_thinking_back_on_easy_ones(runs):
    rates, retired = runs["srpo"]
    start = first_retirement(retired)
    assert max(rates[start : start + 50]) > 0.3


@pytest.mark.medium
def test_without_resampling_the_easy_think_rate_only_falls(runs):
    rates, _ = runs["off"]
    assert rates[-1] < 0.02

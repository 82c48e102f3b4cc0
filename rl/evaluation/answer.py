"""The one loop in which a policy answers problems outside of training: batches in, scored groups out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from rewards.registry import Reward
from rewards.score import check_broken, score_groups
from rl.config.schema import Config
from rollout.collect import collect
from rollout.engines.base import Engine, Sampling
from rollout.modes import Plan
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, Problem, RolloutGroup


def greedy(config: Config) -> Sampling:
    """Greedy decoding under the cap of evaluations: gate, tags, probe and evaluation all measure with it."""
    return Sampling(temperature=0.0, max_new_tokens=config.evaluation.max_new_tokens or config.rollout.max_new_tokens)


def answer(
    config: Config,
    problems: Sequence[Problem],
    plan: Plan,
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward] = (),
    sampling: Sampling | None = None,
    *,
    rows: int = 0,
    manual: Mode | None = None,
    show: str = "",
) -> Iterator[list[RolloutGroup]]:
    """The groups of each batch, one rollout an entry of `plan`, scored by the rewards of step `answer` (none: not
    scored). `rows` rollouts are decoded at once (0: `evaluation.batch`), greedily unless `sampling` says otherwise;
    `manual` states a mode in every prompt; `show` names a progress bar. Each batch has a seed of its own, so that a
    job that goes on draws what it would have drawn. Raises `RewardError` as `reward_errors` says."""
    answers = [reward for reward in rewards if reward.step == "answer"]
    size = max(1, (rows or config.evaluation.batch) // len(plan))
    with tqdm(total=len(problems), desc=show, unit="problem", dynamic_ncols=True, disable=not show) as progress:
        for start in range(0, len(problems), size):
            batch = problems[start : start + size]
            seed = random.Random(f"label-{config.seed}-{batch[0].id}").getrandbits(48)
            groups = collect(
                batch, plan, engine, protocol, sampling or greedy(config), seed, stated=[manual] * len(batch)
            )
            if answers:
                groups = score_groups(groups, answers, on_error=config.reward_errors.policy, step=0)
                check_broken(groups, config.reward_errors.max_share)
            yield groups
            progress.update(len(batch))

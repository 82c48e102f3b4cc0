"""Everything that can be wrong before hours of compute are spent, checked in seconds. `--dry-run` stops after it.

Checked: a response of each mode is read back as it was written; prompts can be rendered, lose nothing and fit the
length cap; gold answers earn full marks from the rewards and wrong ones do not (the code of
`scripts/check_rewards.py`); the policy can be put into each mode. Configuration, data files, model, tokenizer and
template have been checked by loading them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rewards.registry import Reward
from rl.checks.prompt_check import check_caps, check_prompts, check_responses
from rl.checks.reward_check import check_rewards, complaints, report_lines
from rl.config.schema import Config, ConfigError
from rollout.collect import collect
from rollout.engines.base import Engine, Sampling
from rollout.printable import printable
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem

PROBLEMS_TRIED = 200


def preflight(
    config: Config,
    problems: Sequence[Problem],
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    engine: Engine | None,
    show: Callable[[str], None] = print,
    places: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Run the checks and report each in a line; returns the problems that can be asked. `places` says where they come
    from. Raises `UserError` when a run cannot work."""
    check_responses(protocol, show)
    check_caps(config, protocol)
    usable = check_prompts(config, problems, protocol, show, places)
    for reward in rewards:
        unlimited = reward.timeout_s is None and not reward.wants("timeout_s")
        if unlimited and not reward.function.__module__.startswith("rewards."):
            show(f"reward {reward.name!r} has no timeout_s: a call of it that hangs, hangs the run")
    check = check_rewards(usable, rewards, PROBLEMS_TRIED)
    for line in report_lines(check):
        show(line)
    above = complaints(check, config.data.max_bad_gold)
    if above:
        raise ConfigError(f"the rewards do not fit the data: {above[0]}")
    if engine is not None:
        _check_forcing(config, usable[:1], protocol, engine, show)
    return usable


def _check_forcing(
    config: Config, problems: Sequence[Problem], protocol: DecisionProtocol, engine: Engine, show: Callable[[str], None]
) -> None:
    """One rollout forced into each mode. Raises `ConfigError` where it comes out as another."""
    sampling = Sampling(config.rollout.temperature, max_new_tokens=min(64, config.rollout.max_new_tokens))
    (group,) = collect(problems, MODES, engine, protocol, sampling, config.seed)
    for mode, rollout in zip(MODES, group.rollouts, strict=True):
        text = printable(" ".join(protocol.decode(rollout.completion_ids).split()), 160)
        show(f"forced {mode}, as the model samples it: status {rollout.status}: {text}")
        if rollout.mode != mode and not rollout.truncated:
            raise ConfigError(f"a rollout forced to {mode} came out as {rollout.mode}: the protocol is broken")

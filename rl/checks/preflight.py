"""Everything that can be wrong before hours of compute are spent, checked in seconds. `--dry-run` stops after it.

Checked: a response of each mode is read back as it was written; prompts can be rendered, lose nothing and fit the
length cap; gold answers earn full marks from the rewards and wrong ones do not (the code of
`scripts/check_rewards.py`); the policy can be put into each mode. Configuration, data files, model, tokenizer and
template have been checked by loading them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rewards.registry import Reward
from rl.checks.prompt_check import check_caps, check_prompts, check_responses
from rl.checks.reward_check import KINDS, check_rewards, complaints, report_lines
from rl.config.schema import Config, ConfigError
from rollout.collect import collect
from rollout.engines.base import Engine, Sampling
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem, Rollout

PROBLEMS_TRIED = 200


@dataclass(frozen=True)
class Preflight:
    """What the checks found: the problems that can be asked, the longest prompt, how many gold answers were tried, the
    problems whose gold answer does not earn full marks, those whose wrong one does, and one forced rollout a mode."""

    problems: tuple[Problem, ...]
    longest_prompt: int
    checked: int
    failed_gold: tuple[str, ...]
    failed_wrong: tuple[str, ...]
    samples: tuple[Rollout, ...]


def preflight(
    config: Config,
    problems: Sequence[Problem],
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    engine: Engine | None,
    show: Callable[[str], None] = print,
    places: Mapping[str, str] | None = None,
) -> Preflight:
    """Run the checks and report each in a line; `places` says where problems come from. Raises `UserError` when a run
    cannot work."""
    check_responses(protocol, show)
    check_caps(config, protocol)
    problems, longest = check_prompts(config, problems, protocol, show, places)
    check = check_rewards(problems, rewards, PROBLEMS_TRIED)
    for line in report_lines(check):
        show(line)
    above = complaints(check, config.data.max_bad_gold)
    if above:
        raise ConfigError(f"the rewards do not fit the data: {above[0]}")
    samples: tuple[Rollout, ...] = ()
    if engine is not None:
        sampling = Sampling(config.rollout.temperature, max_new_tokens=min(64, config.rollout.max_new_tokens))
        (group,) = collect(problems[:1], MODES, engine, protocol, sampling, config.seed)
        samples = group.rollouts
        for mode, rollout in zip(MODES, samples, strict=True):
            text = " ".join(protocol.decode(rollout.completion_ids).split())
            show(f"forced {mode}, as the model samples it: status {rollout.status}: {text[:160]}")
            if rollout.mode != mode and not rollout.truncated:
                raise ConfigError(f"a rollout forced to {mode} came out as {rollout.mode}: the protocol is broken")
    failed_gold, failed_wrong = (tuple(probe.problem for probe in check.failed(kind)) for kind in KINDS)
    return Preflight(tuple(problems), longest, len(check.of("gold")), failed_gold, failed_wrong, samples)

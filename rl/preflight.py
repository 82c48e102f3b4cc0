"""Everything that can be wrong before hours of compute are spent, checked in seconds. `--dry-run` stops after it.

Checked: prompts fit the length cap; every gold answer earns full marks from the rewards; the policy can be put into
each mode. Configuration, data files, model, tokenizer and template have been checked by loading them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rewards.registry import Reward
from rl.config import Config, ConfigError
from rl.data.gold import check_gold
from rollout.collect import collect
from rollout.engine import Engine, Sampling
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem, Rollout

GOLD_CHECKS = 200


@dataclass(frozen=True)
class Preflight:
    """What the checks found: the longest prompt, how many gold answers were tried, the problems whose gold answer
    does not earn full marks, and one forced rollout a mode."""

    longest_prompt: int
    checked: int
    failed_gold: tuple[str, ...]
    samples: tuple[Rollout, ...]


def preflight(
    config: Config,
    problems: Sequence[Problem],
    protocol: DecisionProtocol,
    rewards: Sequence[Reward],
    engine: Engine | None,
    show: Callable[[str], None] = print,
) -> Preflight:
    """Run the checks and report each in a line. Raises `ConfigError` or `RewardError` when a run cannot work."""
    longest = longest_prompt(config, problems, protocol)
    show(f"prompts: {len(problems)}, the longest {longest} tokens (cap {config.rollout.max_prompt_tokens})")
    gold = check_gold(problems[:GOLD_CHECKS], rewards)
    show(f"gold answers: {gold.tried - len(gold.failed)} of {gold.tried} earn full marks")
    if gold.failed:
        names = list(gold.failed)
        show(f"gold answers without full marks: {', '.join(names[:10])}{' …' if len(names) > 10 else ''}")
        show(f"the first of them: {gold.failed[names[0]]}")
    if gold.share > config.data.max_bad_gold:
        raise ConfigError(
            f"{gold.share:.0%} of the gold answers fail their reward ({next(iter(gold.failed.values()))}); allowed: "
            f"data.max_bad_gold, {config.data.max_bad_gold:.0%}, and data.format and rewards that fit the data"
        )
    samples: tuple[Rollout, ...] = ()
    if engine is not None:
        sampling = Sampling(config.rollout.temperature, max_new_tokens=min(64, config.rollout.max_new_tokens))
        (group,) = collect(problems[:1], MODES, engine, protocol, sampling, config.seed)
        samples = group.rollouts
        for mode, rollout in zip(MODES, samples, strict=True):
            text = " ".join(protocol.decode(rollout.completion_ids).split())
            show(f"forced {mode}: status {rollout.status}: {text[:160]}")
            if rollout.mode != mode and not rollout.truncated:
                raise ConfigError(f"a rollout forced to {mode} came out as {rollout.mode}: the protocol is broken")
    return Preflight(longest, gold.tried, tuple(gold.failed), samples)


def longest_prompt(config: Config, problems: Sequence[Problem], protocol: DecisionProtocol) -> int:
    """The longest rendered prompt in tokens. Raises `ConfigError` when it passes the cap."""
    cap, longest = config.rollout.max_prompt_tokens, 0
    for problem in problems:
        length = len(protocol.render(problem.prompt, problem.messages))
        if length > cap:
            raise ConfigError(
                f"problem {problem.id!r} has a prompt of {length} tokens; allowed: rollout.max_prompt_tokens, {cap}"
            )
        longest = max(longest, length)
    return longest

"""A user's own choice of mode: prompts that state it by a tag, and whether the policy obeys."""

from __future__ import annotations

from collections.abc import Sequence

from rl.config.schema import Config
from rollout.collect import collect
from rollout.engines.base import Engine, Sampling
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem


def obedience(
    config: Config, problems: Sequence[Problem], engine: Engine, protocol: DecisionProtocol
) -> dict[str, float]:
    """Of each mode the share of prompts with its tag that the policy, choosing freely and greedily, answers in it;
    empty without tags. `evaluation.batch` rows are decoded at once."""
    sampling = Sampling(temperature=0.0, max_new_tokens=config.rollout.max_new_tokens)
    size, shares = config.evaluation.batch, {}
    for mode in MODES if protocol.tags and problems else ():
        obeyed = 0
        for start in range(0, len(problems), size):
            batch = problems[start : start + size]
            groups = collect(batch, (None,), engine, protocol, sampling, config.seed, manual=mode)
            obeyed += sum(group.rollouts[0].mode == mode for group in groups)
        shares[str(mode)] = obeyed / len(problems)
    return shares

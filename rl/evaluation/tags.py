"""A user's own choice of mode: prompts that state it by a tag, and whether the policy obeys."""

from __future__ import annotations

from collections.abc import Sequence

from rl.config.schema import Config
from rl.evaluation.answer import answer
from rollout.engines.base import Engine
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem


def obedience(
    config: Config, problems: Sequence[Problem], engine: Engine, protocol: DecisionProtocol
) -> dict[str, float]:
    """Of each mode the share of prompts with its tag that the policy, choosing freely and greedily, answers in it;
    empty without tags."""
    shares: dict[str, float] = {}
    for mode in MODES if protocol.tags and problems else ():
        batches = answer(config, problems, (None,), engine, protocol, manual=mode)
        shares[mode] = sum(group.rollouts[0].mode == mode for groups in batches for group in groups) / len(problems)
    return shares

"""Whether a logit bias on the no_think switch acts at the decision alone: how far that token stays behind elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rl.evaluation.answer import answer
from rl.models.open import Policy
from rollout.types import MODES, Problem, Rollout


@dataclass(frozen=True)
class Margin:
    """`least`: the smallest distance, in logits, of the no_think token from the likeliest other token, over all
    `places` of these responses but the decision."""

    least: float
    places: int
    problems: int


def margin_elsewhere(policy: Policy, problems: Sequence[Problem]) -> Margin:
    """Over the greedy responses of all three settings to these problems."""
    plan = (None, *MODES)
    least, places = float("inf"), 0
    for groups in answer(policy.config, problems, plan, policy.own_engine, policy.protocol):
        for rollout in (r for group in groups for r in group.rollouts):
            found = _behind(policy, rollout)
            least, places = min([least, *found]), places + len(found)
    return Margin(least, places, len(problems))


@torch.no_grad()
def _behind(policy: Policy, rollout: Rollout) -> list[float]:
    """The distance at each place of the response but its decision."""
    model: Any = policy.model
    token = policy.protocol.switch_ids["no_think"]
    ids = torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]], device=model.device)
    logits_TV = model(input_ids=ids).logits[0, len(rollout.prompt_ids) - 1 : -1].float()
    own_T = logits_TV[:, token].clone()
    logits_TV[:, token] = -torch.inf
    distances = (logits_TV.max(-1).values - own_T).tolist()
    return [value for place, value in enumerate(distances) if place != rollout.switch_index]

"""Old log-probabilities for algorithms in which a coin, not the policy, chose the forced switch.

AdaptThink (arXiv 2505.13417) samples half of each group in each mode and takes log ½ as the switch's old
log-probability, so that the ratio π(m)/½ says how far the policy is from the coin. TRL leaves old log-probabilities out
where they would equal the current ones; then they are computed here, in one pass without gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing

from rollout.types import Rollout


def coin_log_probs(trainer: GRPOTrainer, batch: Mapping[str, Any], rollouts: Sequence[Rollout]) -> torch.Tensor:
    """The old log-probabilities (B, T) of a generation batch, with log ½ for every forced switch."""
    old_BT = batch.get("old_per_token_logps")
    if old_BT is None:
        old_BT = _log_probs(trainer, batch)
    for row, rollout in enumerate(rollouts):
        if rollout.forced and rollout.switch_index is not None:
            old_BT[row, rollout.switch_index] = math.log(0.5)
    return old_BT


def _log_probs(trainer: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    rows, length = trainer.args.per_device_train_batch_size, batch["completion_ids"].size(1)
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, trainer.args.gradient_checkpointing_kwargs):
        return trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, length, batch_size=rows)[0]

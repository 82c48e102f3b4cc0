"""Several optimizer steps on the same rollouts (`trainer.iterations` above 1): on all tokens or on the judge step.

The decision is one token whose reward is known in both modes of a forced pair, so further steps on it stay close to the
exact gradient while TRL's clipping holds the ratio to the policy that sampled. An answer is one sample of very many:
further steps on it learn that sample by heart. With `repeats` "judge" the first step on a generation trains everything,
the later ones see completions up to the switch only, which also makes them cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from rollout.types import Rollout


def judge_lengths(rollouts: Sequence[Rollout]) -> list[int]:
    """The tokens of each rollout's judge step, shape (B,): up to and with the switch, all where there is none."""
    return [len(r.completion_ids) if r.switch_index is None else r.switch_index + 1 for r in rollouts]


class RepeatingTrainer(GRPOTrainer):
    """TRL's trainer; a batch with `judge_lengths` (B,) is cut to them in all steps on a generation but the first."""

    args: GRPOConfig

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        inputs = super()._prepare_inputs(generation_batch)
        repeat = self._step // (self.args.steps_per_generation or 1) % self.num_iterations
        if not repeat or "judge_lengths" not in inputs:
            return inputs
        mask_BT = inputs["completion_mask"]
        columns_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        return {**inputs, "completion_mask": mask_BT * (columns_T < inputs["judge_lengths"][:, None])}

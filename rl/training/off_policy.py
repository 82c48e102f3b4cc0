"""An engine that is not the trainer's own forward pass samples from a slightly different policy μ than the trainer's π.

Other kernels, another precision: the log-probabilities of the same tokens under the same weights differ. The update
then is off-policy, and the policy gradient needs the weight π/μ, truncated against rare large values (truncated
importance sampling, Yao et al., "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training", 2025):

    w_t = min(π_old(y_t) / μ(y_t), cap)        ∇ = E_μ [ w_t · A_t · ∇ PPO term ]

π_old is TRL's own record of the policy that generated where it keeps one (`trainer.iterations` above 1); else it is the
log-probability of the loss's own forward pass, which is the same thing, so no second pass is needed. The weight scales
the gradient of each token's log-probability and leaves its value, and with it TRL's clipping, as it is. Truncation to
top-k or top-p is no part of μ, here as in TRL.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from trl import GRPOTrainer


def truncated_ratio(old_BT: torch.Tensor, engine_BT: torch.Tensor, cap: float) -> torch.Tensor:
    """min(exp(old − engine), cap) of log-probabilities, without a gradient.

    >>> truncated_ratio(torch.tensor([0.0, -0.5]), torch.tensor([0.0, -3.0]), 2.0)
    tensor([1., 2.])
    """
    return (old_BT - engine_BT).detach().exp().clamp(max=cap)


def scale_gradient(values_BT: torch.Tensor, factor_BT: torch.Tensor) -> torch.Tensor:
    """The same values, their gradient times `factor_BT`."""
    return values_BT.detach() + factor_BT * (values_BT - values_BT.detach())


class OffPolicyTrainer(GRPOTrainer):
    """TRL's trainer with the weight of the module docstring wherever a batch carries the engine's log-probabilities
    (`sampling_per_token_logps`, which TRL makes of what the rollout function returns as `logprobs`)."""

    engine_ratio_cap: float = 2.0
    _loss_inputs: Mapping[str, Any] = MappingProxyType({})

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        self._loss_inputs = inputs
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        logps_BT, *others = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if torch.is_grad_enabled() and "sampling_per_token_logps" in self._loss_inputs:
            logps_BT = self._corrected(logps_BT, self._loss_inputs)
        return logps_BT, *others

    def _corrected(self, logps_BT: torch.Tensor, inputs: Mapping[str, Any]) -> torch.Tensor:
        engine_BT = inputs["sampling_per_token_logps"]
        old_BT = inputs.get("old_per_token_logps", logps_BT.detach())
        ratio_BT = truncated_ratio(old_BT, engine_BT, self.engine_ratio_cap)
        mask_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        count = mask_BT.sum().clamp(min=1)
        gap = ((old_BT - engine_BT).abs() * mask_BT).sum() / count
        cut = ((ratio_BT >= self.engine_ratio_cap) * mask_BT).sum() / count
        for name, value in (("logprob_gap", gap), ("ratio_cut", cut)):
            self._metrics["train"][f"engine/{name}"].append(self.accelerator.gather(value).mean().item())
        return scale_gradient(logps_BT, ratio_BT)

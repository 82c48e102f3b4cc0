"""The log-probability of a decision for which one mode has a token and the other is any other token.

At that one place, the first token of the response, the judge part's log-probability is log p of the mode's token where
the rollout took that mode, and log(1 − p) where it took the other, whatever token came (rollout/decision.py). So the
head is asked for the token there, in every row, and the answer is turned where another token came. Ratio, coin and
importance see no difference. d/dx log(1 − e^x) = −e^x / (1 − e^x): pushing "any other" up pushes the token down.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rollout.decision import LARGEST


def asked_labels(labels_BL: Tensor, places_B: Tensor, token: int) -> Tensor:
    """The labels with the mode's token at the decision's column of each row."""
    return labels_BL.scatter(1, places_B.unsqueeze(1), token)


def decision_logps(logps_BT: Tensor, first_B: Tensor, token: int) -> Tensor:
    """Log-probabilities with that of the decision in their first column, which holds log p of `token`; `first_B` are
    the tokens that came."""
    asked_B = logps_BT[:, 0]
    turned_B = torch.where(first_B == token, asked_B, log_other(asked_B))
    return torch.cat([turned_B.unsqueeze(1), logps_BT[:, 1:]], dim=1)


def log_other(logps_B: Tensor) -> Tensor:
    """log(1 − exp(logp)), with its gradient.

    >>> log_other(torch.tensor([0.25]).log()).exp()
    tensor([0.7500])
    """
    return torch.log(-torch.expm1(logps_B.clamp(max=LARGEST)))

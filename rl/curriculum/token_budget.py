"""How many tokens a run has generated, and whether that is all it may. Pure, with its state in the checkpoint.

Counted are all response tokens of all ranks: judge text, switch (forced or not), tags, end. Comparing algorithms at
equal steps would favour those that think more in each; at equal generated tokens none is favoured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rollout.types import RolloutGroup


def learning_rate_share(schedule: str, step: int, warmup_steps: int, progress: float) -> float:
    """The share of the learning rate in a run that its tokens end: linear warm-up over steps, then what a "linear" or
    "cosine" schedule leaves of it at this share of the tokens.

    >>> [learning_rate_share("linear", step, 4, progress) for step, progress in ((1, 0.1), (8, 0.25), (30, 1.0))]
    [0.25, 0.75, 0.0]
    """
    if step < warmup_steps:
        return step / warmup_steps
    return 1 - progress if schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2


class TokenBudget:
    """Counts up to `limit` tokens; 0 counts without a limit."""

    def __init__(self, limit: int) -> None:
        self.limit, self.spent = limit, 0

    def observe(self, groups: Iterable[RolloutGroup]) -> None:
        """Add the tokens of one generation."""
        self.spent += sum(len(r.completion_ids) for group in groups for r in group.rollouts)

    @property
    def exhausted(self) -> bool:
        """Whether the run is over."""
        return 0 < self.limit <= self.spent

    def progress(self, share_of_steps: float) -> float:
        """The share of the run that is over, in [0, 1]: of its tokens where they are limited, else of its steps."""
        return min(self.spent / self.limit, 1.0) if self.limit else share_of_steps

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {"spent": self.spent}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from here."""
        self.spent = int(state.get("spent", 0))

"""Steps whose loss or gradient is not finite: no update is made of them, they are counted, and too many in a row end
the run, since going on would be computing for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Skips:
    """Counts skipped steps; `limit` in a row end the run."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = self.in_row = 0
        self.stopped = ""

    def observe(self, step: int, skipped: bool) -> dict[str, float]:
        """Take in one optimizer step; its metrics."""
        self.total += skipped
        self.in_row = self.in_row + 1 if skipped else 0
        if self.in_row >= self.limit:
            self.stopped = (
                f"the loss or its gradient was not finite in {self.in_row} steps in a row, the last of them step "
                f"{step}; no update was made of them; allowed: a lower trainer.learning_rate or float32 in another "
                "run_dir, or trainer.max_skipped"
            )
        return {"update/skipped": float(self.total)}

    def line(self, step: int) -> str:
        """What is told of a skipped step."""
        return (
            f"step {step}: the loss or its gradient is not finite, so no update was made ({self.in_row} in a row, "
            f"{self.total} in all; the run ends after trainer.max_skipped, {self.limit} in a row)"
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back."""
        return {"total": self.total, "in_row": self.in_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another run stopped; one that ended for its skips may try the next steps."""
        self.total, in_row = int(state.get("total", 0)), int(state.get("in_row", 0))
        self.in_row = 0 if in_row >= self.limit else in_row

"""The format reward: 1 when the response fits its protocol, 0 otherwise."""

from __future__ import annotations

from rollout.types import Rollout


def format_ok(rollout: Rollout) -> float:
    """1.0 for status `ok`; every other status (no switch, unclosed thinking, truncated, …) is 0.0."""
    return 1.0 if rollout.status == "ok" else 0.0

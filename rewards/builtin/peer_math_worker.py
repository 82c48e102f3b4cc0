"""The worker side of the reward `math_verify`: the library on one response, in a confined process of its own.

The library's own limits are signals, which work on a main thread only and would end the timer of this process; they
are off, and the pool's limit holds instead.
"""

from __future__ import annotations

import logging
from typing import Any

import math_verify

from rewards.workers.confined import confine

for _name in ("math_verify.parser", "math_verify.grader"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def handle(job: dict[str, Any]) -> dict[str, Any]:
    """`{"answer", "gold"}` to `{"equal"}`, `{"unreadable": true}` for the gold answer, or `{"error"}`."""
    try:
        confine()
    except OSError as error:
        return {"error": str(error)}
    gold = _parsed(f"${job['gold']}$") or _parsed(job["gold"])
    if not gold:
        return {"unreadable": True}
    try:
        return {"equal": bool(math_verify.verify(gold, _parsed(job["answer"]), timeout_seconds=None))}
    except Exception:
        # The library chokes on what a model wrote: the answer is wrong.
        return {"equal": False}


def _parsed(text: str) -> list[Any]:
    try:
        return list(math_verify.parse(text, parsing_timeout=None))
    except Exception:
        return []

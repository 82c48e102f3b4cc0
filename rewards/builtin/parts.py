"""The parts of a response that a reward can be about: the whole response, the thinking, or the answer."""

from __future__ import annotations

from rollout.errors import UserError
from rollout.types import Rollout

PARTS = ("response", "think", "answer")


def part_ids(rollout: Rollout, of: str) -> tuple[int, ...]:
    """The tokens of a part; of the response all of them, with judge text and tags."""
    _check(of)
    return {"response": rollout.completion_ids, "think": rollout.think_ids, "answer": rollout.answer_ids}[of]


def part_text(rollout: Rollout, of: str) -> str:
    """The text of a part; of the response judge text, thinking and answer, a line each."""
    _check(of)
    texts = {"think": rollout.think_text, "answer": rollout.answer_text}
    return texts[of] if of in texts else "\n".join(filter(None, (rollout.judge_text, *texts.values())))


def _check(of: str) -> None:
    if of not in PARTS:
        raise UserError(f"of is {of!r}; allowed: {', '.join(PARTS)}")

"""The parts of a response that a reward can be about: the whole response, the thinking, or the answer."""

from __future__ import annotations

from typing import Literal

from rollout.types import Rollout

Part = Literal["response", "think", "answer"]


def part_ids(rollout: Rollout, of: Part) -> tuple[int, ...]:
    """The tokens of a part; of the response all of them, with judge text and tags."""
    return {"response": rollout.completion_ids, "think": rollout.think_ids, "answer": rollout.answer_ids}[of]


def part_text(rollout: Rollout, of: Part) -> str:
    """The text of a part; of the response judge text, thinking and answer, a line each."""
    texts = {"think": rollout.think_text, "answer": rollout.answer_text}
    return texts[of] if of in texts else "\n".join(filter(None, (rollout.judge_text, *texts.values())))

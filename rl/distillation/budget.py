"""What teachers cost: tokens and money spent, and their limits.

A call is begun only when the most that it can cost still fits beside what is spent and what the open calls can cost: a
token for every byte of its prompt, and `max_tokens` of an answer. So a limit is passed at most by what attempts that
were cut had sent before they were tried again; they count with what had arrived. A count that the endpoint does not
give is estimated, a token for every four bytes. What a kill interrupts is paid and not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl.config.schema import TeacherConfig
from rl.models.chat_replies import Reply, estimated_tokens

MILLION = 1_000_000


@dataclass(frozen=True)
class Cost:
    """Tokens of prompts and answers together, and money."""

    tokens: int = 0
    money: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tokens + other.tokens, self.money + other.money)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.tokens - other.tokens, self.money - other.money)


def cost_of(teacher: TeacherConfig, prompt: int, completion: int) -> Cost:
    """The cost of so many tokens at this teacher's prices."""
    money = (prompt * teacher.prompt_price + completion * teacher.completion_price) / MILLION
    return Cost(prompt + completion, money)


def usage_of(reply: Reply, prompt_text: str) -> dict[str, Any]:
    """What a row says of its call: counts, whether any is estimated, attempts, how it ended, who answered."""
    prompt, completion = reply.prompt_tokens, reply.completion_tokens
    return {
        "prompt_tokens": estimated_tokens(prompt_text) if prompt is None else prompt,
        "completion_tokens": estimated_tokens(reply.content, reply.reasoning) if completion is None else completion,
        "lost_tokens": reply.lost_tokens,
        "estimated": prompt is None or completion is None,
        "attempts": reply.attempts,
        "finish_reason": reply.finish_reason,
        "model": reply.model,
    }


def spent_by(usage: Mapping[str, Any], teacher: TeacherConfig) -> Cost:
    """The cost of one finished call, by its row."""
    answered = int(usage.get("completion_tokens", 0)) + int(usage.get("lost_tokens", 0))
    return cost_of(teacher, int(usage.get("prompt_tokens", 0)), answered)


class Budget:
    """What is spent, what open calls can cost, and the limits (None: none)."""

    def __init__(self, tokens: int | None, money: float | None, spent: Cost = Cost()) -> None:
        self.limits = (tokens, money)
        self.spent, self.open = spent, Cost()
        self.exhausted = False

    def reserve(self, most: Cost) -> bool:
        """Set this aside for a call, if it fits."""
        total = self.spent + self.open + most
        tokens, money = self.limits
        if (tokens is not None and total.tokens > tokens) or (money is not None and total.money > money + 1e-12):
            return False
        self.open += most
        return True

    def settle(self, most: Cost, actual: Cost) -> None:
        """A call has ended and cost this."""
        self.open -= most
        self.spent += actual

    def line(self) -> str:
        """What was spent, for people."""
        tokens, money = self.limits
        limit = f" of {tokens}" if tokens is not None else ""
        priced = f", {self.spent.money:.4f}" + (f" of {money:g}" if money is not None else "") + " in money"
        return f"spent: {self.spent.tokens} tokens{limit}" + (priced if self.spent.money or money else "")

"""A conversation with a model, a turn at a time: which mode a turn is in, its parts as they come, what becomes history.

Decoding is greedy and by the model itself. A forced mode and a dial work as in an evaluation: P(think) is measured at
the decision, then the row is forced.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rl.evaluation.answer import greedy
from rl.evaluation.dial import PAST_THE_SWITCH
from rl.models.open import Policy
from rl.serving.tags import asked_mode
from rl.serving.terminal import Pieces
from rl.statistics.targets import share_of
from rollout.engines.base import Request, Sampling
from rollout.errors import UserError
from rollout.parsing import Parsed
from rollout.reader import Part
from rollout.types import Mode

Shown = Callable[[Part, str], None]


@dataclass(frozen=True)
class Answer:
    """One turn of the model. `p_think` is that at its decision, None where it decided nothing; `forced` the mode that
    was asked for or that the dial took, which `dialled` says."""

    parsed: Parsed
    tokens: int
    p_think: float | None
    forced: Mode | None
    dialled: bool = False


@dataclass
class Talk:
    """A conversation. `mode` forces every turn unless a message says otherwise; `dial` decides where nothing does;
    `budget` closes thoughts. `turns` is the history, without thoughts."""

    policy: Policy
    mode: Mode | None = None
    dial: float | None = None
    budget: int | None = None
    turns: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises `UserError` for a budget that no answer can hold."""
        plain = greedy(self.policy.config)
        if self.budget is not None and not 0 <= self.budget < plain.max_new_tokens:
            raise UserError(
                f"--budget is {self.budget}; allowed: 0 or more, and less than the {plain.max_new_tokens} tokens of an "
                "answer (--max-new-tokens)"
            )
        self.sampling = dataclasses.replace(plain, thinking_budget=self.budget)

    def say(self, message: str, show: Shown) -> Answer:
        """Answer a message; `show` is given each piece of text with its part. Raises `ProtocolError` for a message that
        the model cannot be asked, which then is not part of the conversation."""
        protocol = self.policy.protocol
        _check_encoding(message)
        text, tagged = asked_mode(message)
        if not text:
            raise UserError("the message holds nothing but a tag; allowed: a question beside it")
        asked = {"role": "user", "content": text}
        turns = [*self.turns, asked] if self.remembers else [asked]
        prompt = protocol.render(text, turns)
        self._check_words(text)
        self._check_length(prompt)
        asked_for = tagged or self.mode
        forced = asked_for or self._dialled(prompt)
        reader, pieces = protocol.reader(), Pieces(protocol.decode)
        part: Part = "mark"

        def chosen(row: int, token: int) -> None:
            nonlocal pieces, part
            now = reader.push(token)
            if now != part:
                _show_rest(part, pieces, show)
                pieces, part = Pieces(protocol.decode), now
            if now != "mark":
                show(now, pieces.push(token))

        engine = self.policy.own_engine
        (done,) = engine.generate([Request(prompt, forced)], self.sampling, 0, chosen=chosen)
        _show_rest(part, pieces, show)
        parsed = protocol.parse(done.ids)
        if parsed.answer_text:
            self.turns += [asked, {"role": "assistant", "content": parsed.answer_text}]
        return Answer(
            parsed,
            len(done.ids),
            share_of(done.switch_probs) if done.switch_probs else None,
            forced,
            dialled=forced is not None and not asked_for,
        )

    @property
    def remembers(self) -> bool:
        """Whether the chat template writes more than the last message."""
        return self.policy.protocol.chat.keeps_turns

    def _dialled(self, prompt: tuple[int, ...]) -> Mode | None:
        """The mode that the dial takes, from P(think) at the decision."""
        if self.dial is None:
            return None
        cap = self.policy.config.protocol.judge_patience + PAST_THE_SWITCH
        short = Sampling(temperature=0.0, max_new_tokens=min(cap, self.sampling.max_new_tokens))
        (done,) = self.policy.own_engine.generate([Request(prompt, "think")], short, 0)
        return "think" if share_of(done.switch_probs) >= self.dial else "no_think"

    def _check_words(self, text: str) -> None:
        """Raises for a message that holds what the model's vocabulary has no token for."""
        tokenizer = self.policy.tokenizer
        unknown = tokenizer.unk_token_id
        if unknown is None or unknown not in self.policy.protocol.encode(text):
            return
        strange = next((word for word in text.split() if unknown in self.policy.protocol.encode(word)), text)
        raise UserError(f"the model's vocabulary cannot write {strange[:40]!r}; allowed: texts of its own kind")

    def _check_length(self, prompt: tuple[int, ...]) -> None:
        positions = getattr(self.policy.model.config.get_text_config(), "max_position_embeddings", None)
        needed = len(prompt) + self.sampling.max_new_tokens
        if positions and needed > positions:
            raise UserError(
                f"the conversation of {len(prompt)} tokens and an answer of {self.sampling.max_new_tokens} need "
                f"{needed} positions; allowed: {positions} (start anew, or --max-new-tokens)"
            )


def _check_encoding(message: str) -> None:
    """Raises for bytes that were no UTF-8, which arrive as lone surrogates."""
    if message != message.encode("utf-8", "replace").decode("utf-8"):
        raise UserError("the message is not UTF-8; allowed: a text that is")


def _show_rest(part: Part, pieces: Pieces, show: Shown) -> None:
    rest = pieces.rest() if part != "mark" and pieces.ids else ""
    if rest:
        show(part, rest)

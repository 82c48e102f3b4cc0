"""Decision protocols: a layout (rollout/layouts.py) bound to a tokenizer.

`DecisionProtocol` renders prompts (rollout/prompts.py), writes responses, says how a row is put into a mode, and reads
token ids back (rollout/parsing.py). A user may state the mode in the prompt by a manual tag (`/think`, `/no_think`, or
whatever is configured); the policy then still writes the switch itself.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.chat import Chat, Tokenizer, end_tokens
from rollout.decision import log_other
from rollout.layouts import LAYOUTS, TAG, Layout, ProtocolError, checked, layout, required_tokens, tags
from rollout.parsing import Marks, Parsed, find_switch, parse
from rollout.prompts import Prompts
from rollout.reader import Reader, ThoughtBudget
from rollout.types import MODES, Mode

__all__ = ["LAYOUTS", "DecisionProtocol", "Forcing", "Layout", "Parsed", "ProtocolError", "layout", "required_tokens"]


@dataclass(frozen=True)
class Forcing:
    """How to put one row into a mode: once `after` has been sampled (None: at once), write the tokens `write`.
    After `patience` tokens without it, `after` is written too. `banned` are the tokens that the first sampled token
    after `write` may not be."""

    write: tuple[int, ...]
    after: int | None = None
    patience: int = 0
    banned: tuple[int, ...] = ()


class DecisionProtocol:
    """A layout bound to a tokenizer: renders prompts, writes responses, forces modes, reads ids back."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        spec: Layout,
        *,
        system: str | None = None,
        judge_patience: int = 64,
        template_kwargs: dict[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        end_ids: Sequence[int] = (),
        control_tokens: bool = False,
        today: datetime.date | None = None,
        notes: Sequence[str] = (),
        closing_words: str = "",
    ) -> None:
        """Raises `ProtocolError` when a decision token is missing from the tokenizer, or two that must differ are one.
        `tags` states each mode in a prompt: text to append, or text with the field `{prompt}`. `end_ids` are the end
        tokens of the generation configuration. `control_tokens` allows control tokens in the texts of a prompt;
        `today` is the date that a template is told; `notes` say how the layout was found; `closing_words` stand before
        the tag that closes a thought whose budget is used up."""
        self.tokenizer, self.spec = tokenizer, checked(spec)
        self.judge_patience, self.notes, self.closing_words = judge_patience, tuple(notes), closing_words
        self.chat = Chat(tokenizer, template_kwargs, today)
        self.tags = dict(tags or {})
        self.prompts = Prompts(self.chat, self.spec, system=system, tags=self.tags, control_tokens=control_tokens)
        self.end_turn, self.end_ids = end_tokens(self.chat, end_ids)
        self.eos_id = self.end_turn[-1]
        single = self._single_tokens()
        self.switch_ids: dict[Mode, int] = {
            mode: single[self.spec.switch(mode)] for mode in MODES if self.spec.switch(mode)
        }
        self.marks = self._marks(single)
        self._check_switches()

    @property
    def other(self) -> Mode | None:
        """The mode that has no token of its own: any but the other mode's decides for it."""
        return self.spec.other

    @property
    def lone_token(self) -> int | None:
        """Where one mode is any other token: the token of the other mode, which the first of a response is or not."""
        return self.watch_ids[0] if self.other else None

    @property
    def watch_ids(self) -> tuple[int, ...]:
        """The tokens whose log-probabilities at the decision say the probability of each mode."""
        return tuple(self.switch_ids[mode] for mode in MODES if mode in self.switch_ids)

    def switch_probs(self, logprobs: Sequence[float]) -> dict[str, float]:
        """The probability of each mode, from the log-probabilities of `watch_ids` at the decision."""
        found: dict[str, float] = {mode: math.exp(value) for mode, value in zip(self.switch_ids, logprobs, strict=True)}
        if self.other:
            found[self.other] = math.exp(log_other(logprobs[0]))
        return {mode: found[mode] for mode in MODES}

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, no special tokens added."""
        return self.chat.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens kept."""
        return self.chat.decode(ids)

    def prompt_text(self, prompt: str, messages: Sequence[Mapping[str, Any]] = (), manual: Mode | None = None) -> str:
        """The prompt as text, ending where the response begins; see `Prompts.text`."""
        return self.prompts.text(prompt, messages, manual)

    def tagged(self, prompt: str, mode: Mode) -> str:
        """The prompt with this mode stated. Raises `ProtocolError` when no tag is configured for it."""
        return self.prompts.tagged(prompt, mode)

    def render(
        self, prompt: str, messages: Sequence[Mapping[str, Any]] = (), manual: Mode | None = None
    ) -> tuple[int, ...]:
        """The ids of `prompt_text`."""
        return self.prompts.ids(self.prompts.text(prompt, messages, manual))

    def response(self, mode: Mode, answer: str, thinking: str = "", judge: str = "") -> tuple[int, ...]:
        """The ids of a response, end of turn included. The switch is a token of its own, whatever follows it."""
        head, switch, rest = (self.encode(part) for part in self._response_parts(mode, answer, thinking, judge))
        return (*head, *switch, *rest, *self.end_turn)

    def _response_parts(self, mode: Mode, answer: str, thinking: str, judge: str) -> tuple[str, str, str]:
        """(what stands before the switch, the switch, the rest)."""
        spec = self.spec
        if mode == "think" and not thinking and (self.other == "think" or not spec.think.strip()):
            raise ProtocolError(
                f"{spec.name} spells no_think as an empty thought; allowed: a thinking text for mode think"
            )
        head = (f"{judge}\n{spec.judge_close}" if spec.judge_close else "") + spec.decision
        thought = thinking + spec.thought_end if mode == "think" else ""
        return head, spec.switch(mode), spec.after(mode) + thought + answer + spec.answer_end

    def forcing(self, mode: Mode) -> Forcing:
        """How an engine puts a row into this mode."""
        spec = self.spec
        if mode == self.other:
            return Forcing((), banned=tuple(dict.fromkeys((*self.watch_ids, *self.end_ids))))
        write = (*self.encode(spec.decision), self.switch_ids[mode])
        if spec.writes_after:
            write += self.encode(spec.after(mode))
        if spec.judge_close:
            return Forcing(write, after=self.marks.judge_close, patience=self.judge_patience)
        return Forcing(write)

    def reader(self) -> Reader:
        """What reads a response as it comes."""
        _, opened, behind = self.spec.prompt_suffix.rpartition(self.spec.opened or "\0")
        return Reader(self.marks, self.decode, len(self.encode(behind)) if opened else 0)

    def thought_budget(self, limit: int) -> ThoughtBudget:
        """What closes a thought of `limit` tokens in the response that it reads."""
        return ThoughtBudget(self.reader(), limit, self.encode(self.closing_words + self.spec.thought_end))

    def find_switch(self, completion_ids: Sequence[int]) -> tuple[int, Mode] | None:
        """Position and mode of the decision, or None."""
        return find_switch(completion_ids, self.marks)

    def parse(self, completion_ids: Sequence[int]) -> Parsed:
        """Read one response. A response that does not end with an end token was truncated."""
        return parse(tuple(completion_ids), self.marks, self.decode)

    def _single_tokens(self) -> dict[str, int]:
        single = {}
        for text in required_tokens(self.spec):
            ids = self.encode(text)
            if not self.chat.is_token(text):
                raise ProtocolError(
                    f"protocol {self.spec.name!r} needs {text!r} as one token, this tokenizer splits it into {len(ids)}"
                    " or does not know it; add it to the tokenizer (protocol.add_tokens: true in the cold start) or "
                    "choose another protocol"
                )
            single[text] = ids[0]
        return single

    def _marks(self, single: Mapping[str, int]) -> Marks:
        spec = self.spec

        def ids_of(text: str) -> tuple[int, ...]:
            return tuple(single[tag] for tag in tags(text))

        close = single[spec.think_close]
        texts = (spec.think_after, spec.no_think_after, spec.thought_end, spec.answer_end, spec.decision, spec.opened)
        text_tags = {token for text in texts for token in ids_of(text)} | {single.get(spec.judge_close, close)}
        switches = set(self.switch_ids.values())
        # A family may close a thought with tags that stand elsewhere in its layout (Seed-OSS).
        closing = {token for tag in tags(self.closing_words) for token in self.encode(tag)}
        decides = {token for token in switches if self.decode([token]).strip()} if not ids_of(spec.decision) else set()
        return Marks(
            modes={token: mode for mode, token in self.switch_ids.items()},
            other=self.other,
            at_start=spec.at_start,
            decision=next(iter(ids_of(spec.decision)), None),
            judge_close=single.get(spec.judge_close),
            after={mode: self._worded(spec.after(mode)) for mode in MODES},
            after_tags={mode: ids_of(spec.after(mode)) for mode in MODES},
            think_close=close,
            answer_open=ids_of(spec.thought_end)[1:],
            answer_close=ids_of(spec.answer_end),
            again=frozenset(decides | set(ids_of(spec.decision)) | set(ids_of(spec.opened))) - {close} - closing,
            text_tags=frozenset(text_tags) - (switches - {close}) - closing,
            ends=frozenset(self.end_ids),
        )

    def _worded(self, after: str) -> tuple[int, ...]:
        """The ids of what follows a switch if it holds words; tags and white space are read one by one."""
        return self.encode(after) if TAG.sub("", after).strip() else ()

    def _check_switches(self) -> None:
        """The switches differ from each other and from every end token."""
        if len(set(self.watch_ids)) < len(self.watch_ids):
            raise ProtocolError(
                f"protocol.think {self.spec.think!r} and protocol.no_think {self.spec.no_think!r} are one token, "
                f"{self.watch_ids[0]}; allowed: two different tokens"
            )
        ends = {*self.end_ids} & {*self.watch_ids, self.marks.think_close}
        if ends:
            token = next(iter(ends))
            raise ProtocolError(
                f"the decision token {self.decode([token])!r} of protocol {self.spec.name!r} is an end token of this "
                "model; allowed: switches and tags that do not end a turn"
            )

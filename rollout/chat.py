"""A tokenizer's chat template as this project calls it: its arguments, its date, its ends of turn.

A template is code of its own: what it raises becomes one line. One that prints today's date gets the date of the run's
start, so that every prompt of a run is the same whenever it is rendered.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any, Protocol

from rollout.layouts import ProtocolError

Turn = Mapping[str, Any]
DIRECTIVES = "YmdbBaAyjeHMS"
ASKED, ASKED_AGAIN, ANSWERED = "What is 7 times 6?", "And 8 times 6?", "It is 42."


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that protocols use."""

    chat_template: Any
    eos_token_id: Any

    def __call__(self, text: str, *, add_special_tokens: bool) -> Any: ...
    def decode(self, token_ids: Any, *, skip_special_tokens: bool) -> Any: ...
    def convert_tokens_to_ids(self, tokens: str) -> Any: ...
    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...


def user(text: str) -> Turn:
    """A turn of the user."""
    return {"role": "user", "content": text}


def assistant(text: str, **fields: Any) -> Turn:
    """A turn of the model."""
    return {"role": "assistant", "content": text, **fields}


class Chat:
    """The chat template of a tokenizer with the arguments of a run."""

    def __init__(
        self, tokenizer: Tokenizer, arguments: Mapping[str, Any] | None = None, today: datetime.date | None = None
    ) -> None:
        """`today` is the date that the template is told (default: today's)."""
        self.tokenizer, self.arguments = tokenizer, dict(arguments or {})
        self.today = today or datetime.date.today()

    def with_arguments(self, arguments: Mapping[str, Any]) -> Chat:
        """The same template with these arguments added."""
        return Chat(self.tokenizer, {**self.arguments, **arguments}, self.today)

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        """The conversation as text. Raises `ProtocolError` with the template's own complaint."""
        turns = [_in_parts(turn) for turn in turns] if self.wants_parts else list(turns)
        return self._render(turns, generation)

    def rendered(self, turns: Sequence[Turn], generation: bool = False) -> str:
        """`render`, or "" where the template refuses."""
        try:
            return self.render(turns, generation)
        except ProtocolError:
            return ""

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, no special tokens added."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def is_token(self, text: str) -> bool:
        """Whether the text is one token, and not the one for unknown text."""
        ids = self.encode(text)
        return len(ids) == 1 and ids[0] != getattr(self.tokenizer, "unk_token_id", None)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens kept."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False) if ids else ""

    @cached_property
    def wants_parts(self) -> bool:
        """Whether the template drops a text and writes it when it comes as a list of content parts."""
        plain, parts = [user(ASKED)], [_in_parts(user(ASKED))]
        return ASKED not in self._attempt(plain) and ASKED in self._attempt(parts)

    @cached_property
    def prints_date(self) -> bool:
        """Whether the prompt depends on the day."""
        other = Chat(self.tokenizer, self.arguments, datetime.date(1999, 12, 31))
        return self.rendered([user(ASKED)], True) != other.rendered([user(ASKED)], True)

    @cached_property
    def keeps_turns(self) -> bool:
        """Whether the template writes more of a conversation than its last message."""
        talk = [user(ASKED), assistant(ANSWERED), user(ASKED_AGAIN)]
        return self.tokenizer.chat_template is not None and ASKED in self.rendered(talk, True)

    @cached_property
    def turn_end(self) -> str:
        """What the template writes right after an assistant's text, up to the text of the next turn; "" if unknown."""
        talk = [user(ASKED), assistant(ANSWERED)]
        between = self.rendered([*talk, user(ASKED_AGAIN)])
        if ANSWERED in between and ASKED_AGAIN in between:
            return between.rpartition(ANSWERED)[2].partition(ASKED_AGAIN)[0]
        return self.rendered(talk).rpartition(ANSWERED)[2]

    @cached_property
    def _dated_template(self) -> str | None:
        """The template with the run's date in place of the clock, or None: the tokenizer's own as it is."""
        own = self.tokenizer.chat_template
        if not isinstance(own, str) or "strftime_now" not in own:
            return None
        written = "".join(f' | replace("%{letter}", "{self.today.strftime("%" + letter)}")' for letter in DIRECTIVES)
        return f"{{%- macro strftime_now(format) -%}}{{{{- format{written} -}}}}{{%- endmacro -%}}" + own

    def _attempt(self, turns: Sequence[Turn]) -> str:
        try:
            return self._render(turns, True)
        except ProtocolError:
            return ""

    def _render(self, turns: Sequence[Turn], generation: bool) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                list(turns),
                chat_template=self._dated_template,
                tokenize=False,
                add_generation_prompt=generation,
                **self.arguments,
            )
        except Exception as error:  # a template is code that comes with a model: it raises what it likes
            told = " ".join(str(error).split()) or "no reason given"
            raise ProtocolError(
                f"the chat template refuses the conversation: {told} ({type(error).__name__})"
            ) from error


def _in_parts(turn: Turn) -> Turn:
    content = turn.get("content")
    return {**turn, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else turn


def end_tokens(chat: Chat, known: Sequence[int] = ()) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(ids that a response ends with, every end token): the tokenizer's, the `known` ones (the generation
    configuration's), and the one that the template writes after an assistant's turn.

    The template's is in the first run of special tokens that it writes there: the first known end of it, after tags
    that close an answer, or else its first token. Raises `ProtocolError` when there is none at all.
    """
    eos = chat.tokenizer.eos_token_id
    ends = [*([eos] if eos is not None else []), *known]
    written = chat.encode(chat.turn_end) if chat.tokenizer.chat_template is not None else ()
    special = set(getattr(chat.tokenizer, "all_special_ids", ())) | set(
        getattr(chat.tokenizer, "added_tokens_decoder", ())
    )
    first = next((k for k, token in enumerate(written) if token in special or token in ends), len(written))
    run = list(takewhile(lambda token: token in special or token in ends, written[first:]))
    end = next((token for token in run if token in ends), next(iter(run), ends[0] if ends else None))
    if end is None:
        raise ProtocolError(
            "the tokenizer has no end token, the generation configuration names none, and the chat template writes "
            "none after a turn; allowed: a tokenizer with an eos_token"
        )
    return (end,), tuple(dict.fromkeys([end, *ends]))

"""A response read token by token, while it is written: which part each token belongs to, and when a thought has used up
its budget. `rollout/parsing.py` is what judges a whole response; this shows it as it comes.

A budget counts the tokens after the tag that opens the thought, as vLLM's `thinking_token_budget` does: a switch that
is white space behind that tag (Qwen3's line break) counts, and so does what the prompt writes behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from rollout.parsing import Ids, Marks
from rollout.types import Mode

Part = Literal["judge", "thinking", "answer", "mark"]


class Reader:
    """Says of each token which part it is: text of the judge, of the thought or of the answer, or a mark between them.
    `thought` is the number of tokens of an open thought so far, None where none is open."""

    def __init__(self, marks: Marks, decode: Callable[[Sequence[int]], str], opened: int = 0) -> None:
        """`opened`: how many tokens of the prompt stand behind the tag that opens a thought."""
        self.marks, self.decode = marks, decode
        self.mode: Mode | None = None
        self.thought: int | None = None
        self.part: Part = "judge"
        self._opened, self._first = opened, True
        self._decision: bool | None = False  # the decision's tag came last; None: it came without a switch behind it
        self._exact: list[int] = []
        self._tags: list[int] = []

    def push(self, token: int) -> Part:
        """Read the next token."""
        first, self._first = self._first, False
        if token in self.marks.ends:
            self.thought, self._decision = None, None
            return "mark"
        if self.mode is None:
            return self._undecided(token, first)
        if self._exact or self._tags:
            return self._between(token)
        if self.part == "thinking":
            return self._thinking(token)
        if self.part == "answer" and self.marks.answer_close and token == self.marks.answer_close[0]:
            self.part = "mark"
        return self.part

    @property
    def over(self) -> bool:
        """Whether no thought can come any more."""
        if self.mode is None:
            return self._decision is None or (self.marks.at_start and not self._first)
        return self.mode == "no_think" or self.part == "answer" or (self.part == "thinking" and self.thought is None)

    def waits_for(self) -> tuple[int | None, Ids]:
        """(tokens after which to look again at the latest, tokens at which to look again)."""
        marks = self.marks
        if self.thought is not None:
            return None, (marks.think_close,)
        if self.mode or marks.at_start or self._decision:
            return 1, ()
        return None, tuple(marks.modes) if marks.decision is None else (marks.decision,)

    def _undecided(self, token: int, first: bool) -> Part:
        marks = self.marks
        mode = marks.modes.get(token)
        if marks.at_start:
            mode = mode or marks.other if first else None
        elif marks.decision is not None:
            mode = mode if self._decision else None
            self._decision = None if self._decision in (True, None) else token == marks.decision
        if mode is None:
            known = token in (marks.judge_close, marks.decision)
            if token == marks.judge_close:
                self.part = "mark"
            return "mark" if known else self.part
        self.mode = mode
        self._exact, self._tags = list(marks.after[mode]), list(marks.after_tags[mode])
        if mode == marks.other:
            return self._text(token)
        if not self._exact and not self._tags:
            self._open(self._opened + (not self._decoded(token)))
        return "mark"

    def _between(self, token: int) -> Part:
        """What follows the switch: given words, or tags with white space around them. Other text begins the part."""
        if self._exact and token == self._exact[0]:
            self._exact = self._exact[1:]
            if not self._exact:
                self._tags = []
                self._open(0)
            return "mark"
        self._exact = []
        if self._tags and (token == self._tags[0] or not self._decoded(token)):
            self._tags = self._tags[token == self._tags[0] :]
            if not self._tags:
                self._open(0)
            return "mark"
        return self._text(token)

    def _text(self, token: int) -> Part:
        """A token that begins the text at once."""
        self._exact, self._tags = [], []
        self._open(self._opened)
        return self._thinking(token) if self.part == "thinking" else self.part

    def _open(self, count: int) -> None:
        """The thought or the answer begins."""
        if self.part == "thinking" or self.mode == "no_think":
            self.part = "answer"
        else:
            self.part, self.thought = "thinking", count

    def _thinking(self, token: int) -> Part:
        if token != self.marks.think_close:
            self.thought = (self.thought or 0) + 1
            return "thinking"
        self.thought, self._tags = None, list(self.marks.answer_open)
        if not self._tags:
            self.part = "answer"
        return "mark"

    def _decoded(self, token: int) -> str:
        return self.decode([token]).strip()


class ThoughtBudget:
    """Closes a thought of `limit` tokens by writing `closing`, once."""

    def __init__(self, reader: Reader, limit: int, closing: Ids) -> None:
        self.reader, self.limit, self.closing = reader, limit, closing

    def push(self, token: int) -> Ids:
        """Read a token; what must be written now, () for nothing."""
        self.reader.push(token)
        return self.due()

    def due(self) -> Ids:
        """What must be written now."""
        thought = self.reader.thought
        if thought is None or thought < self.limit:
            return ()
        written, self.closing = self.closing, ()
        return written

    def ahead(self) -> tuple[int | None, Ids]:
        """(most tokens, stops) of what may be sampled before the next look; the thought may be over: (None, ())."""
        if not self.closing or self.reader.over:
            return None, ()
        most, stops = self.reader.waits_for()
        return (most if self.reader.thought is None else self.limit - self.reader.thought), stops

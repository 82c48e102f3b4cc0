"""A conversation on a terminal, or in a file: the parts of each answer as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rl.serving.chat import Answer
from rl.serving.terminal import harmless
from rollout.reader import Part
from rollout.types import Status

LABELS: dict[str, str] = {"judge": "judge", "thinking": "thinking", "answer": "answer"}
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Screen:
    """Prints pieces of text, each part under its name; nothing that a model writes is a command to the terminal."""

    def __init__(self, out: TextIO) -> None:
        self.out, self.colours = out, out.isatty()
        self.part: Part | None = None
        self.begun = False

    def show(self, part: Part, text: str) -> None:
        """One piece."""
        if part != self.part:
            self.finish()
            self.part, self.begun = part, False
        if not self.begun:
            text = text.lstrip()
            if not text:
                return
            self.begun = True
            self._write(f"{LABELS[part]:>8}: ")
        dim = self.colours and part != "answer"
        self._write(f"{DIM}{harmless(text)}{PLAIN}" if dim else harmless(text))

    def finish(self) -> None:
        """End the line of a part."""
        if self.begun:
            self._write("\n")
        self.part, self.begun = None, False

    def tell(self, answer: Answer, limit: int) -> None:
        """What is to be said of a whole answer."""
        self.finish()
        if answer.parsed.status != Status.OK:
            reason = (
                f"cut after {limit} tokens" if answer.parsed.truncated else f"not well-formed: {answer.parsed.status}"
            )
            self._write(f"          ({reason})\n")
        chance = "" if answer.p_think is None else f", P(think) {answer.p_think:.3f}"
        asked = "" if not answer.forced else ", by the dial" if answer.dialled else ", as asked"
        self._write(f"          [{answer.parsed.mode or 'no decision'}{asked}{chance}, {answer.tokens} tokens]\n")

    def line(self, text: str) -> None:
        """A line of the program's own."""
        self._write(harmless(text) + "\n")

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def messages(source: TextIO, screen: Screen, prompt: str = "> ") -> Iterator[str]:
    """What the user writes: a line, or the lines between two lines of three double quotes. Ends with the input."""
    lines: list[str] | None = None
    while True:
        if source.isatty():
            screen._write(prompt if lines is None else "… ")
        line = source.readline()
        if not line:
            if lines:
                yield "\n".join(lines)
            return
        line = line.rstrip("\n")
        if line.strip() == '"""':
            if lines is None:
                lines = []
                continue
            line, lines = "\n".join(lines), None
        elif lines is not None:
            lines.append(line)
            continue
        if line.strip():
            yield line

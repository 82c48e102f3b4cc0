"""Worked steps of `reasoning-gym` tasks: thinking text made from a problem's entry and checked against its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Entry = Mapping[str, Any]


def worked_steps(task: str, entry: Entry) -> str | None:
    """The thinking text of a problem; None for a task without steps of ours, and where they miss its answer."""
    make = STEPS.get(task)
    made = make(entry) if make else None
    if made is None or made[1] != entry["answer"].strip():
        return None
    return made[0]


def running_sum(entry: Entry) -> tuple[str, str] | None:
    """(steps, result) of a chain of sums: one line a sign, each with the sum so far.

    >>> running_sum({"metadata": {"expression": "4 + 7 - 3"}})
    ('Step by step:\\n4 + 7 = 11\\n11 - 3 = 8', '8')
    """
    words = str(entry["metadata"]["expression"]).split()
    if not words or len(words) % 2 == 0 or not all(sign in "+-" for sign in words[1::2]):
        return None
    try:
        first, *numbers = map(int, words[::2])
    except ValueError:
        return None
    lines, total = ["Step by step:"], first
    for sign, number in zip(words[1::2], numbers, strict=True):
        after = total + number if sign == "+" else total - number
        lines.append(f"{total} {sign} {number} = {after}")
        total = after
    return "\n".join(lines), str(total)


def statements_in_turn(entry: Entry) -> tuple[str, str] | None:
    """(steps, name) of a search for who does what: one line a statement, up to the one that the question asks for.

    >>> metadata = {"question": "Who hates tea? Reply only with a name."}
    >>> statements_in_turn({"question": "Ann hates rain. Bo hates tea. \\n...", "metadata": metadata})
    ('Step by step:\\nAnn hates rain: no\\nBo hates tea: yes', 'Bo')
    """
    asked = str(entry["metadata"]["question"]).partition("?")[0]
    if not asked.startswith("Who "):
        return None
    lines = ["Step by step:"]
    for statement in str(entry["question"]).partition("\n")[0].strip().removesuffix(".").split(". "):
        name, _, action = statement.partition(" ")
        if action == asked.removeprefix("Who "):
            return "\n".join([*lines, f"{statement}: yes"]), name
        lines.append(f"{statement}: no")
    return None


STEPS: dict[str, Callable[[Entry], tuple[str, str] | None]] = {
    "chain_sum": running_sum,
    "needle_haystack": statements_in_turn,
}

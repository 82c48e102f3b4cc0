"""The gold answer and the worked thought in texts: a solution, or the reply of a model."""

from __future__ import annotations

import re

from rl.data.records import Record

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{|[^\s{])")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
LONGEST_BARE = 200


def last_boxed(text: str) -> str:
    """What stands in the last `\\boxed{…}` (or `\\boxed 7`) whose braces close; empty without one.

    >>> last_boxed(r"so \\boxed{1}, no: \\boxed{\\frac{1}{2}}")
    '\\\\frac{1}{2}'
    """
    for match in reversed(list(_BOX.finditer(text))):
        if match[1] != "{":
            return match[1]
        depth = 1
        for end in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                return text[match.end() : end].strip()
    return ""


def split_thought(response: str) -> tuple[str, str]:
    """(thought, final answer) of a response; the thought is empty without `</think>`, the answer where the thought is
    never closed."""
    before, closed, after = response.partition("</think>")
    if closed:
        return (before.partition("<think>")[2] or before).strip(), after.strip()
    return ("", response.strip()) if "<think>" not in response else (response.partition("<think>")[2].strip(), "")


def thinking_of(response: str) -> str:
    """The text between `<think>` and `</think>`; the whole response without them."""
    thought, final = split_thought(response)
    return thought or final


def gold_of_reply(record: Record, reply: str) -> tuple[str, str]:
    """(gold, worked thought) of an assistant's reply: the last box, `<answer>`, what follows `####`, or the reply
    itself where it is one short line, all of them after the thought. The thought is empty where the reply shows none.
    Raises `DataError` when there is no gold."""
    thought, final = split_thought(reply)
    tags = _TAG.findall(final)
    marked = last_boxed(final) or (tags[-1].strip() if tags else "") or final.rpartition("####")[2].strip()
    if "\n" in marked or len(marked) > LONGEST_BARE or not marked:
        raise record.error(
            "its reply marks no answer; allowed: a column 'answer' (data.columns), or a reply with \\boxed{…}, "
            "<answer>…</answer>, '#### …', or of one short line"
        )
    worked = thought or (final.partition("####")[0].strip() if marked != final else "")
    return marked, worked

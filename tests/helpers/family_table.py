"""The table of docs/own_model.md: `python tests/helpers/family_table.py` prints it."""

from __future__ import annotations

from families import SHIPPED, STAND_INS, family_tokenizer

from rollout.chat import Chat
from rollout.families import find_protocol
from rollout.layouts import layout
from rollout.protocol import DecisionProtocol, ProtocolError

# Families whose layout is written down: what is chosen by its name.
BY_NAME = {
    "DeepSeek-R1 distills": "adaptthink",
    "DeepSeek R1-0528": "adaptthink",
    "Qwen3-Thinking-2507, QwQ": "adaptthink",
    "Gemma 4 (at release)": "gemma4",
    "openPangu-Embedded": "openpangu",
}


def family_protocol(family: str) -> DecisionProtocol:
    """The protocol of a family: found, or by its name. Raises `ProtocolError` for families that have none."""
    tokenizer = family_tokenizer(family)
    if family in BY_NAME:
        return DecisionProtocol(tokenizer, layout(BY_NAME[family]))
    found = find_protocol(Chat(tokenizer))
    return DecisionProtocol(tokenizer, found.spec, template_kwargs=dict(found.arguments), notes=found.lines)


def code(text: str) -> str:
    """Text in a table's code span; ⏎ is a line break."""
    return f"`{text.replace('|', chr(92) + '|').replace(chr(10), '⏎')}`"


def row(family: str) -> str:
    """One line of the table."""
    name = family if family in SHIPPED else f"{family} ¹"
    try:
        protocol = family_protocol(family)
    except ProtocolError as error:
        return f"| {name} | refused | {' '.join(str(error).split()).replace('|', chr(92) + '|')} | | | |"
    spec = protocol.spec
    prompt = protocol.prompt_text("Q")[-24:]
    switches = [code(spec.switch(mode)) if spec.switch(mode) else "any other" for mode in ("think", "no_think")]
    end = code(protocol.decode(protocol.end_turn))
    how = code(BY_NAME.get(family, "auto"))
    notes = [note.removeprefix("protocol auto: ") for note in protocol.notes if "stated" in note or "arguments" in note]
    told = f" ({'; '.join(notes)})" if notes else ""
    return f"| {name} | {how}{told} | {code('…' + prompt)} | {switches[0]} | {switches[1]} | {end} |"


def table() -> str:
    """The table, families in alphabetical order."""
    lines = [
        "| family | `protocol.name` | the prompt ends | think | no_think | end of turn |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [row(family) for family in sorted([*SHIPPED, *STAND_INS], key=str.lower)]) + "\n"


if __name__ == "__main__":
    print(table(), end="")

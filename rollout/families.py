"""The decision of a hybrid model, found from its chat template: `protocol: {name: auto}`.

The template is rendered with thinking on, off, and as it comes. Where on and off are equal it has no switch by that
argument. What each mode adds to the conversation is the header of the answer and the mode's prefix. Where "on" adds
nothing of its own (Qwen3), its prefix is the common start of two final assistant turns whose thoughts differ. The
decision prompt ends with the longest common token prefix of both; the next token of each is its switch, and a mode that
has none is "any other token".

Where on and off part before the answer (GLM-4.5, Gemma 4, SmolLM3) the mode is stated in the prompt: the default prompt
is taken, which still states one, and that is said. A template of which both prefixes cannot be had is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollout.chat import ANSWERED, ASKED, Chat, assistant, user
from rollout.layouts import Layout, ProtocolError, layout, tags
from rollout.switches import (
    EFFORTS,
    FIELDS,
    SWITCHES,
    THOUGHTS,
    Rendering,
    Switch,
    found_lines,
    no_switch,
    rendering,
)


@dataclass(frozen=True)
class Found:
    """A layout with the template arguments it was found with, and what to tell about it, a line each."""

    spec: Layout
    arguments: Mapping[str, Any]
    lines: tuple[str, ...]


def find_protocol(chat: Chat) -> Found:
    """The protocol of this chat template. Raises `ProtocolError` with the reason where there is none to be had."""
    if chat.tokenizer.chat_template is None:
        raise ProtocolError(
            "protocol.name is 'auto', but the tokenizer has no chat template; allowed: kat, qwen3 or one_token, or a "
            "template (model.chat_template: FILE)"
        )
    for switch in SWITCHES:
        modes = _differing(chat, switch)
        if modes:
            return _protocol_of(chat, switch, *modes)
    plain = rendering(chat, {})
    if plain.added.rstrip().endswith("<judge>"):
        return Found(layout("kat"), {}, ("protocol auto: the template's prompts end with <judge>; the layout is kat",))
    raise ProtocolError(no_switch(chat, plain))


def _differing(chat: Chat, switch: Switch) -> tuple[Rendering, Rendering] | None:
    """(on, off), or None where the template does not know this switch."""
    try:
        on = rendering(chat, switch.on, switch.on_text)
        off = rendering(chat, switch.off, switch.off_text)
    except ProtocolError:
        if switch is SWITCHES[0]:
            raise  # a template that fails on any conversation fails on this one
        return None
    same = on.added == off.added if switch.on_text else on == off
    return None if same else (on, off)


def _protocol_of(chat: Chat, switch: Switch, on: Rendering, off: Rendering) -> Found:
    """The layout of a template that knows a switch."""
    arguments: dict[str, Any] = dict(switch.auto or {})
    stated = ""
    if on.asked != off.asked and not switch.on_text:
        level = _with_level(chat, switch)
        if level is not None:
            arguments, (on, off) = level
    base = rendering(chat, arguments)
    if on.asked != off.asked and not switch.on_text:
        stated = "off" if base.asked == off.asked else "on" if base.asked == on.asked else "neither"
    turns = chat.with_arguments({**arguments, **switch.on})
    shown = _shown(turns, on)
    spec = _layout(chat, base, _full_on(switch, on, off, shown), off, shown)
    gap = _gap(chat.with_arguments({**arguments, **switch.off}), off)
    if off.added.endswith(spec.no_think + spec.no_think_after):
        spec = replace(spec, no_think_after=spec.no_think_after + gap)
    lines = found_lines(chat, switch, spec, base, on, off, stated, arguments)
    return Found(spec, arguments, lines)


def _with_level(chat: Chat, switch: Switch) -> tuple[dict[str, Any], tuple[Rendering, Rendering]] | None:
    """A level of effort at which on and off share their prompt (Qwen3.8: medium writes no sentence)."""
    for name in EFFORTS:
        level = {name: "medium"}
        try:
            on, off = (rendering(chat, {**level, **mode}) for mode in (switch.on, switch.off))
        except ProtocolError:
            continue
        if on.asked == off.asked and on.added != off.added:
            return level, (on, off)
    return None


@dataclass(frozen=True)
class Shown:
    """What the template writes around a thought in a final turn: before it (from the end of the conversation on),
    between it and the answer, and after the answer."""

    before: str
    between: str
    behind: str


def _shown(chat: Chat, on: Rendering) -> Shown | None:
    """From two final assistant turns whose thoughts differ, or None where thoughts are not shown. A template that shows
    them beside tool calls only (Gemma 4) is asked with one."""
    call = {"tool_calls": [{"type": "function", "id": "call_1", "function": {"name": "add", "arguments": {}}}]}
    for extra in ({}, call):
        for name in FIELDS:
            texts = [
                chat.rendered([user(ASKED), assistant(ANSWERED, **{name: thought}, **extra)]) for thought in THOUGHTS
            ]
            if not all(
                thought in text and text.startswith(on.asked) for text, thought in zip(texts, THOUGHTS, strict=True)
            ):
                continue
            before = texts[0][: _common(*texts)]
            rest = texts[0].partition(THOUGHTS[0])[2]
            if ANSWERED in rest and not extra:
                between, _, behind = rest.partition(ANSWERED)
            else:
                found = tags(rest)
                if not found:
                    continue
                between, behind = rest[: rest.index(found[0]) + len(found[0])], ""
            return Shown(before[len(on.asked) :], between, behind)
    return None


def _full_on(switch: Switch, on: Rendering, off: Rendering, shown: Shown | None) -> str:
    """All that stands between the conversation and a thought. Raises `ProtocolError` where nothing says it."""
    if shown and shown.before.startswith(on.added):
        return shown.before
    if not off.added.startswith(on.added):
        return on.added
    empty = off.added[len(on.added) :]
    found = tags(empty)
    if len(found) < 2 or on.added == off.added:
        raise ProtocolError(
            f"the chat template's switch {switch.name!r} changes the prompt and not the answer: it shows neither how a "
            "thought begins nor how an answer without one does, so there is no decision in the response to train; "
            "allowed: a template that does (model.chat_template: FILE), or protocol.name: prefixes with think, "
            "no_think and thought_end" + (" (gemma4 is written down by that name)" if "<|turn>" in on.added else "")
        )
    # Nothing but the empty thought of "off" shows the tags: a thought stands in the middle of its blank.
    blank = empty.partition(found[0])[2].partition(found[1])[0]
    return on.added + empty.partition(found[0])[0] + found[0] + blank[: len(blank) // 2]


def _layout(chat: Chat, base: Rendering, on: str, off: Rendering, shown: Shown | None) -> Layout:
    """The layout whose modes begin with these texts."""
    on_ids, off_ids = chat.encode(on), chat.encode(off.added)
    common = _common(on_ids, off_ids)
    prefix = chat.decode(on_ids[:common])
    if not on.startswith(prefix) or not off.added.startswith(prefix):
        raise ProtocolError(
            f"the tokenizer does not give back what it is given: {on!r} comes back as {chat.decode(on_ids)!r}; allowed "
            "for protocol auto: a tokenizer that keeps white space and special tokens"
        )
    think, no_think = chat.decode(on_ids[common : common + 1]), chat.decode(off_ids[common : common + 1])
    cut = base.added[len(prefix) :] if base.added.startswith(prefix) else ""
    suffix = prefix[len(base.added) :] if prefix.startswith(base.added) else ""
    if not base.added.startswith(prefix) and not prefix.startswith(base.added):
        raise ProtocolError(
            f"the default prompt ends {base.added!r}, which is neither thinking on ({on!r}) nor off ({off.added!r}); "
            "allowed: protocol.template_kwargs that ask for one of them"
        )
    opened = next((tag for tag in tags(prefix)[-1:] if prefix.rstrip().endswith(tag)), "")
    end = _thought_end(off.added[len(prefix) :], shown)
    return Layout(
        "prefixes",
        prompt_cut=cut,
        prompt_suffix=suffix,
        think=think,
        no_think=no_think,
        think_after=on[len(prefix + think) :],
        no_think_after=off.added[len(prefix + no_think) :],
        thought_end=end,
        answer_end=_answer_end(chat, end, shown),
        opened=opened,
        at_start=True,
    )


def _common(first: Sequence[Any], second: Sequence[Any]) -> int:
    """The number of places at the beginning in which two sequences agree."""
    differs = (k for k, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(differs, min(len(first), len(second)))


def _thought_end(off: str, shown: Shown | None) -> str:
    """What stands between a thought and its answer: as the template shows it, or as it closes an empty thought."""
    if shown and tags(shown.between):
        return shown.between
    found = tags(off)
    if not found:
        raise ProtocolError(
            "the chat template shows nowhere how a thought ends; allowed: protocol.name: prefixes with "
            "protocol.thought_end"
        )
    close = found[-1]
    before, _, behind = off.rpartition(close)
    blank = before[len(before.rstrip("\n")) :] if len(found) < 3 else ""
    return blank[(len(blank) + 1) // 2 :] + close + behind


def _answer_end(chat: Chat, thought_end: str, shown: Shown | None) -> str:
    """The tags that close an answer: those that the template opens before it, and those before its end of turn."""
    behind = shown.behind if shown and shown.behind else chat.turn_end
    ends = chat.encode(behind)
    known = next((k for k, token in enumerate(ends) if token == chat.tokenizer.eos_token_id), None)
    closing = chat.decode(ends[:known]) if known else ""
    return closing if closing and tags(closing) and not _ends_turn(closing, thought_end) else ""


def _ends_turn(closing: str, thought_end: str) -> bool:
    """Whether what stands before the tokenizer's end token ends the turn by itself: nothing of it was opened."""
    return not any(tag.startswith(("</", "<|END")) for tag in tags(closing)) and not tags(thought_end)[1:]


def _gap(chat: Chat, off: Rendering) -> str:
    """The white space that the template puts between an empty thought and the answer of a final turn."""
    final = chat.rendered([user(ASKED), assistant(ANSWERED)])
    begin = off.asked + off.added
    between = final[len(begin) :].partition(ANSWERED)[0] if final.startswith(begin) and ANSWERED in final else ""
    return between if not between.strip() else ""

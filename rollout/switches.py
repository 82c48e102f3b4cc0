"""The ways to ask a chat template for a mode, what it writes for each, and what to tell about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.chat import ANSWERED, ASKED, ASKED_AGAIN, Chat, assistant, user
from rollout.layouts import Layout, tags

THOUGHTS = ("Six sevens are forty-two.", "Count in sevens.")
FIELDS = ("reasoning_content", "reasoning", "thinking")
EFFORTS = ("reasoning_effort", "thinking_effort", "reasoning_strength")


@dataclass(frozen=True)
class Switch:
    """One way to ask a template for a mode: arguments, and text after the user's; `auto` is where it has a third value
    that leaves the choice to the model."""

    name: str
    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    auto: Mapping[str, Any] | None = None
    on_text: str = ""
    off_text: str = ""


SWITCHES = (
    Switch("enable_thinking", {"enable_thinking": True}, {"enable_thinking": False}),
    Switch("thinking", {"thinking": True}, {"thinking": False}),
    Switch(
        "thinking_mode",
        {"thinking_mode": "enabled"},
        {"thinking_mode": "disabled"},
        {"thinking_mode": "adaptive"},
    ),
    Switch("thinking_budget", {}, {"thinking_budget": 0}),
    Switch("/think and /no_think in the user's text", on_text=" /think", off_text=" /no_think"),
)


@dataclass(frozen=True)
class Rendering:
    """A conversation of one question as the template writes it, and what it adds to ask for an answer."""

    asked: str
    added: str


def rendering(chat: Chat, arguments: Mapping[str, Any], text: str = "") -> Rendering:
    """The conversation ends where the template asks for an answer; for one that writes an end of text without being
    asked (Phi-3), with the user's text. Raises `ProtocolError` where the template does."""
    told = chat.with_arguments(arguments)
    asked, whole = (told.render([user(ASKED + text)], generation) for generation in (False, True))
    if not whole.startswith(asked):
        begin, found, _ = whole.partition(ASKED + text)
        asked = begin + found
    return Rendering(asked, whole[len(asked) :])


def history(chat: Chat) -> str:
    """What becomes of an earlier turn's thought."""
    for name in FIELDS:
        text = chat.rendered([user(ASKED), assistant(ANSWERED, **{name: THOUGHTS[0]}), user(ASKED_AGAIN)])
        if THOUGHTS[0] in text:
            return "kept"
    between = text.partition(ASKED)[2].partition(ANSWERED)[0]
    closed = [tag for tag in tags(between) if "think" in tag]
    return f"dropped, {''.join(closed)} stands before the answer" if closed else "dropped"


def found_lines(
    chat: Chat,
    switch: Switch,
    spec: Layout,
    base: Rendering,
    on: Rendering,
    off: Rendering,
    stated: str,
    arguments: Mapping[str, Any],
) -> tuple[str, ...]:
    plain = rendering(chat, {})
    default = {off.added: "off", on.added: "on"}.get(plain.added, "the model's choice")
    prompt = (base.asked + base.added).removesuffix(spec.prompt_cut) + spec.prompt_suffix
    names: Iterable[tuple[str, str]] = (("think", spec.think), ("no_think", spec.no_think))
    switches = ", ".join(f"{mode} {text!r}" if text else f"{mode} any other token" for mode, text in names)
    lines = [
        f"protocol auto: the template's switch is {switch.name} (default: {default})",
        f"protocol auto: the decision prompt ends {prompt[-40:]!r}; {switches}; a thought ends {spec.thought_end!r}",
        f"protocol auto: earlier thoughts are {history(chat)}",
    ]
    if arguments:
        lines.append(f"protocol auto: template arguments {dict(arguments)}")
    if stated:
        lines.append(f"protocol auto: the mode is stated in the prompt too; the prompt used here states: {stated}")
    return tuple(lines)


def no_switch(chat: Chat, plain: Rendering) -> str:
    """Why there is nothing to find, and the way on."""
    names = ", ".join(switch.name for switch in SWITCHES)
    told = f"this template has no switch by {names}: on and off give equal prompts"
    for name in EFFORTS:
        levels = {chat.with_arguments({name: level}).rendered([user(ASKED)], True) for level in ("low", "high")}
        if len(levels) > 1:
            return (
                f"{told}; it has levels of effort ({name}), and none of them is off; allowed: another model, or a "
                "protocol by its name and tokens (kat, one_token)"
            )
    if plain.added.rstrip().endswith("think>"):
        return (
            f"{told}; its prompts open a thought; allowed: protocol.name: adaptthink, in which closing the thought at "
            "once is no_think (the cold start teaches it)"
        )
    if all(len(chat.encode(token)) == 1 for token in ("[unused16]", "[unused17]")):
        return f"{told}; allowed: protocol.name: openpangu (its tokens [unused16] and [unused17] are there)"
    known = "adaptthink, " if len(chat.encode("</think>")) == 1 else ""
    return f"{told}; allowed: protocol.name: {known}kat or one_token, which a cold start teaches"

"""Layouts: how a decision is spelled, as text, before a tokenizer turns it into ids.

A response has two steps, `response = J + A`: the judge step J ends with the switch, the token that fixes the mode; the
answer step A is all after it. The parts of a layout stand in this order; left of the bar is the prompt:

    prompt without `prompt_cut`, `prompt_suffix`  |  judge text `judge_close`   (where there is one)
                                                  |  `decision`
        think      `think`     `think_after`     thought  `thought_end`  answer  `answer_end`  end of turn
        no_think   `no_think`  `no_think_after`                          answer  `answer_end`  end of turn

`think` and `no_think` are the switches, one token each. Where one mode has no token of its own it is `other`, and its
switch is empty: any token but the other mode's, at that one place, decides for it. `kat` is the layout of KAT-V1 (arXiv
2507.08297), `qwen3` that of Qwen3's chat template with the opening tag left to the model, `one_token` that of Thinkless
(arXiv 2505.13379), `adaptthink` that of AdaptThink (arXiv 2505.13417): a prompt that opens a thought, and closing it at
once is no_think. `openpangu` is openPangu-Embedded's with its `/auto_think` prompt, `gemma4` that of Gemma 4 models
whose template shows no thought: the thought's channel, or any other token. `prefixes` is whatever its settings say;
`auto` is found from the chat template (rollout/families.py) and becomes `prefixes`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rollout.errors import UserError
from rollout.types import MODES, Mode

LAYOUTS = ("kat", "qwen3", "one_token")
PROTOCOLS = (*LAYOUTS, "auto", "adaptthink", "openpangu", "gemma4", "prefixes")
ADDABLE = re.compile(r"<\S+>|\[\S+\]")
TAG = re.compile(r"<[^<>\s]+>|\[unused\d+\]")


class ProtocolError(UserError):
    """The tokenizer or its template cannot carry this protocol."""


@dataclass(frozen=True)
class Layout:
    """A protocol as text; see the module docstring. `user_suffix` is appended to the user's text. `opened` is the tag
    that the prompt ends with, if it ends with one: a response that writes it again has decided twice. With `at_start`
    only the first token of a response can be a switch. `writes_after` says whether forcing a mode writes the text after
    its switch too. `answer_end` may hold tags that the model writes before its end of turn."""

    name: str
    user_suffix: str = ""
    prompt_cut: str = ""
    prompt_suffix: str = ""
    judge_close: str = ""
    decision: str = ""
    think: str = ""
    no_think: str = ""
    think_after: str = ""
    no_think_after: str = ""
    thought_end: str = "</think>"
    answer_end: str = ""
    other: Mode | None = None
    opened: str = ""
    at_start: bool = False
    writes_after: bool = True

    def switch(self, mode: Mode) -> str:
        """The text of this mode's switch; empty for `other`."""
        return self.think if mode == "think" else self.no_think

    def after(self, mode: Mode) -> str:
        """What stands between the switch and the thought or answer."""
        return self.think_after if mode == "think" else self.no_think_after

    @property
    def think_close(self) -> str:
        """The tag that closes a thought."""
        return tags(self.thought_end)[0]


def tags(text: str) -> list[str]:
    """The tags of a text, such as `<think>`, in order."""
    return TAG.findall(text)


WRITTEN = {
    spec.name: spec
    for spec in (
        Layout(
            "kat",
            prompt_suffix="<judge>\n",
            judge_close="</judge>",
            decision="\n\n",
            think="<think_on>",
            no_think="<think_off>",
            think_after="\n<think>\n",
            no_think_after="\n<answer>\n",
            thought_end="\n</think>\n\n<answer>\n",
            answer_end="\n</answer>",
            writes_after=False,
        ),
        Layout(
            "qwen3",
            decision="<think>",
            think="\n",
            no_think="\n\n",
            no_think_after="</think>\n\n",
            thought_end="\n</think>\n\n",
        ),
        Layout("one_token", think="<think>", no_think="<no_think>"),
        Layout(
            "adaptthink",
            prompt_suffix="<think>\n",
            no_think="</think>",
            no_think_after="\n\n",
            thought_end="\n</think>\n\n",
            other="think",
            opened="<think>",
            at_start=True,
        ),
        Layout(
            "openpangu",
            user_suffix=" /auto_think",
            prompt_suffix="[unused16]",
            no_think="[unused17]",
            thought_end="[unused17]",
            other="think",
            opened="[unused16]",
            at_start=True,
        ),
        Layout("prefixes", at_start=True),
        Layout(
            "gemma4",
            think="<|channel>",
            think_after="thought\n",
            thought_end="\n<channel|>",
            other="no_think",
            at_start=True,
        ),
    )
}


def layout(name: str, think: str = "", no_think: str = "") -> Layout:
    """The layout of this name; `think` and `no_think` rename the switches of `kat` and `one_token`, are those of
    `prefixes`, and `no_think` the tag that closes a thought in `adaptthink`. Raises `ProtocolError` for names that are
    none, or whose layout is not written here."""
    if name not in WRITTEN:
        raise ProtocolError(f"protocol.name is {name!r}; allowed: {', '.join(PROTOCOLS)}")
    spec = WRITTEN[name]
    if name in ("kat", "one_token", "prefixes"):
        return replace(spec, think=think or spec.think, no_think=no_think or spec.no_think)
    if name == "adaptthink" and no_think:
        return replace(spec, no_think=no_think, thought_end=f"\n{no_think}\n\n")
    return spec


def checked(spec: Layout) -> Layout:
    """The layout, with `other` for a mode whose switch is empty. Raises `ProtocolError` for one that says nothing."""
    empty: list[Mode] = [mode for mode in MODES if not spec.switch(mode)]
    if len(empty) == 2:
        raise ProtocolError(f"protocol {spec.name!r} has no switch; allowed: protocol.think, protocol.no_think or both")
    if spec.think == spec.no_think:
        raise ProtocolError(
            f"protocol.think and protocol.no_think are both {spec.think!r}; allowed: two different tokens"
        )
    if not tags(spec.thought_end):
        raise ProtocolError(
            f"protocol.thought_end is {spec.thought_end!r}; allowed: text with the tag that closes a thought"
        )
    return replace(spec, other=empty[0] if empty else None)


def required_tokens(spec: Layout) -> list[str]:
    """The texts that must each be one token of the tokenizer."""
    texts = [spec.judge_close, spec.think, spec.no_think, *tags(spec.decision), spec.opened]
    for text in (spec.think_after, spec.thought_end, spec.no_think_after, spec.answer_end):
        texts += tags(text)
    return list(dict.fromkeys(text for text in texts if text))

"""The chat template of an exported model: the model's own, told by one argument who chooses whether to think.

    enable_thinking   "auto" (the default): the prompt ends at the decision, which is the model's
                      true, false: the prompt goes on with what the model would have written for that mode

Around the model's own template stand: the run's system text where a conversation has none, earlier turns without
their thoughts, the text that a layout appends to the user's, the arguments of the run, the cut and the end of a
decision prompt. KAT writes its judge text before it decides, so a stated mode skips the judge text;
`switch_by_server: true` leaves the prompt at `<judge>` for a server that writes the switch itself. A mode that has no
token of its own cannot be written: there the prompt of "auto" stays, and the other switch is what must not come first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rollout.chat import ASKED, user
from rollout.layouts import TAG, Layout, ProtocolError, tags
from rollout.protocol import DecisionProtocol
from rollout.types import Mode

THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")

HEAD = """\
{#- enable_thinking: "auto" (the model chooses), true or false. Made by scripts/export.py around the model's own. -#}
{%- set srpo = namespace(mode="auto", last=-1, turns=[], turn={}, text="") -%}
{%- if enable_thinking is defined and enable_thinking is not none -%}
{%- if enable_thinking in [true, "true", "think"] -%}{%- set srpo.mode = "think" -%}
{%- elif enable_thinking in [false, "false", "no_think"] -%}{%- set srpo.mode = "no_think" -%}
{%- elif enable_thinking != "auto" -%}
{{- raise_exception("enable_thinking is " ~ enable_thinking ~ "; allowed: true, false, 'auto'") -}}
{%- endif -%}
{%- endif -%}
{%- for turn in messages -%}{%- if turn.role == "user" -%}{%- set srpo.last = loop.index0 -%}{%- endif -%}{%- endfor -%}
SYSTEM{%- for turn in messages -%}
{%- set srpo.turn = turn -%}
{%- if turn.role == "assistant" and loop.index0 < srpo.last -%}
{%- set srpo.turn = dict(turn.items() | rejectattr("0", "in", FIELDS)) -%}
{%- if turn.content is string -%}
{%- set srpo.text = turn.content -%}
{%- for mark in BEFORE -%}
{%- if mark in srpo.text -%}{%- set srpo.text = (srpo.text.split(mark) | last).strip() -%}{%- endif -%}
{%- endfor -%}
{%- for mark in BEHIND -%}
{%- if mark in srpo.text -%}{%- set srpo.text = (srpo.text.split(mark) | first).strip() -%}{%- endif -%}
{%- endfor -%}
{%- set srpo.turn = dict(srpo.turn, content=srpo.text) -%}
{%- endif -%}
USER_SUFFIX{%- endif -%}
{%- set srpo.turns = srpo.turns + [srpo.turn] -%}
{%- endfor -%}
{%- set messages = srpo.turns -%}
{%- set srpo_text %}{{- FIRST -}}
{%- set enable_thinking = srpo_undefined -%}
ARGUMENTS{{- "" }}"""

TAIL = """{{ "" -}}{%- endset -%}
{%- if add_generation_prompt -%}
{%- set srpo.text = srpo_text -%}
CUT{%- if not srpo.text.rstrip().endswith(ENDS) -%}{%- set srpo.text = srpo.text ~ SUFFIX -%}{%- endif -%}
{{- srpo.text ~ ({"think": THINK, "no_think": NO_THINK}.get(srpo.mode, "") if WRITES else "") -}}
{%- else -%}
{{- srpo_text -}}
{%- endif -%}
"""

SYSTEM = """\
{%- if messages and messages[0].role not in ["system", "developer"] -%}
{%- set srpo.turns = [{"role": "system", "content": TEXT}] -%}
{%- endif -%}
"""
USER_SUFFIX = """\
{%- elif loop.index0 == srpo.last and turn.content is string and not turn.content.endswith(TEXT) -%}
{%- set srpo.turn = dict(turn, content=turn.content ~ TEXT) -%}
"""
CUT = "{%- if srpo.text.endswith(TEXT) -%}{%- set srpo.text = srpo.text[:-LENGTH] -%}{%- endif -%}\n"


def exported_template(protocol: DecisionProtocol) -> str:
    """The template of this protocol's model."""
    spec, own = protocol.spec, protocol.tokenizer.chat_template
    if own is None:
        own = "{{- messages[-1]['content'] -}}"
    head = _filled(
        HEAD,
        SYSTEM=_filled(SYSTEM, TEXT=_literal(protocol.prompts.system)) if protocol.prompts.system else "",
        USER_SUFFIX=_filled(USER_SUFFIX, TEXT=_literal(spec.user_suffix)) if spec.user_suffix else "",
        FIRST=_literal(beginning(protocol)),
        FIELDS=_literal(list(THOUGHT_FIELDS)),
        BEFORE=_literal(_before_answer(spec)),
        BEHIND=_literal(tags(spec.answer_end)),
        ARGUMENTS="".join(f"{{%- set {k} = {_literal(v)} -%}}\n" for k, v in protocol.chat.arguments.items()),
    )
    cut = _filled(CUT, TEXT=_literal(spec.prompt_cut), LENGTH=str(len(spec.prompt_cut))) if spec.prompt_cut else ""
    tail = _filled(
        TAIL,
        CUT=cut,
        ENDS=_literal(spec.prompt_suffix.strip()),
        SUFFIX=_literal(spec.prompt_suffix),
        NO_THINK=_literal(written(spec, "no_think")),
        THINK=_literal(written(spec, "think")),
        WRITES="not (switch_by_server is defined and switch_by_server)" if spec.judge_close else "true",
    )
    return head + own.removesuffix("\n") + tail


def written(spec: Layout, mode: Mode) -> str:
    """What a prompt goes on with for a stated mode; "" where the mode has no token of its own."""
    if spec.other == mode:
        return ""
    return spec.judge_close + spec.decision + spec.switch(mode) + (spec.after(mode) if spec.writes_after else "")


def _before_answer(spec: Layout) -> list[str]:
    """The tags behind which an earlier answer begins, outermost first."""
    direct = [tag for tag in tags(spec.no_think + spec.no_think_after) if tag != spec.opened]
    opening = tags(spec.thought_end)[1:]
    return list(dict.fromkeys([spec.think_close, *(tag for tag in direct if TAG.fullmatch(tag)), *opening]))


def _literal(value: Any) -> str:
    """A value as Jinja writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _filled(text: str, **values: str) -> str:
    """The text with these words replaced, each where it stands by itself, in one pass."""
    return re.sub(rf"\b({'|'.join(values)})\b", lambda found: values[found[0]], text)


def check_template(protocol: DecisionProtocol, template: str) -> None:
    """Raises `ProtocolError` unless the template gives, for one question, the ids of the run's own prompt, and those of
    a forced response behind it where it states a mode."""
    tokenizer: Any = protocol.tokenizer
    prompt = protocol.render(ASKED)
    modes: tuple[tuple[Mode | None, Any], ...] = ((None, "auto"), ("think", True), ("no_think", False))
    for mode, value in modes:
        text = tokenizer.apply_chat_template(
            [dict(user(ASKED))],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=value,
        )
        behind = written(protocol.spec, mode) if mode else ""
        expected = (*prompt, *protocol.encode(behind))
        if protocol.encode(text) != expected:
            raise ProtocolError(
                f"the exported template does not give the run's prompt for enable_thinking {value!r}: it ends "
                f"{text[-60:]!r}; allowed: a chat template that can be wrapped (model.chat_template: FILE)"
            )


def beginning(protocol: DecisionProtocol) -> str:
    """The token that the tokenizer puts before every text and the template does not write; "" where there is none."""
    ids, written_ids = protocol.render(ASKED), protocol.encode(protocol.prompt_text(ASKED))
    return protocol.decode(ids[:1]) if ids[1:] == written_ids else ""

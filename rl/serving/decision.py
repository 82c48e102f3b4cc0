"""What a server must know of the decision: `decision.json`, for `dial_processor.py` and `step_srpo_parser.py`."""

from __future__ import annotations

import math
from typing import Any

from rl.serving.template import written
from rl.statistics.dial import logit_bias
from rollout.chat import ASKED, ASKED_AGAIN
from rollout.layouts import ADDABLE, required_tokens, tags
from rollout.protocol import DecisionProtocol
from rollout.types import MODES

SCHEMA = 1
QUESTIONS = (ASKED, ASKED_AGAIN, "x", "Wie viel ist 7 mal 6")
LONGEST_END = 24


def decision_table(protocol: DecisionProtocol) -> dict[str, Any]:
    """The contents of `decision.json`: ids for the processor, texts for the parser."""
    spec, marks = protocol.spec, protocol.marks
    watching, ends = list(protocol.watch_ids), list(protocol.end_ids)
    return {
        "schema": SCHEMA,
        "prompt_ends": prompt_ends(protocol),
        "stated": [list(protocol.encode(written(spec, mode))) for mode in MODES if written(spec, mode)],
        "judge_close": marks.judge_close,
        "patience": protocol.judge_patience,
        "decision": list(protocol.encode(spec.decision)),
        "switch": {mode: protocol.switch_ids.get(mode) for mode in MODES},
        "after": {
            m: list(protocol.encode(spec.after(m))) if spec.writes_after and m != spec.other else [] for m in MODES
        },
        "banned_waiting": [*ends, *watching],
        "banned_first": list(dict.fromkeys([*watching, *ends])),
        "texts": {
            "judge_close": spec.judge_close,
            "decision": spec.decision.strip(),
            "think": spec.think,
            "no_think": spec.no_think,
            "no_think_after": spec.no_think_after,
            "opened": opening_tag(protocol),
            "think_after": [spec.think_after.strip()] if spec.think_after.strip() else [],
            "think_close": spec.think_close,
            "answer_open": list(dict.fromkeys([*tags(spec.thought_end)[1:], *_direct_tags(protocol)])),
            "answer_close": tags(spec.answer_end),
            "spelled": [mode for mode in MODES if written(spec, mode)],
        },
    }


def prompt_ends(protocol: DecisionProtocol) -> list[int]:
    """The ids that every prompt ends with where the model is to decide."""
    prompts = [protocol.render(question)[::-1] for question in QUESTIONS]
    # Never more than what stands behind the question: two questions may end alike.
    behind = protocol.encode(protocol.prompt_text(ASKED).rpartition(ASKED)[2])
    most, count = min(LONGEST_END, len(behind), *map(len, prompts)), 0
    while count < most and len({prompt[count] for prompt in prompts}) == 1:
        count += 1
    return list(prompts[0][:count][::-1])


def opening_tag(protocol: DecisionProtocol) -> str:
    """The tag that opens a thought; "" where none does."""
    spec = protocol.spec
    found = [*tags(spec.think_after)[-1:], *tags(spec.think), spec.opened, *tags(spec.decision)[-1:]]
    return next((tag for tag in found if tag), "")


def _direct_tags(protocol: DecisionProtocol) -> list[str]:
    """The tags that open the answer of a direct response."""
    spec = protocol.spec
    return [tag for tag in tags(spec.no_think_after) if tag in tags(spec.thought_end)[1:]]


def can_bias(protocol: DecisionProtocol) -> str:
    """Why a logit bias cannot be this protocol's dial; "" where it may: both switches are tags of their own, and that
    of no_think stands nowhere else in a well-formed response or prompt."""
    spec = protocol.spec
    if spec.other:
        return f"{spec.other} has no token of its own"
    if not all(ADDABLE.fullmatch(spec.switch(mode)) for mode in MODES):
        return "a switch is ordinary text, which stands in every text"
    elsewhere = [text for text in required_tokens(spec) if text not in (spec.think, spec.no_think)]
    inside = (spec.think_after, spec.no_think_after, spec.thought_end, spec.answer_end)
    if spec.no_think in elsewhere or any(spec.no_think in text for text in inside):
        return f"{spec.no_think} stands elsewhere in a response too"
    return ""


def bias_of(protocol: DecisionProtocol, tau: float) -> dict[str, float]:
    """The `logit_bias` of a request for this threshold: log(τ / (1 − τ)) on the no_think token."""
    return {str(protocol.switch_ids["no_think"]): round(logit_bias(tau), 6)}


def allowed_threshold(margin: float) -> float:
    """The largest τ whose bias changes no other token: where the no_think token stays at least `margin` below the
    likeliest one everywhere else, a bias below `margin` never makes it the likeliest. τ = 1 / (1 + e^−margin)."""
    return 1 / (1 + math.exp(-margin))

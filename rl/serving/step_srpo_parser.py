"""A response apart into thought and answer, at a vLLM server, for the layouts that vLLM has no parser of its own for.

    vllm serve MODEL --reasoning-parser-plugin MODEL/step_srpo_parser.py --reasoning-parser step_srpo

`decision.json` beside this file has the tags. A judge text (KAT) belongs to the reasoning. A mode that a request states
by `chat_template_kwargs: {"enable_thinking": true}` and that no prompt can spell is handed on to `dial_processor.py`.
It needs vLLM alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.reasoning import ReasoningParser, ReasoningParserManager

FOUND = json.loads((Path(__file__).parent / "decision.json").read_text(encoding="utf-8"))
TEXTS, ENDS = FOUND["texts"], FOUND["prompt_ends"]
STATED = {True: "think", False: "no_think", "true": "think", "false": "no_think"}


def split(text: str, mode: str = "auto") -> tuple[str, str]:
    """(thought, answer) of a response so far. `mode`: what its prompt has stated already, "auto" for nothing."""
    judge, rest = "", text
    close, opened = TEXTS["think_close"], TEXTS["opened"]
    if mode == "auto" and TEXTS["judge_close"]:
        judge, found, rest = text.partition(TEXTS["judge_close"])
        if not found:
            return judge, ""
    if mode == "auto":
        rest = rest.lstrip() if TEXTS["judge_close"] or TEXTS["decision"] else rest
        direct = [TEXTS["no_think"]] if TEXTS["no_think"].strip() and TEXTS["no_think"] != close else []
        for tag in direct:
            if rest.startswith(tag):
                return judge, _answer(rest[len(tag) :].removeprefix(TEXTS["no_think_after"]))
        if TEXTS["think"].strip():
            if not rest.startswith(TEXTS["think"]) and close not in rest:
                # No thought was opened: text without a decision, or the mode that has no token of its own.
                return (judge, "") if TEXTS["think"].startswith(rest) else (judge, _answer(rest))
            rest = rest.removeprefix(TEXTS["think"])
    if mode == "no_think":
        return "", _answer(rest)
    thought, found, behind = rest.partition(close)
    for tag in (opened, *TEXTS["think_after"]):
        thought = thought.lstrip().removeprefix(tag) if tag else thought
    whole = judge + thought
    return (whole, _answer(behind)) if found else (whole, "")


def _answer(text: str) -> str:
    """Between the tags around an answer."""
    text = text.lstrip()
    for tag in TEXTS["answer_open"]:
        text = text.removeprefix(tag).lstrip()
    for tag in TEXTS["answer_close"]:
        text = text.partition(tag)[0]
    return text


@ReasoningParserManager.register_module("step_srpo")
class StepSRPOParser(ReasoningParser):
    """The parser; see the module docstring."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        asked = kwargs.get("chat_template_kwargs") or {}
        self.asked = STATED.get(asked.get("enable_thinking", "auto"), "auto")
        # Only where the prompt spells the mode does the response begin behind the decision.
        spelled = self.asked in TEXTS["spelled"] and not (TEXTS["judge_close"] and asked.get("switch_by_server"))
        self.mode = self.asked if spelled else "auto"
        self.close, self.opened = self.vocab.get(TEXTS["think_close"]), self.vocab.get(TEXTS["opened"])
        self.over = {self.close} | ({self.vocab.get(TEXTS["no_think"])} if TEXTS["no_think"].strip() else set())

    @property
    def reasoning_start_str(self) -> str | None:
        """The tag that opens a thought."""
        return TEXTS["opened"] or None

    @property
    def reasoning_end_str(self) -> str | None:
        """The tag that closes a thought."""
        return TEXTS["think_close"]

    def adjust_request(self, request: Any) -> Any:
        """A stated mode that the prompt cannot spell goes to the processor."""
        if self.asked != self.mode:
            request.vllm_xargs = {**(request.vllm_xargs or {}), "mode": self.asked}
        return request

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the thought is over, or there is none. Earlier turns say nothing about this one."""
        if ENDS and list(input_ids[-len(ENDS) :]) == ENDS:
            return False
        last = next((t for t in reversed(input_ids) if t == self.opened or t in self.over), None)
        return last in self.over

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """The same while it is written. Where an answer has tags of its own it is read here to its end."""
        if TEXTS["answer_open"] or TEXTS["answer_close"]:
            return False
        return any(token in self.over for token in delta_ids)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """The ids behind the thought."""
        return input_ids[input_ids.index(self.close) + 1 :] if self.close in input_ids else []

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """(thought, answer) of a whole response."""
        thought, answer = split(model_output, self.mode)
        return thought.strip() or None, answer.strip() or None

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> DeltaMessage | None:
        """What the newest tokens add to each."""
        before, now = split(previous_text, self.mode), split(current_text, self.mode)
        thought, answer = (b[len(a) :] if b.startswith(a) else "" for a, b in zip(before, now, strict=True))
        if not thought and not answer:
            return None
        return DeltaMessage(reasoning=thought or None, content=answer or None)

"""Decision protocols: how a prompt asks for the decision, how a response spells it, how ids are read back.

A response has two steps, `response = J + A`: the judge step J ends with the switch, the token that fixes the mode;
the answer step A is all after it. Three layouts (KAT-V1 report, arXiv 2507.08297; Qwen3's chat template; Thinkless,
arXiv 2505.13379, for one-token decisions):

    kat        <judge> | text </judge> <think_on>    <think> … </think> <answer> … </answer> <eos>
               <judge> | text </judge> <think_off>   <answer> … </answer> <eos>
    qwen3              | <think> "\\n"                … </think> … <eos>
                       | <think> "\\n\\n"              </think> … <eos>
    one_token          | <think>                     … </think> … <eos>
                       | <no_think>                  … <eos>

with the line breaks of the originals, see `DecisionProtocol.response_text`.

Left of the bar is the prompt. A user may state the mode in it by a manual tag (`/think`, `/no_think`, or whatever is
configured); the policy then still writes the switch itself. Everything is read from token ids: decoding may hide
special tokens. A response that does not fit is classified (`rollout.types.Status`), never an exception: the policy can
write anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.errors import UserError
from rollout.types import MODES, Mode, Status

LAYOUTS = ("kat", "qwen3", "one_token")


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that protocols use."""

    chat_template: Any
    eos_token_id: Any

    def __call__(self, text: str, *, add_special_tokens: bool) -> Any: ...
    def decode(self, token_ids: Any, *, skip_special_tokens: bool) -> Any: ...
    def convert_tokens_to_ids(self, tokens: str) -> Any: ...
    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...


class ProtocolError(UserError):
    """The tokenizer or its template cannot carry this protocol."""


@dataclass(frozen=True)
class Forcing:
    """How to put one row into a mode: once `after` has been sampled (None: at once), write the tokens `write`.
    After `patience` tokens without it, `after` is written too."""

    write: tuple[int, ...]
    after: int | None = None
    patience: int = 0


@dataclass(frozen=True)
class Parsed:
    """The spans of one response; see `rollout.types.Rollout` for the fields."""

    mode: Mode | None
    status: Status
    switch_index: int | None = None
    judge_ids: tuple[int, ...] = ()
    think_ids: tuple[int, ...] = ()
    answer_ids: tuple[int, ...] = ()
    judge_text: str = ""
    think_text: str = ""
    answer_text: str = ""
    truncated: bool = False


@dataclass(frozen=True)
class Layout:
    """A protocol as text, before a tokenizer turns it into ids. `think` and `no_think` are the switches; the
    `*_prefix` texts are what stands between the start of the decision and the answer step in each mode."""

    name: str
    prompt_suffix: str
    judge_close: str | None
    decision: str
    think: str
    no_think: str
    think_open: str
    think_close: str
    answer_open: str
    answer_close: str


def layout(name: str, think: str = "", no_think: str = "") -> Layout:
    """The layout of this name; `think` and `no_think` rename the switches of `kat` and `one_token`."""
    if name == "kat":
        return Layout(
            name,
            prompt_suffix="<judge>\n",
            judge_close="</judge>",
            decision="\n\n",
            think=think or "<think_on>",
            no_think=no_think or "<think_off>",
            think_open="<think>",
            think_close="</think>",
            answer_open="<answer>",
            answer_close="</answer>",
        )
    if name == "qwen3":
        return Layout(name, "", None, "<think>", "\n", "\n\n", "", "</think>", "", "")
    if name == "one_token":
        return Layout(name, "", None, "", think or "<think>", no_think or "<no_think>", "", "</think>", "", "")
    raise ProtocolError(f"protocol.name is {name!r}; allowed: {', '.join(LAYOUTS)}")


def required_tokens(spec: Layout) -> list[str]:
    """The texts that must each be one token of the tokenizer."""
    texts = [spec.judge_close, spec.think, spec.no_think, spec.think_open, spec.think_close]
    texts += [spec.answer_open, spec.answer_close]
    if spec.name == "qwen3":
        texts.append(spec.decision)
    return [text for text in texts if text]


class DecisionProtocol:
    """A layout bound to a tokenizer: renders prompts, writes responses, forces modes, reads ids back."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        spec: Layout,
        *,
        system: str | None = None,
        judge_patience: int = 64,
        template_kwargs: dict[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Raises `ProtocolError` when a decision token is missing from the tokenizer. `tags` states each mode in a
        prompt: text to append, or text with the field `{prompt}`."""
        self.tokenizer, self.spec = tokenizer, spec
        self.system, self.judge_patience = system, judge_patience
        self.template_kwargs = template_kwargs or {}
        self.tags = dict(tags or {})
        single = {}
        for text in required_tokens(spec):
            ids = self.encode(text)
            if len(ids) != 1:
                raise ProtocolError(
                    f"protocol {spec.name!r} needs {text!r} as one token, this tokenizer splits it into {len(ids)}; "
                    "add it to the tokenizer (protocol.add_tokens: true in the cold start) or choose another protocol"
                )
            single[text] = ids[0]
        self.switch_ids: dict[Mode, int] = {"think": single[spec.think], "no_think": single[spec.no_think]}
        self._modes: dict[int, Mode] = {token: mode for mode, token in self.switch_ids.items()}
        self._close_judge = single.get(spec.judge_close or "")
        self._decision = single.get(spec.decision) if spec.name == "qwen3" else None
        self._think_open = single.get(spec.think_open)
        self._think_close = single[spec.think_close]
        self._answer_open = single.get(spec.answer_open)
        self._answer_close = single.get(spec.answer_close)
        self._tags = frozenset(single.values()) - set(self.switch_ids.values())
        self.eos_id = int(tokenizer.eos_token_id)

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, no special tokens added."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens kept."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False) if ids else ""

    def prompt_text(self, prompt: str, messages: Sequence[Mapping[str, str]] = (), manual: Mode | None = None) -> str:
        """The prompt through the tokenizer's chat template (if it has one), ending where the response begins.

        `messages` is the conversation that ends with this prompt (`Problem.messages`); `manual` states that mode in
        the prompt by its tag. Raises `ProtocolError` when the template writes part of the response itself.
        """
        text = self.tagged(prompt, manual) if manual else prompt
        if self.tokenizer.chat_template is not None:
            turns = [*map(dict, messages[:-1]), {"role": "user", "content": text}]
            if self.system and turns[0]["role"] != "system":
                turns.insert(0, {"role": "system", "content": self.system})
            text = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, **self.template_kwargs
            )
        elif len(messages) > 1:
            raise ProtocolError(f"a prompt of {len(messages)} messages needs a chat template; this tokenizer has none")
        written = [tag for tag in ("<think>", "</think>") if text.rstrip().endswith(tag)]
        if written:
            raise ProtocolError(
                f"the chat template already writes {written[0]!r} at the start of the response, so the model "
                "cannot decide; pass a template without it (model.chat_template: FILE, such as "
                "configs/templates/deepseek-r1.jinja) or protocol.template_kwargs"
            )
        suffix = self.spec.prompt_suffix
        return text if not suffix or text.rstrip().endswith(suffix.strip()) else text + suffix

    def tagged(self, prompt: str, mode: Mode) -> str:
        """The prompt with this mode stated. Raises `ProtocolError` when no tag is configured for it."""
        tag = self.tags.get(mode)
        if not tag:
            raise ProtocolError(
                f"protocol.tags has no tag for {mode!r}; allowed: {{think: /think, no_think: /no_think}}"
            )
        return tag.replace("{prompt}", prompt) if "{prompt}" in tag else f"{prompt} {tag}"

    def render(
        self, prompt: str, messages: Sequence[Mapping[str, str]] = (), manual: Mode | None = None
    ) -> tuple[int, ...]:
        """The ids of `prompt_text`."""
        return self.encode(self.prompt_text(prompt, messages, manual))

    def response_text(self, mode: Mode, answer: str, thinking: str = "", judge: str = "") -> str:
        """A whole well-formed response in this mode, without the end token."""
        s = self.spec
        if s.name == "kat":
            head = f"{judge}\n</judge>\n\n{s.think if mode == 'think' else s.no_think}\n"
            thought = f"<think>\n{thinking}\n</think>\n\n" if mode == "think" else ""
            return f"{head}{thought}<answer>\n{answer}\n</answer>"
        if s.name == "qwen3":
            if mode == "think" and not thinking:
                raise ProtocolError(
                    "qwen3 spells no_think as an empty thought; allowed: a thinking text for mode think"
                )
            thought = f"\n{thinking}\n" if mode == "think" else "\n\n"
            return f"<think>{thought}</think>\n\n{answer}"
        return f"{s.think}{thinking}{s.think_close}{answer}" if mode == "think" else f"{s.no_think}{answer}"

    def response(self, mode: Mode, answer: str, thinking: str = "", judge: str = "") -> tuple[int, ...]:
        """The ids of `response_text`, end token included."""
        return (*self.encode(self.response_text(mode, answer, thinking, judge)), self.eos_id)

    def forcing(self, mode: Mode) -> Forcing:
        """How an engine puts a row into this mode."""
        s, switch = self.spec, self.switch_ids[mode]
        if s.name == "kat":
            return Forcing((*self.encode(s.decision), switch), after=self._close_judge, patience=self.judge_patience)
        if s.name == "qwen3":
            tail = () if mode == "think" else (self._think_close, *self.encode("\n\n"))
            return Forcing((*self.encode(s.decision), switch, *tail))
        return Forcing((switch,))

    def find_switch(self, completion_ids: Sequence[int]) -> tuple[int, Mode] | None:
        """Position and mode of the decision, or None. In `qwen3` the switch is the token right after `<think>`."""
        for index, token in enumerate(completion_ids):
            if self._decision is not None:
                if token == self._decision:
                    follower = completion_ids[index + 1] if index + 1 < len(completion_ids) else None
                    return (index + 1, self._modes[follower]) if follower in self._modes else None
            elif token in self._modes:
                return index, self._modes[token]
        return None

    def parse(self, completion_ids: Sequence[int]) -> Parsed:
        """Read one response. A response that does not end with the end token was truncated."""
        ids = tuple(completion_ids)
        truncated = self.eos_id not in ids
        body = ids if truncated else ids[: ids.index(self.eos_id)]
        found = self.find_switch(body)
        if found is None:
            return Parsed(None, "truncated" if truncated else "no_switch", truncated=truncated)
        index, mode = found
        judge, rest = body[: index + 1], body[index + 1 :]
        status, think, answer = self._answer_step(mode, rest, truncated)
        if status == "ok" and self._tags.intersection((*think, *answer)):
            # A tag inside a text: reasoning smuggled into a direct answer, or a second answer.
            status, answer = "malformed", ()
        again = self._modes if self._decision is None else (self._decision,)
        if any(token in again for token in rest):
            status, answer = "two_switches", ()
        return Parsed(
            mode,
            status,
            index,
            judge,
            think,
            answer,
            judge_text=self._judge_text(judge),
            think_text=self.decode(think).strip(),
            answer_text=self.decode(answer).strip(),
            truncated=truncated,
        )

    def _judge_text(self, judge: tuple[int, ...]) -> str:
        close = self._close_judge
        return self.decode(judge[: judge.index(close)] if close in judge else ()).strip()

    def _blank(self, ids: Sequence[int]) -> bool:
        return not self.decode(ids).strip()

    def _answer_step(
        self, mode: Mode, rest: tuple[int, ...], truncated: bool
    ) -> tuple[Status, tuple[int, ...], tuple[int, ...]]:
        """(status, thinking, answer) of the tokens after the switch."""
        think: tuple[int, ...] = ()
        if mode == "think" or self.spec.name == "qwen3":
            if self._think_open is not None:
                before, opened, rest = _cut(rest, self._think_open)
                if not opened or not self._blank(before):
                    return ("truncated" if truncated and not opened else "malformed"), (), ()
            think, closed, rest = _cut(rest, self._think_close)
            if not closed:
                return ("truncated" if truncated else "unclosed_think"), think, ()
            if mode == "no_think" and not self._blank(think):
                return "malformed", think, ()
        if self._answer_open is not None and self._answer_close is not None:
            before, opened, rest = _cut(rest, self._answer_open)
            if not opened or not self._blank(before):
                return ("truncated" if truncated and not opened else "malformed"), think, ()
            rest, closed, after = _cut(rest, self._answer_close)
            if not closed:
                return ("truncated" if truncated else "unclosed_answer"), think, rest if truncated else ()
            if not self._blank(after):
                return "malformed", think, ()
        elif self._think_close in rest:
            return "malformed", think, ()
        if self._blank(rest):
            return ("truncated" if truncated else "empty_answer"), think, ()
        return ("truncated" if truncated else "ok"), think, rest


def _cut(ids: tuple[int, ...], token: int) -> tuple[tuple[int, ...], bool, tuple[int, ...]]:
    """(before, found, after) around the first `token`, like `str.partition`."""
    if token not in ids:
        return ids, False, ()
    index = ids.index(token)
    return ids[:index], True, ids[index + 1 :]


def switch_share(probs: Sequence[float]) -> dict[str, float]:
    """Two probabilities (think, no_think) as the mapping that a rollout carries."""
    return dict(zip(MODES, probs, strict=True))

"""A problem as the prompt that a model reads, and what can be wrong with it.

Every prompt is checked as it is made: it holds the user's text, begins with the tokenizer's own first token where its
own call does, wraps no thought twice, is not templated twice, and no text of a user becomes a control token. What the
template itself writes into the response is found once, at the first prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from rollout.chat import ANSWERED, ASKED, ASKED_AGAIN, Chat, Turn, assistant, user
from rollout.layouts import TAG, Layout, ProtocolError, required_tokens
from rollout.types import Mode

THOUGHT = re.compile(r"^\s*<(?P<tag>[^<>/\s]*think)>\n?(?P<thought>.*?)\n?</(?P=tag)>\s*(?P<answer>.*)$", re.DOTALL)
CLOSE = re.compile(r"</[^<>/\s]*think>")
REASONED = "Six sevens."


class Prompts:
    """Renders prompts for one layout; `control_tokens` says whether texts may hold control tokens (they are counted in
    `control_tokens_seen`)."""

    def __init__(
        self, chat: Chat, spec: Layout, *, system: str | None, tags: Mapping[str, str], control_tokens: bool = False
    ) -> None:
        self.chat, self.spec, self.system, self.tags = chat, spec, system, dict(tags)
        self.control_tokens, self.control_tokens_seen = control_tokens, 0

    def text(self, prompt: str, messages: Sequence[Turn] = (), manual: Mode | None = None) -> str:
        """The prompt through the chat template (if there is one), ending where the response begins.

        `messages` is the conversation that ends with this prompt; `manual` states that mode in it by its tag. Raises
        `ProtocolError` on what the module docstring lists.
        """
        asked = self.tagged(prompt, manual) if manual else prompt + self.spec.user_suffix
        if self.chat.tokenizer.chat_template is None:
            if len(messages) > 1:
                raise ProtocolError(
                    f"a prompt of {len(messages)} messages needs a chat template; this tokenizer has none"
                )
            self._check_control((asked,))
            text = asked
        else:
            turns = self._turns(asked, messages)
            self._check_control([str(turn.get("content") or "") for turn in turns if turn["role"] != "assistant"])
            self._check_template()
            text = self.chat.render(turns)
            # Without its tag: a template may read a tag as its own switch and leave it out.
            self._check_kept(text, [*turns[:-1], {**turns[-1], "content": prompt}])
            text = self._without_cut(text)
        suffix = self.spec.prompt_suffix
        return text if not suffix or text.rstrip().endswith(suffix.strip()) else text + suffix

    def ids(self, text: str) -> tuple[int, ...]:
        """The ids of a rendered prompt: one token for the beginning where the tokenizer's own call writes it."""
        ids, first = self.chat.encode(text), self._first_token
        if first is None:
            return ids
        while ids[1:2] == (first,) and ids[0] == first:
            ids = ids[1:]
        return ids if ids[:1] == (first,) else (first, *ids)

    def tagged(self, prompt: str, mode: Mode) -> str:
        """The prompt with this mode stated. Raises `ProtocolError` when no tag is configured for it."""
        tag = self.tags.get(mode)
        if not tag:
            raise ProtocolError(
                f"protocol.tags has no tag for {mode!r}; allowed: {{think: /think, no_think: /no_think}}"
            )
        return tag.replace("{prompt}", prompt) if "{prompt}" in tag else f"{prompt} {tag}"

    @cached_property
    def _first_token(self) -> int | None:
        """The token that the tokenizer's own call puts before every text, or None."""
        bos = getattr(self.chat.tokenizer, "bos_token_id", None)
        own = tuple(self.chat.tokenizer(ASKED, add_special_tokens=True)["input_ids"])
        return bos if bos is not None and own[:1] == (bos,) else None

    def _turns(self, asked: str, messages: Sequence[Turn]) -> list[Turn]:
        last = messages[-1] if messages else {}
        turns = [self._unwrapped(turn) for turn in messages[:-1]] + [{**last, **user(asked)}]
        if self.system and turns[0]["role"] != "system":
            turns.insert(0, {"role": "system", "content": self.system})
        return turns

    def _unwrapped(self, turn: Turn) -> Turn:
        """A turn of the model with its thought in `reasoning_content`, where the template would wrap it twice."""
        found = THOUGHT.match(str(turn.get("content") or "")) if turn["role"] == "assistant" else None
        if found is None or turn.get("reasoning_content") or not self._wraps_twice:
            return dict(turn)
        return {**turn, "content": found["answer"], "reasoning_content": found["thought"]}

    @cached_property
    def _wraps_twice(self) -> bool:
        """Whether a thought given as text gets a second pair of tags from the template."""
        as_text = assistant(f"<think>\n{REASONED}\n</think>\n\n{ANSWERED}")
        as_field = assistant(ANSWERED, reasoning_content=REASONED)
        written = [self.chat.rendered([user(ASKED), turn, user(ASKED_AGAIN)]) for turn in (as_text, as_field)]
        closed_by_text, closed_by_field = (len(CLOSE.findall(text)) for text in written)
        return closed_by_text > max(closed_by_field, 1)

    def _without_cut(self, text: str) -> str:
        cut = self.spec.prompt_cut
        if cut and not text.endswith(cut):
            raise ProtocolError(
                f"the rendered prompt ends {text[-40:]!r}; allowed: an end that holds protocol.prompt_cut, {cut!r}"
            )
        return text[: len(text) - len(cut)]

    def _check_control(self, texts: Sequence[str]) -> None:
        """Raises when a text would become control tokens; where they are allowed they are counted."""
        for text in texts:
            found = self._control.findall(text) if self._control else []
            if not found:
                continue
            opening = self._written_before_user
            if opening and opening in text:
                raise ProtocolError(
                    f"the prompt is templated already: it holds {opening!r}; allowed: the plain text of the user, or "
                    "messages"
                )
            if not self.control_tokens:
                raise ProtocolError(
                    f"a text of the prompt holds the control token {found[0]!r}; allowed: texts without, or "
                    "protocol.control_tokens: true"
                )
            self.control_tokens_seen += len(found)

    @cached_property
    def _control(self) -> re.Pattern[str] | None:
        """The texts that the tokenizer reads as control tokens, and the layout's own tags."""
        added = getattr(self.chat.tokenizer, "added_tokens_decoder", {})
        texts = {str(token) for token in added.values() if getattr(token, "special", False)}
        texts |= {text for text in required_tokens(self.spec) if text.strip()}
        # White space and bare characters are no control tokens, whatever a tokenizer calls special.
        texts = {text for text in texts if len(text.strip()) > 1}
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True)))) if texts else None

    @cached_property
    def _written_before_user(self) -> str:
        """The last thing that the template writes before a user's text, such as `<|im_start|>user`."""
        if self.chat.tokenizer.chat_template is None:
            return ""
        before = self.chat.rendered([user(ASKED)], True).partition(ASKED)[0]
        return before.rstrip().rpartition("\n")[2] if self._control and self._control.search(before) else ""

    def _check_kept(self, text: str, turns: Sequence[Turn]) -> None:
        """Raises when a text of the user, a name, a tool call or its result is not in the rendered prompt."""
        flat = _flat(text)
        for turn in turns:
            for kind, piece in _pieces(turn):
                if _flat(piece) not in flat:
                    raise ProtocolError(
                        f"the chat template leaves out {kind} {piece[:60]!r}; allowed: conversations whose every part "
                        "it writes, or another template (model.chat_template: FILE)"
                    )

    def _check_template(self) -> None:
        if self._fault:
            raise ProtocolError(self._fault)

    @cached_property
    def _fault(self) -> str:
        """What the template writes of the response itself, as an error; "" when it leaves the decision open."""
        spec = self.spec
        before, after = (self.chat.render([user(ASKED)], generation) for generation in (False, True))
        grows = after.startswith(before) and after != before
        written = after[len(before) :] if grows else after.rpartition(ASKED)[2]
        if spec.at_start:
            # The layout says itself where the response begins: behind an open thought, never behind a closed one.
            extra = spec.think_close if spec.think_close in written.removesuffix(spec.prompt_cut) else ""
        else:
            inside = [text for text in required_tokens(spec) if text.strip() and text in written]
            beyond = self._beyond_header(written)
            extra = inside[-1] if inside else beyond if TAG.search(beyond) else ""
        if not extra or _flat(extra) == _flat(spec.prompt_suffix):
            return ""
        return (
            f"the chat template already writes {extra!r} at the start of the response, so the model cannot decide; "
            f"{self._advice(written)}"
        )

    def _beyond_header(self, written: str) -> str:
        """What the template writes for a response that it does not write for an earlier answer of the model."""
        earlier = self.chat.rendered([user(ASKED), assistant(ANSWERED), user(ASKED_AGAIN)])
        header = earlier.partition(ASKED)[2].partition(ANSWERED)[0]
        for size in range(len(written), -1, -1):
            if written[:size] and written[:size] in header:
                return written[size:].strip()
        return "" if not header else written.strip()

    def _advice(self, written: str) -> str:
        """The way on that fits this model."""
        if "｜" in written:
            return (
                "pass a template without it (model.chat_template: FILE, such as configs/templates/deepseek-r1.jinja) "
                "or choose protocol.name: adaptthink"
            )
        for arguments in ({"enable_thinking": True}, {"thinking": True}):
            on, off = (
                self.chat.with_arguments(dict.fromkeys(arguments, value)).rendered([user(ASKED)], True)
                for value in (True, False)
            )
            if on != off:
                return f"choose protocol.name: auto, which reads the template's own switch {next(iter(arguments))!r}"
        if "think>" in written and "</" not in written:
            return "choose protocol.name: adaptthink, in which closing the thought at once is no_think"
        return "pass a template without it (model.chat_template: FILE) or protocol.template_kwargs"


def _flat(text: str) -> str:
    """Text without white space: templates trim and indent."""
    return "".join(text.split())


def _pieces(turn: Turn) -> list[tuple[str, str]]:
    """(kind, text) of everything in a turn that a prompt must hold. Earlier thoughts may be dropped."""
    found: list[tuple[str, str]] = []
    content: Any = turn.get("content")
    if isinstance(content, str) and turn["role"] != "assistant":
        found.append((f"the {turn['role']}'s text", content))
    if turn.get("name"):
        found.append(("the name", str(turn["name"])))
    for call in turn.get("tool_calls") or ():
        function = call.get("function") or call
        found.append(("the tool call", str(function.get("name") or "")))
    return found

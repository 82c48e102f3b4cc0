"""The prompts of a run and the protocol's own responses, checked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rl.config.schema import Config, ConfigError, longest_response
from rl.data.prompts import fit_prompts
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem


def check_prompts(
    config: Config,
    problems: Sequence[Problem],
    protocol: DecisionProtocol,
    show: Callable[[str], None] = print,
    places: Mapping[str, str] | None = None,
) -> list[Problem]:
    """The problems whose prompts can be used; `places` says where problems come from. Raises `DataError` as
    `rl.data.prompts.fit_prompts` does."""
    fitting = fit_prompts(config, problems, protocol, places)
    cap, kept = config.rollout.max_prompt_tokens, fitting.problems
    show(f"prompts: {len(kept)}, the longest {fitting.longest} tokens (cap {cap})")
    for line in fitting.lines("train"):
        show(line)
    if protocol.prompts.control_tokens_seen:
        show(f"control tokens in the texts of prompts: {protocol.prompts.control_tokens_seen}, allowed as configured")
    if protocol.chat.tokenizer.chat_template is not None and protocol.chat.prints_date:
        show(f"date in the prompts: {protocol.chat.today}, that of the run's start")
    return kept


def check_responses(protocol: DecisionProtocol, show: Callable[[str], None] = print) -> None:
    """Write a response in each mode and read it back. Raises `ConfigError` where it is not well-formed: nothing that
    the model could write would be."""
    for mode in MODES:
        ids = protocol.response(mode, "7", "34")  # what the smallest vocabulary can spell
        parsed = protocol.parse(ids)
        text = protocol.decode(ids).replace("\n", "\\n")
        if (parsed.mode, parsed.status) != (mode, "ok") or parsed.answer_text != "7":
            raise ConfigError(
                f"a {mode} response as the protocol writes it, {text!r}, is read back as {parsed.mode} with status "
                f"{parsed.status} and the answer {parsed.answer_text!r}; allowed: a protocol whose responses are read "
                "back (protocol.name, protocol.think, protocol.no_think)"
            )
        show(f"{mode} is written: {text}")
    ends = ", ".join(repr(protocol.decode([token])) for token in protocol.end_ids)
    show(f"a response ends at any of: {ends}")


def check_caps(config: Config, protocol: DecisionProtocol) -> None:
    """Raises `ConfigError` where a length cap cuts every response of a mode: even the shortest has its tags, a decision
    and an end."""
    shortest = {mode: len(protocol.response(mode, "7", "3" if mode == "think" else "")) for mode in MODES}
    mode, tokens = max(shortest.items(), key=lambda pair: pair[1])
    caps = {"rollout.max_new_tokens": longest_response(config), "evaluation.max_new_tokens": greedy_cap(config)}
    for key, cap in caps.items():
        if cap < tokens:
            raise ConfigError(
                f"{key} is {cap}; allowed: at least {tokens}, what the shortest {mode} response of this protocol has"
            )


def greedy_cap(config: Config) -> int:
    """The cap of evaluations, in tokens."""
    return config.evaluation.max_new_tokens or config.rollout.max_new_tokens

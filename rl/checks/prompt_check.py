"""The prompts of a run and the protocol's own responses, checked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rl.config.schema import Config, ConfigError
from rollout.protocol import DecisionProtocol, ProtocolError
from rollout.types import MODES, Problem


def check_prompts(
    config: Config, problems: Sequence[Problem], protocol: DecisionProtocol, show: Callable[[str], None] = print
) -> tuple[list[Problem], int]:
    """The problems whose prompts can be rendered, and the longest prompt in tokens.

    A prompt that cannot be rendered is an error with the problem's id, or is left out (`data.on_bad_row: skip`) up to
    `data.max_bad_share` of them. Raises `ConfigError`, also for a prompt that passes the cap.
    """
    cap, longest = config.rollout.max_prompt_tokens, 0
    kept: list[Problem] = []
    bad: list[str] = []
    for problem in problems:
        try:
            length = len(protocol.render(problem.prompt, problem.messages))
        except ProtocolError as error:
            bad.append(f"problem {problem.id!r}: {error}")
            if config.data.on_bad_row == "stop":
                raise ConfigError(f"{bad[0]} (or data.on_bad_row: skip)") from error
            continue
        if length > cap:
            raise ConfigError(
                f"problem {problem.id!r} has a prompt of {length} tokens; allowed: rollout.max_prompt_tokens, {cap}"
            )
        kept.append(problem)
        longest = max(longest, length)
    if len(bad) > config.data.max_bad_share * len(problems):
        raise ConfigError(
            f"{len(bad)} of {len(problems)} prompts cannot be rendered; allowed: a share of data.max_bad_share, "
            f"{config.data.max_bad_share}; the first: {bad[0]}"
        )
    show(f"prompts: {len(kept)}, the longest {longest} tokens (cap {cap})")
    if bad:
        show(f"prompts left out: {len(bad)} of {len(problems)}; the first: {bad[0]}")
    if protocol.prompts.control_tokens_seen:
        show(f"control tokens in the texts of prompts: {protocol.prompts.control_tokens_seen}, allowed as configured")
    if protocol.chat.tokenizer.chat_template is not None and protocol.chat.prints_date:
        show(f"date in the prompts: {protocol.chat.today}, that of the run's start")
    return kept, longest


def check_responses(protocol: DecisionProtocol, show: Callable[[str], None] = print) -> None:
    """Write a response in each mode and read it back. Raises `ConfigError` where it is not well-formed: nothing that
    the model could write would be."""
    for mode in MODES:
        ids = protocol.response(mode, "7", "3+4=7")  # what the smallest vocabulary can spell
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

"""What of the data needs a tokenizer to be judged: prompts that the template refuses, prompts above the length cap, and
those with text that the tokenizer has no tokens for. They are bad rows like any other (`data.on_bad_row`)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from rl.config.schema import Config
from rl.data.load import check_share, read_problems, take
from rl.data.records import DataError
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Mode, Problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitting:
    """The problems whose prompts can be used, one line for each of the others by id, and the longest prompt in
    tokens."""

    problems: list[Problem]
    bad: Mapping[str, str]
    longest: int

    def lines(self, split: str) -> list[str]:
        """What was left out, for people."""
        if not self.bad:
            return []
        total, shown = len(self.problems) + len(self.bad), "; ".join(list(self.bad.values())[:3])
        return [f"data.{split}: {len(self.bad)} of {total} prompts left out: {shown}"]


def usable_problems(config: Config, split: str, protocol: DecisionProtocol) -> list[Problem]:
    """The problems of a split whose prompts can be used. Raises `DataError`."""
    loaded = read_problems(config, split)
    fitting = fit_prompts(config, loaded.problems, protocol, loaded.places)
    for line in [*loaded.lines(split), *fitting.lines(split)]:
        logger.warning("%s", line)
    return fitting.problems


def draw_usable(config: Config, split: str, protocol: DecisionProtocol, count: int | None) -> list[Problem]:
    """`count` of the usable problems (None or 0: all), drawn as `rl/data/draw.py` says."""
    where = config.data.train if split == "train" else config.data.test
    return take(usable_problems(config, split, protocol), count, config, where)


def fit_prompts(
    config: Config,
    problems: Sequence[Problem],
    protocol: DecisionProtocol,
    places: Mapping[str, str] | None = None,
    *,
    keep_going: bool = False,
) -> Fitting:
    """Render and tokenize every prompt. Raises `DataError` for bad ones as the configuration says, with how many there
    are and the place of the first; `keep_going` lists them all."""
    kept, bad, longest = [], {}, 0
    for problem in problems:
        try:
            tagged = config.rollout.tagged_share or config.cold_start.tagged_share
            asked: tuple[Mode | None, ...] = (None, *MODES) if tagged else (None,)
            length = max(prompt_tokens(problem, protocol, config.rollout.max_prompt_tokens, mode) for mode in asked)
        except UserError as error:
            place = (places or {}).get(problem.id, "")
            bad[problem.id] = f"{place}: {error}" if place else str(error)
            continue
        kept.append(problem)
        longest = max(longest, length)
    if bad and not keep_going:
        if config.data.on_bad_row == "stop":
            raise DataError(f"{next(iter(bad.values()))} ({len(bad)} of {len(problems)} prompts cannot be used)")
        check_share(len(bad), len(problems), list(bad.values()), "the prompts", config.data.max_bad_share)
    return Fitting(kept, bad, longest)


def prompt_tokens(problem: Problem, protocol: DecisionProtocol, cap: int, stated: Mode | None = None) -> int:
    """The length of the rendered prompt, with this mode stated. Raises `UserError` when it cannot be used."""
    try:
        text = protocol.prompt_text(problem.prompt, problem.messages, stated)
    except UserError as error:
        raise DataError(f"problem {problem.id!r}: {error}") from error
    except TemplateError as error:
        raise DataError(f"problem {problem.id!r}: the chat template refuses it ({error})") from error
    ids = protocol.prompts.ids(text)
    if len(ids) > cap:
        raise DataError(
            f"problem {problem.id!r} has a prompt of {len(ids)} tokens; allowed: rollout.max_prompt_tokens, {cap}"
        )
    unknown = unknown_tokens(text, ids, protocol)
    if unknown:
        raise DataError(
            f"problem {problem.id!r} has a prompt with {unknown} tokens that the tokenizer does not know; allowed: "
            "text of its vocabulary"
        )
    return len(ids)


def unknown_tokens(text: str, ids: Sequence[int], protocol: DecisionProtocol) -> int:
    """How many tokens stand for text that the tokenizer has no token for: the model never sees what it says."""
    unknown = getattr(protocol.chat.tokenizer, "unk_token_id", None)
    written = getattr(protocol.chat.tokenizer, "unk_token", None)
    # Where the text itself spells that token, as templates do whose end token it is, it is meant.
    return 0 if unknown is None or (written and written in text) else ids.count(unknown)

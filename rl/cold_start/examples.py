"""The two-mode set: every problem once with thinking and once answered directly.

Both modes of a problem share everything before the switch, so fine-tuning on it teaches how to answer in each mode and
leaves the choice between them at one half. Rows come in the order they are trained in: of each batch first the
thinking half, then the direct half, so that short responses are padded to short ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rl.config import Config, ConfigError
from rl.data import is_tiny, load_problems, read_gsm8k_thinking
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Mode, Problem

COLD_START_SEED = 2000
IGNORE = -100


@dataclass(frozen=True)
class Worked:
    """A problem with a worked solution; `judge_words` are texts to draw the judge step from."""

    problem: Problem
    thinking: str
    judge_words: Sequence[str] = ("",)


def worked_problems(config: Config) -> list[Worked]:
    """The cold start's problems. The embedded world excludes its test prompts; GSM8K takes the train split."""
    count = config.cold_start.problems
    if is_tiny(config.data.train):
        from rl.tiny.model import JUDGE_WORDS
        from rl.tiny.worlds import find_world

        world = find_world(config.data.train)
        held_out = frozenset(p.prompt for p in load_problems(config, "test"))
        shares = config.cold_start.shares or config.data.shares or world.shares
        made = world.draw(count, COLD_START_SEED + config.seed, shares, held_out)
        return [Worked(w.problem, w.thinking, JUDGE_WORDS) for w in made]
    if config.data.format != "gsm8k":
        raise ConfigError("the cold start needs worked solutions; allowed: data.train tiny, or data.format gsm8k")
    thinking = read_gsm8k_thinking(config, "train")
    return [Worked(p, thinking[p.id]) for p in load_problems(config, "train")[:count]]


def training_rows(
    worked: Sequence[Worked], config: Config, protocol: DecisionProtocol
) -> Iterator[dict[str, list[int]]]:
    """`steps × batch` rows of `input_ids` and `labels` (prompt tokens ignored). Rows above `max_length` are skipped."""
    settings = config.cold_start
    rng = random.Random(f"cold-start-{config.seed}")
    stream = _usable(worked, rng, protocol, settings.max_length)
    for _ in range(settings.steps):
        pairs = [next(stream) for _ in range(settings.batch // 2)]
        for index in range(len(MODES)):
            yield from (pair[index] for pair in pairs)


def _usable(
    worked: Sequence[Worked], rng: random.Random, protocol: DecisionProtocol, max_length: int
) -> Iterator[list[dict[str, list[int]]]]:
    """Endless passes over the problems as (think row, direct row)."""
    while True:
        found = False
        for one in rng.sample(worked, len(worked)):
            rows = [row(one, mode, rng.choice(one.judge_words), protocol) for mode in MODES]
            if all(len(r["input_ids"]) <= max_length for r in rows):
                found = True
                yield rows
        if not found:
            raise ConfigError(f"cold_start.max_length is {max_length}: no worked problem fits")


def row(worked: Worked, mode: Mode, judge: str, protocol: DecisionProtocol) -> dict[str, list[int]]:
    """One training row: prompt and response, the loss on the response alone."""
    prompt = protocol.render(worked.problem.prompt)
    response = protocol.response(mode, worked.problem.answer or "", worked.thinking, judge)
    return {"input_ids": [*prompt, *response], "labels": [IGNORE] * len(prompt) + list(response)}

"""Two judges on the same responses: where do the reward `math` and the library math-verify differ?

The responses are those that a run recorded, `rollouts/*.jsonl`. Neither judge is the truth; what they differ on is
worth a look, and an answer that only ours likes may be a way to earn without being right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rewards.builtin.math_answer import check
from rewards.builtin.peer_math import peer_verdict
from rl.checks.reward_check import LONGEST_LINE
from rl.config.schema import ConfigError
from rl.files.json_lines import json_lines
from rollout.printable import printable
from rollout.types import Rollout, rollout_from_json

_SHOWN = 20
_SHOWN_CHARS = 160


@dataclass(frozen=True)
class Opinion:
    """One response and what each judge says of it; `math` is a reason of the math checker."""

    problem: str
    gold: str
    answer: str
    math: str
    peer: str

    @property
    def differs(self) -> bool:
        """Whether one judge finds the response right and the other does not."""
        return (self.math == "equal") != (self.peer == "equal")


def recorded_rollouts(path: Path) -> Iterator[Rollout]:
    """The rollouts of a run folder, of a folder of jsonl files, or of one such file. Raises `ConfigError`."""
    folder = path / "rollouts" if (path / "rollouts").is_dir() else path
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else [folder] if folder.is_file() else []
    if not files:
        raise ConfigError(f"--cross-check {path}: no recorded rollouts there; allowed: a run folder or a jsonl file")
    for file in files:
        for number, row in json_lines(file):
            try:
                yield rollout_from_json(row)
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"--cross-check {file} line {number}: no rollout: {error}") from None


def cross_check(path: Path, limit: int | None = None, progress: bool = False) -> list[Opinion]:
    """Both opinions on each different pair of response and gold answer, the first `limit` of them."""
    pairs = {
        (rollout.answer_text, rollout.problem.answer): rollout.problem.id
        for rollout in recorded_rollouts(path)
        if rollout.problem.answer and rollout.answer_text.strip()
    }
    found = []
    for (answer, gold), problem in tqdm(
        list(pairs.items())[:limit], desc="responses", dynamic_ncols=True, disable=None if progress else True
    ):
        found.append(Opinion(problem, gold, answer, check(answer, gold).reason, peer_verdict(answer, gold)))
    return found


def cross_lines(opinions: list[Opinion]) -> list[str]:
    """How often they agree, and the responses on which they do not, a line each."""
    apart = [opinion for opinion in opinions if opinion.differs]
    ours = sum(opinion.math == "equal" for opinion in apart)
    lines = [
        f"responses: {len(opinions)}; both right: {sum(o.math == o.peer == 'equal' for o in opinions)}; "
        f"only math right: {ours}; only math_verify right: {len(apart) - ours}"
    ]
    for opinion in apart[:_SHOWN]:
        end = " ".join(opinion.answer.split())[-_SHOWN_CHARS:]
        lines.append(
            f"  {opinion.problem}: gold {opinion.gold[:_SHOWN_CHARS]!r}, response ends {end!r}: "
            f"math {opinion.math}, math_verify {opinion.peer}"
        )
    return [printable(line, LONGEST_LINE) for line in lines]

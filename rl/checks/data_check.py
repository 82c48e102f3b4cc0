"""What `scripts/check_data.py` finds in the data of a run, and the problems that remain without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rewards.registry import Reward
from rl.checks.overlap import Overlap, duplicates, overlaps
from rl.checks.reward_check import Probe, check_rewards
from rl.config.schema import Config
from rl.data.load import Loaded, read_problems
from rl.data.schema import problem_to_row
from rl.files.row_store import write_rows
from rollout.types import Problem

SPLITS = ("train", "test")
SHOWN = 5


@dataclass(frozen=True)
class SplitCheck:
    """One split: its problems, repeated ones as (id, first id), how many gold answers were tried and which failed."""

    loaded: Loaded
    repeated: list[tuple[str, str]]
    tried: int
    failed: list[Probe]

    @property
    def bad_gold(self) -> float:
        """The share of the gold answers that fails."""
        return len(self.failed) / self.tried if self.tried else 0.0


@dataclass(frozen=True)
class DataCheck:
    """Both splits, and the training problems that overlap with the test split."""

    splits: dict[str, SplitCheck]
    overlapping: list[Overlap]

    def lines(self) -> list[str]:
        """The report, for people."""
        shown = []
        for name, split in self.splits.items():
            shown.append(f"{name}: {len(split.loaded.problems)} problems of {split.loaded.where!r}")
            shown += _listed("bad rows", split.loaded.bad)
            shown += _listed("duplicates", [f"{one} repeats {first}" for one, first in split.repeated])
            shown += _listed(
                f"gold answers that the rewards cannot verify ({split.bad_gold:.1%} of {split.tried})",
                [f"{probe.problem}: {probe.told()}" for probe in split.failed],
            )
        found = [f"{one.train_id} and {one.test_id} share {one.shared[:100]!r}" for one in self.overlapping]
        return shown + _listed("training problems that overlap with the test split", found)

    def refusals(self, config: Config) -> list[str]:
        """What is above its limit."""
        limit, refused = config.data.max_bad_gold, []
        for name, split in self.splits.items():
            if split.bad_gold > limit:
                refused.append(
                    f"{split.bad_gold:.1%} of the gold answers of data.{name} fail their reward; allowed: "
                    f"data.max_bad_gold, {limit:.1%}"
                )
        return refused

    def sound(self, name: str) -> list[Problem]:
        """The problems of a split without repeated ones, failing gold answers and, in training, overlaps."""
        split = self.splits[name]
        left_out = {one for one, _ in split.repeated} | {probe.problem for probe in split.failed}
        if name == "train":
            left_out |= {one.train_id for one in self.overlapping}
        return [problem for problem in split.loaded.problems if problem.id not in left_out]


def check_data(config: Config, rewards: Sequence[Reward]) -> DataCheck:
    """Read and check both splits. Raises `DataError` for what cannot be read at all."""
    splits = {}
    for name in SPLITS:
        loaded = read_problems(config, name)
        check = check_rewards(loaded.problems, rewards, progress=True, kinds=("gold",))
        splits[name] = SplitCheck(loaded, duplicates(loaded.problems), len(check.of("gold")), check.failed("gold"))
    train, test = (splits[name].loaded.problems for name in SPLITS)
    return DataCheck(splits, overlaps(train, test))


def write_sound(check: DataCheck, folder: Path) -> list[Path]:
    """Write the sound problems of both splits in this project's schema; returns the files."""
    paths = []
    for name in SPLITS:
        paths.append(folder / f"{name}.jsonl")
        write_rows(paths[-1], [problem_to_row(problem) for problem in check.sound(name)])
    return paths


def _listed(title: str, found: Sequence[str]) -> list[str]:
    return [f"  {title}: {len(found)}", *(f"    {one}" for one in found[:SHOWN])]

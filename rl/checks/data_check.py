"""What `scripts/check_data.py` finds in the data of a run, and the problems that remain without it.

Left out of what remains: whatever a run would refuse (bad rows, prompts that cannot be used, gold answers that fail
their reward), problems that repeat another, and training problems that overlap with the test split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.registry import Reward
from rl.checks.overlap import Overlap, duplicates, overlaps
from rl.checks.reward_check import LONGEST_LINE, Probe, check_rewards
from rl.config.schema import Config
from rl.data.load import Loaded, read_problems
from rl.data.prompts import fit_prompts
from rl.data.schema import problem_to_row
from rl.data.settings import SPLITS
from rl.files.outputs import rows_text, write_claimed
from rollout.printable import printable
from rollout.protocol import DecisionProtocol
from rollout.types import Problem

SHOWN = 5


@dataclass(frozen=True)
class SplitCheck:
    """One split: its problems and bad rows, one line for each unusable prompt by id, repeated problems as (id, first
    id), how many gold answers were tried and which failed."""

    loaded: Loaded
    prompts: Mapping[str, str]
    repeated: list[tuple[str, str]]
    tried: int
    failed: list[Probe]

    @property
    def bad_share(self) -> float:
        """The share of all rows that holds no problem; the other counts are of the problems that were drawn."""
        return len(self.loaded.bad) / self.loaded.read if self.loaded.read else 0.0

    def share_without(self, left: int) -> float:
        """The share of the rows that goes where this many of the problems do not stay."""
        drawn = len(self.loaded.problems)
        return self.bad_share + (1 - self.bad_share) * left / drawn if drawn else 1.0

    @property
    def bad_gold(self) -> float:
        """The share of the gold answers that fails."""
        return len(self.failed) / self.tried if self.tried else 0.0

    @property
    def bad_rows(self) -> float:
        """The share of the rows that a run could not use."""
        return self.share_without(len(self.prompts))


@dataclass(frozen=True)
class DataCheck:
    """Both splits, the training problems that overlap with the test split, and why prompts were not looked at (empty:
    they were)."""

    splits: dict[str, SplitCheck]
    overlapping: list[Overlap]
    unchecked: str = ""

    def lines(self) -> list[str]:
        """The report, for people."""
        shown = [f"prompts: not checked ({self.unchecked})"] if self.unchecked else []
        for name, split in self.splits.items():
            shown.append(f"{name}: {len(split.loaded.problems)} problems of {split.loaded.where!r}")
            shown += _listed("bad rows", split.loaded.bad)
            shown += _listed("prompts that cannot be used", list(split.prompts.values()))
            shown += _listed("left out of rows", split.loaded.notes) if split.loaded.notes else []
            shown += _listed("duplicates", [f"{one} repeats {first}" for one, first in split.repeated])
            if split.tried:
                shown += _listed(
                    f"gold answers that the rewards cannot verify ({split.bad_gold:.1%} of {split.tried})",
                    [f"{probe.problem}: {probe.told()}" for probe in split.failed],
                )
            else:
                shown.append("  gold answers: none is known, so none was tried")
        found = [f"{one.train_id} and {one.test_id} share {one.shared[:100]!r}" for one in self.overlapping]
        shown += _listed("training problems that overlap with the test split", found)
        return [printable(line, LONGEST_LINE) for line in shown]

    def refusals(self, config: Config) -> list[str]:
        """What is above its limit."""
        data, refused = config.data, []
        for name, split in self.splits.items():
            if split.bad_rows > data.max_bad_share:
                refused.append(
                    f"{split.bad_rows:.1%} of the rows of data.{name} are bad; allowed: data.max_bad_share, "
                    f"{data.max_bad_share:.1%}"
                )
            if split.bad_gold > data.max_bad_gold:
                refused.append(
                    f"{split.bad_gold:.1%} of the gold answers of data.{name} fail their reward; allowed: "
                    f"data.max_bad_gold, {data.max_bad_gold:.1%}"
                )
        return refused + self.too_much_dropped(config)

    def too_much_dropped(self, config: Config) -> list[str]:
        """The splits of which so much would be left out that what remains is another data set."""
        refused = []
        for name, split in self.splits.items():
            kept = len(self.sound(name))
            dropped = split.share_without(len(split.loaded.problems) - kept)
            if not kept or dropped > config.data.max_drop:
                refused.append(
                    f"{dropped:.1%} of the rows of data.{name} would be left out; allowed: a share of data.max_drop, "
                    f"{config.data.max_drop:.1%}, and not all"
                )
        return refused

    def sound(self, name: str) -> list[Problem]:
        """The problems of a split without what the module docstring leaves out."""
        split = self.splits[name]
        left_out = {one for one, _ in split.repeated} | {probe.problem for probe in split.failed} | set(split.prompts)
        if name == "train":
            left_out |= {one.train_id for one in self.overlapping}
        return [problem for problem in split.loaded.problems if problem.id not in left_out]

    def to_json(self, config: Config) -> dict[str, Any]:
        """All that was found, as plain data."""
        return {
            "splits": {name: self._split_json(name) for name in self.splits},
            "overlapping": [dataclasses.asdict(one) for one in self.overlapping],
            "prompts_not_checked": self.unchecked,
            "refusals": self.refusals(config),
        }

    def _split_json(self, name: str) -> dict[str, Any]:
        split = self.splits[name]
        return {
            "source": split.loaded.where,
            "rows": split.loaded.read,
            "problems": len(split.loaded.problems),
            "sound": len(self.sound(name)),
            "bad_rows": list(split.loaded.bad),
            "unusable_prompts": dict(split.prompts),
            "notes": list(split.loaded.notes),
            "duplicates": [list(pair) for pair in split.repeated],
            "gold_tried": split.tried,
            "gold_failed": [dataclasses.asdict(probe) for probe in split.failed],
        }


def check_data(
    config: Config, rewards: Sequence[Reward], protocol: DecisionProtocol | None = None, unchecked: str = ""
) -> DataCheck:
    """Read and check both splits; without a protocol prompts are not looked at. Raises `DataError` for what cannot be
    read at all."""
    splits = {}
    for name in SPLITS:
        loaded = read_problems(config, name, keep_going=True)
        prompts = fit_prompts(config, loaded.problems, protocol, loaded.places, keep_going=True).bad if protocol else {}
        check = check_rewards(loaded.problems, rewards, progress=True, kinds=("gold",))
        repeated = duplicates(loaded.problems)
        splits[name] = SplitCheck(loaded, prompts, repeated, len(check.of("gold")), check.failed("gold"))
    train, test = (splits[name].loaded.problems for name in SPLITS)
    return DataCheck(splits, overlaps(train, test), unchecked)


def write_sound(check: DataCheck, folder: Path, command: str) -> list[Path]:
    """Write the sound problems of both splits in this project's schema, for this command; returns the files."""
    paths = []
    for name in SPLITS:
        paths.append(folder / f"{name}.jsonl")
        write_claimed(paths[-1], rows_text([problem_to_row(problem) for problem in check.sound(name)]), command)
    return paths


def _listed(title: str, found: Sequence[str]) -> list[str]:
    return [f"  {title}: {len(found)}", *(f"    {one}" for one in found[:SHOWN])]

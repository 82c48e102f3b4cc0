"""The fair field: who is compared, where, on which seeds, and what must not change between tuning and test.

    tune     every main algorithm tries the same grid on the development worlds, seeds from 100 on; the others inherit
    freeze   the commit that the test is made with is written down, and which difference five seeds can detect
    test     the test worlds, once, seeds 25 to 29 (0 to 24 were those of the tests before) with a cold start each; then
             more seeds until the named comparisons detect the target or the core-hours are spent. What the runs come
             to decides nothing about how many follow: only their spread does
    rest     the other algorithms, the published presets and the code's default, for description

What is frozen is the git object of each path below: a test refuses to run where one differs from what was written down.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.comparison.inference import (
    counts,
    detectable,
    named_comparisons,
    paired_differences,
    seeds_needed,
    spreads,
    standard_error,
)
from rl.comparison.report import OURS, PEERS
from rl.comparison.world_check import WORTH
from rl.files.json_file import read_object
from rl.worlds.worlds import DEVELOPMENT, TEST
from rollout.errors import UserError

MAIN = (OURS, *PEERS, "autothink", "ada_grpo")
OTHERS = ("hipo", "hgpo", "dr_grpo", "bpo", "paired_routing")
PUBLISHED = tuple(f"{name}@published" for name in ("adaptthink", "degrpo", "grpo", "autothink", "ada_grpo", "hipo"))
DEFAULT = (f"{OURS}@default",)
TUNING_SEEDS, TEST_SEEDS = (100, 101), (25, 26, 27, 28, 29)
TARGET, HOURS = 0.003, 8.0
FROZEN = (
    "configs/compare.yaml",
    *(f"benchmarks/{name}" for name in ("tuned.yaml", "tuning.yaml", "field.py")),
    *("constraints.txt", "rl", "rollout", "rewards"),
)
Cells = Sequence[Mapping[str, Any]]


def tuned_cells(tried: Sequence[Mapping[str, Any]], tuned: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The runs of the best settings among `tried`, as cells of a comparison."""
    return [
        {**run, "algorithm": row["algorithm"]}
        for row in tried
        if tuned.get(row["algorithm"]) == row["settings"]
        for run in row.get("runs", ())
    ]


def expected_detectable(cells: Cells, seeds: int, worlds: int) -> dict[str, float]:
    """By peer, the difference in the mean over `worlds` worlds of `seeds` seeds that will be detectable, if runs there
    spread as in these cells. Peers without two paired seeds of a world are left out."""
    found = {}
    for peer in PEERS:
        spread = spreads(paired_differences(cells, OURS, peer))
        if spread:
            one = standard_error(spread, dict.fromkeys(spread, seeds)) * math.sqrt(len(spread) / worlds)
            found[peer] = detectable(one, len(PEERS))
    return found


def reached_target(cells: Cells, target: float = TARGET) -> bool:
    """Whether each named comparison detects the target with the runs that are there."""
    found = named_comparisons(cells, OURS, PEERS)
    return len(found) == len(PEERS) and all(
        row["detectable"] is not None and row["detectable"] <= target for row in found.values()
    )


def next_seed(seeds: Sequence[int], worth: Callable[[int], Sequence[Mapping[str, Any]]]) -> int:
    """The first seed after these whose starts all need judging; `worth` looks at those of a seed
    (`world_check.world_rows`)."""
    seed = max(seeds) + 1
    while min(row["worth"] for row in worth(seed)) < WORTH:
        seed += 1
    return seed


def more_seeds(cells: Cells, target: float = TARGET) -> int:
    """Seeds a world that the named comparisons would need in all, by the spread of the runs that are there; 0 where a
    peer has no two seeds to compare, as where its runs failed."""
    spread = [spreads(paired_differences(cells, OURS, peer)) for peer in PEERS]
    return 0 if not all(spread) else max(seeds_needed(one, target, len(PEERS)) for one in spread)


def check_starts(rows: Sequence[Mapping[str, Any]], worlds: Sequence[str], seeds: Sequence[int]) -> None:
    """Raises `UserError` where a start of the test was not looked at, or a constant mode does nearly as well on it as a
    router: what a comparison finds there says nothing about judging. `rows`: of `world_check.check_worlds`."""
    worth: dict[tuple[Any, Any], float] = {}
    try:
        for row in rows:
            start, found = (row["world"], row["seed"]), row["worth"]
            if isinstance(found, bool) or not math.isfinite(found):
                raise ValueError(f"a worth of {found}")
            worth[start] = min(found, worth.get(start, found))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the starts' rows cannot be read ({type(error).__name__}: {error}); allowed: what python "
            "benchmarks/field.py worlds wrote"
        ) from error
    useless = [f"{world} seed {seed}" for world in worlds for seed in seeds if worth.get((world, seed), 0.0) < WORTH]
    if useless:
        raise UserError(
            f"starts that do not need judging, or that nobody looked at: {', '.join(useless)}; allowed: worth {WORTH} "
            "in U on each (python benchmarks/field.py worlds)"
        )


def freeze(
    file: Path,
    tried: Sequence[Mapping[str, Any]],
    tuned: Mapping[str, Mapping[str, Any]],
    starts: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Write the commit and the git object of each frozen path, and what five seeds can detect. `starts`: the
    rows that `check_starts` takes. Raises `UserError` as it does, and where a frozen path has changes that no commit
    has."""
    check_starts(starts, [world.name for world in TEST], TEST_SEEDS)
    if changed := _changed():
        raise UserError(f"changes that no commit has: {', '.join(changed)}; allowed: commit them, then freeze")
    cells = tuned_cells(tried, tuned)
    runs = {row["algorithm"]: 0 for row in tried}
    for row in tried:
        runs[row["algorithm"]] += len(row.get("runs", ()))
    made = {
        "commit": _git("rev-parse", "HEAD"),
        "objects": {path: _git("rev-parse", f"HEAD:{path}") for path in FROZEN},
        "tuning": {"worlds": [world.name for world in DEVELOPMENT], "runs": runs},
        "test": {"worlds": [world.name for world in TEST], "seeds": list(TEST_SEEDS), "target": TARGET, "hours": HOURS},
        "detectable": expected_detectable(cells, len(TEST_SEEDS), len(TEST)),
        "seeds": counts(paired_differences(cells, OURS, PEERS[0])),
    }
    file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return made


def check_frozen(file: Path) -> dict[str, Any]:
    """What was written down. Raises `UserError` where nothing was, or where something frozen is not what it was."""
    if not file.is_file():
        raise UserError(f"{file} is not there: nothing is frozen; allowed: python benchmarks/field.py freeze")
    known = read_object(file, ("commit", "objects"), "what python benchmarks/field.py freeze wrote")
    objects = known["objects"]
    if not isinstance(objects, dict) or not isinstance(known["commit"], str):
        raise UserError(f"{file} holds no commit and objects; allowed: what python benchmarks/field.py freeze wrote")
    moved = [path for path in FROZEN if _git("rev-parse", f"HEAD:{path}") != objects.get(path)]
    moved += _changed()
    if moved:
        raise UserError(
            f"{', '.join(moved)} changed since {known['commit'][:10]} was frozen; allowed: the commit that wrote this "
            f"{file.name} (git log -1 {file}), or freezing anew and all test runs anew"
        )
    return known


def _changed() -> list[str]:
    return [line[3:] for line in _git("status", "--porcelain", "--", *FROZEN).splitlines()]


def _git(*arguments: str) -> str:
    """What git says of the whole checkout, wherever in it this runs."""
    output = ""
    for command in (["rev-parse", "--show-toplevel"], arguments):
        place = ["-C", output] if output else []
        done = subprocess.run(["git", *place, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip() or "failed"
            raise UserError(f"git {' '.join(command)}: {said}; allowed: a git checkout")
        output = done.stdout.rstrip()
    return output

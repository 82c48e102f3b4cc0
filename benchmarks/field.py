"""The fair field of docs/comparison.md, stage by stage; each goes on where it stopped.

    python benchmarks/field.py worlds     # what judging is worth in every world, on the starts of seeds 0 to 4
    python benchmarks/field.py tune       # the grid of benchmarks/tuning.yaml -> benchmarks/tuned.yaml, tuned.json
    python benchmarks/field.py freeze     # the commit of the test -> benchmarks/frozen.json, for test
    python benchmarks/field.py test       # the test worlds -> benchmarks/results/field.json
    python benchmarks/field.py rest       # other algorithms and presets, for description -> results/field_rest.json
    python benchmarks/field.py estimate   # core-hours of all stages from the cells that are there

`--jobs N` makes N runs at once, a core each; `--hours H` ends a stage after H core-hours of its runs, earlier ones too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from compare import hours_of, jobs_of

import rewards
import rl
import rollout
from rl.cli import ENVIRONMENT
from rl.comparison import field
from rl.comparison.report import contents, judging, markdown
from rl.comparison.runs import CELL, Plan, read_cell
from rl.comparison.table import core_seconds, places, run_places
from rl.comparison.tuning import grid_of, inherited, read_settings, tune, write_tuned
from rl.comparison.world_check import check_worlds, world_rows
from rl.files.atomic import write_atomically
from rl.files.outputs import check_writable
from rl.worlds.worlds import DEVELOPMENT, TEST, WORLDS
from rollout.errors import UserError

HERE = Path(__file__).parent
CONFIG, GRID, TUNED, FROZEN = (
    HERE.parent / "configs/compare.yaml",
    *(HERE / name for name in ("tuning.yaml", "tuned.yaml", "frozen.json")),
)
RESULTS = HERE / "results"
DEVELOPMENT_WORLDS, TEST_WORLDS = ([world.name for world in group] for group in (DEVELOPMENT, TEST))


def check_checkout(packages: Iterable[Path], place: Path) -> None:
    """Raises `UserError` where a package comes from another checkout, or git would be asked in one: what is frozen
    would not be what runs."""
    root = HERE.resolve().parent
    for package in packages:
        if package.resolve().parents[1] != root:
            raise UserError(f"{package.parent} is imported; allowed: pip install -e . in {root}")
    if root not in (place.resolve(), *place.resolve().parents):
        raise UserError(f"this was started in {place}; allowed: {root}")


def plan_of(options: argparse.Namespace, part: str, frozen: dict[str, str] | None = None) -> Plan:
    """Runs below runs/field/PART, with the tuned settings that are there."""
    tuned = read_settings(TUNED) if TUNED.is_file() and part != "tuning" else {}
    folder = Path(options.folder) / part
    return Plan(str(CONFIG), [f"run_dir={folder}"], folder, tuned, frozen=frozen or {})


def worlds(options: argparse.Namespace) -> None:
    """Cold starts and what judging is worth on them: those of the test runs, and of the tuning."""
    rows = check_worlds(plan_of(options, "test"), TEST_WORLDS, field.TEST_SEEDS, print)
    rows += check_worlds(plan_of(options, "tuning"), DEVELOPMENT_WORLDS, field.TUNING_SEEDS, print)
    write_atomically(RESULTS / "worlds.json", json.dumps({"worlds": rows}, indent=1) + "\n")


def tuning(options: argparse.Namespace) -> None:
    """The grid for the main algorithms; the others inherit rate and iterations once all of these are done."""
    plan, grids = plan_of(options, "tuning"), read_settings(GRID)
    seeds = field.TUNING_SEEDS
    best, tried = tune(plan, grids, DEVELOPMENT_WORLDS, field.MAIN, seeds, print, options.jobs, options.hours)
    if set(best) != set(field.MAIN):
        print("nothing written: start again for the runs that are left")
        return
    best |= {name: inherited(tried) for name in field.OTHERS}
    print(f"written: {write_tuned(TUNED, best, tried, seeds, DEVELOPMENT_WORLDS)}")


def freeze(options: argparse.Namespace) -> None:
    """The commit of the test and what five seeds can detect there."""
    if FROZEN.is_file():
        raise UserError(f"{FROZEN} is there: a test is frozen; allowed: that file moved away, to freeze anew")
    tried = read_tried()
    starts = read_json(RESULTS / "worlds.json", "worlds")
    made = field.freeze(FROZEN, tried, read_settings(TUNED), starts)
    print(f"frozen: {made['commit']}; detectable with five seeds: {made['detectable']}; written: {FROZEN}")


def test(options: argparse.Namespace) -> None:
    """The main algorithms on the test worlds; seeds are added for the named comparisons alone."""
    frozen = field.check_frozen(FROZEN)
    tries(), runs_in(RESULTS / "field.json")
    plan, hours = plan_of(options, "test", frozen["objects"]), options.hours or field.HOURS
    # The named comparisons come first: what is stopped early has them whole.
    named = field.MAIN[: 1 + len(field.PEERS)]
    wanted = places(TEST_WORLDS, named, field.TEST_SEEDS)
    wanted += places(TEST_WORLDS, field.MAIN[len(named) :], field.TEST_SEEDS)
    while True:
        cells = run_places(plan, wanted, print, options.jobs, hours)
        known = [cell for cell in cells if cell is not None]
        if len(known) < len(wanted) or field.reached_target(judging(known)):
            break
        needed = field.more_seeds(judging(known))
        if not needed:
            break
        seeds = [place.seed for place in wanted]
        seed = field.next_seed(seeds, lambda seed: world_rows(plan, TEST_WORLDS, [seed], print))
        print(f"the runs leave more than {field.TARGET} undetected, for which they ask {needed} seeds: {seed} is added")
        wanted += places(TEST_WORLDS, named, [seed])
    write_results(RESULTS / "field.json", known, frozen=frozen, tries=tries())


def rest(options: argparse.Namespace) -> None:
    """Everything else, for description, with the seeds that the hours allow."""
    frozen = field.check_frozen(FROZEN)
    runs_in(RESULTS / "field_rest.json")
    plan = plan_of(options, "test", frozen["objects"])
    names = [*field.DEFAULT, *field.PUBLISHED, *field.OTHERS]
    cells = run_places(plan, places(TEST_WORLDS, names, field.TEST_SEEDS), print, options.jobs, options.hours)
    write_results(RESULTS / "field_rest.json", [cell for cell in cells if cell is not None], frozen=frozen)


def estimate(options: argparse.Namespace) -> None:
    """Core-hours of the stages: mean of the measured cells of a world, or of all worlds where it has none."""
    known: dict[str, list[float]] = defaultdict(list)
    for file in Path(options.folder).glob(f"*/*/seed*/*/{CELL}"):
        cell = read_cell(file)
        world = str(cell["world"])
        if world not in WORLDS:
            raise UserError(f"{file}: world is {world[:60]!r}; allowed: {', '.join(WORLDS)}, or that file moved away")
        if "error" not in cell:
            known[world].append(core_seconds(cell))
    if not known:
        raise UserError(f"no cells in {options.folder}; allowed: begin with tune --hours 0.1")
    every = [seconds for world, values in known.items() if world != "long" for seconds in values]
    mean = {world: sum(v) / len(v) for world in WORLDS for v in [known.get(world) or every or known["long"]]}
    if not known.get("long"):
        mean["long"] *= 10
    combinations = sum(len(grid_of(read_settings(GRID), name)) for name in field.MAIN)
    seeds = len(field.TEST_SEEDS)
    test_seconds = seeds * sum(mean[world] for world in TEST_WORLDS)
    names = [*field.DEFAULT, *field.PUBLISHED, *field.OTHERS]
    # The better half alone gets a further seed.
    runs = combinations * sum(0.5**number for number in range(len(field.TUNING_SEEDS)))
    tune_seconds = runs * sum(mean[world] for world in DEVELOPMENT_WORLDS)
    for stage, seconds in (
        ("tune", tune_seconds),
        (f"test, {seeds} seeds", len(field.MAIN) * test_seconds),
        (f"rest, {seeds} seeds", len(names) * test_seconds),
    ):
        print(f"{stage}: {seconds / 3600:.1f} core-hours")
    for world, values in sorted(known.items()):
        print(f"  measured {world}: {sum(values) / len(values):.0f} core-seconds a run, {len(values)} runs")


def tries() -> dict[str, int]:
    """Runs that each algorithm was tuned with, those by hand too."""
    file = HERE / "by_hand.yaml"
    try:
        counted = {str(name): int(runs) for name, runs in yaml.safe_load(file.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file} cannot be read ({reason}); allowed: a number of runs by algorithm") from error
    for row in read_tried():
        counted[row["algorithm"]] = counted.get(row["algorithm"], 0) + len(row.get("runs", ()))
    return counted


def read_tried() -> list[dict[str, Any]]:
    """The rows of tuned.json. Raises `UserError` where one lacks what the rules need of it, or there is none."""
    file = TUNED.with_suffix(".json")
    rows = read_json(file, "tried")
    try:
        for row in rows:
            for run in (row["algorithm"], row["settings"]) and row.get("runs", ()):
                float(run["utility"] if "error" not in run else 0), run["world"], run["seed"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file} has an odd row ({type(error).__name__}: {error}); allowed: what tune writes"
        ) from error
    if not rows:
        raise UserError(f"{file} has no runs; allowed: python benchmarks/field.py tune")
    return rows


def read_json(file: Path, key: str) -> Any:
    """What stands under `key`. Raises `UserError` that names the file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{file} cannot be read ({reason}); allowed: what the stage before it writes") from error


def runs_in(file: Path) -> int:
    """Runs with numbers that a file of results has; read before the first run too, so that a damaged one costs none."""
    cells = read_json(file, "cells") if file.is_file() else []
    if not isinstance(cells, list):
        raise UserError(f"{file} has no list of cells; allowed: what this program wrote, or that file moved away")
    return _with_numbers(cells)


def _with_numbers(cells: list[Any]) -> int:
    return sum("error" not in cell for cell in cells)


def write_results(file: Path, cells: list[dict[str, Any]], **known: Any) -> None:
    """The JSON with every run and curve, and the tables beside it. Raises `UserError` where the file has more runs."""
    there = runs_in(file)
    if there > (made := _with_numbers(cells)):
        raise UserError(f"{file} has {there} runs and these are {made}: it stays; allowed: that file moved away")
    write_atomically(file, json.dumps({**known, **contents(cells)}, indent=1) + "\n")
    write_atomically(file.with_suffix(".md"), markdown(cells))
    print(f"written: {file} and {file.with_suffix('.md')}")


STAGES = {"worlds": worlds, "tune": tuning, "freeze": freeze, "test": test, "rest": rest, "estimate": estimate}


def main() -> None:
    """Run one stage; an error of the user is one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--jobs", type=jobs_of, default=1, metavar="N")
    parser.add_argument("--hours", type=hours_of, default=0.0, metavar="H")
    parser.add_argument("--folder", default="runs/field")
    options = parser.parse_args()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        check_checkout([Path(package.__file__) for package in (rl, rewards, rollout)], Path.cwd())
        check_writable(Path(options.folder), folder=True)
        STAGES[options.stage](options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()

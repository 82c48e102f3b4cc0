"""Compare algorithms: the same cold start, data and budget of generated tokens; a table, its JSON and plots.

    python scripts/compare.py configs/compare.yaml --algorithms step_srpo,grpo --seeds 0-4 --worlds walk,kind
    python scripts/compare.py configs/compare.yaml --algorithms step_srpo,grpo --seeds 100,101 --worlds development \\
        --tune benchmarks/tuning.yaml --tuned benchmarks/tuned.yaml
    python scripts/compare.py configs/compare.yaml --routers --seeds 0-4 --worlds test

The second form tunes: it tries the grid of `--tune` and writes the best settings to `--tuned`, which the first form
reads. The third trains no algorithm: it shows for each world and start what a router by true level pass rates has above
the best constant mode. Finished runs are kept; a killed comparison goes on where it stopped. Method and measures:
docs/comparison.md; the fair field, with its worlds, seeds and rules: benchmarks/field.py.
"""

import contextlib
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from rl.cli import check_light, names_of, parser, run, seeds_of
from rl.config.schema import Config, ConfigError


def main(options: Namespace, config: Config) -> None:
    """Check everything in all combinations, then run, then write what came of it."""
    from rl.comparison.report import write_comparison
    from rl.comparison.runs import Plan
    from rl.comparison.table import places, run_places
    from rl.comparison.tuning import grid_of, tune, write_tuned
    from rl.comparison.world_check import check_worlds
    from rl.worlds.worlds import named_worlds

    worlds = named_worlds(options.worlds) or [""]
    folder = Path(config.run_dir)
    tuned, grids = settings_files(options)
    plan = Plan(options.config, options.overrides, folder, tuned, options.starts)
    for name in [""] if options.routers else options.algorithms:
        for settings in grid_of(grids, name) if options.tune else [None]:
            for world in worlds:
                check_light(plan.settings(world, options.seeds[0], name, settings))
    if options.routers:
        check_worlds(plan, worlds, options.seeds, print)
        return
    if options.tune:
        best, tried = tune(plan, grids, worlds, options.algorithms, options.seeds, print, options.jobs, options.hours)
        if best:
            print(f"written: {write_tuned(Path(options.tuned), best, tried, options.seeds, worlds)}")
        return
    wanted = places(worlds, options.algorithms, options.seeds)
    cells = [cell for cell in run_places(plan, wanted, print, options.jobs, options.hours) if cell is not None]
    for path in write_comparison(folder, cells):
        print(f"written: {path}")


def settings_files(options: Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the chosen settings of `--tuned`, the grids of `--tune`), both checked. Raises `ConfigError`."""
    from rl.comparison.tuning import check_tuned_file, known_algorithms, read_settings

    idle = [name for name in ("algorithms", "tune", "tuned", "hours") if getattr(options, name)]
    if options.routers and (idle or options.jobs > 1):
        raise ConfigError(
            f"--routers trains nothing, and --{(idle or ['jobs'])[0]} is for training; allowed: without it"
        )
    if any(text.partition("=")[0] == "seed" for text in options.overrides):
        raise ConfigError("seed is given beside --seeds, which says the seed of each run; allowed: --seeds")
    if not options.routers and not options.algorithms:
        raise ConfigError("no algorithms to compare; allowed: --algorithms A,B, or --routers for the worlds alone")
    if not options.tune:
        tuned = read_settings(options.tuned) if options.tuned else {}
        known_algorithms(tuned, options.tuned)
        return tuned, {}
    if not options.tuned:
        raise ConfigError("--tune needs --tuned FILE, where the best settings go")
    check_tuned_file(options.tuned, options.tune)
    return {}, read_settings(options.tune)


def hours_of(text: str) -> float:
    """Core-hours above 0. Raises `ArgumentTypeError` for anything else."""
    with contextlib.suppress(ValueError):
        if 0 < (hours := float(text)) < 1e6:
            return hours
    raise ArgumentTypeError(f"{text!r} are no core-hours; allowed: above 0, below a million")


def jobs_of(text: str) -> int:
    """One job or more. Raises `ArgumentTypeError` for anything else."""
    with contextlib.suppress(ValueError):
        if (jobs := int(text)) >= 1:
            return jobs
    raise ArgumentTypeError(f"{text!r} is no number of jobs; allowed: 1 or more")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument(
        "--algorithms", default=[], type=names_of, metavar="A,B", help="names, NAME@published or file.py:function"
    )
    arguments.add_argument("--seeds", default="0-4", type=seeds_of, help="0-4 or 1,3")
    arguments.add_argument(
        "--starts", default=[], type=seeds_of, help="seeds of the cold starts, taken in turn; without: each run's own"
    )
    arguments.add_argument(
        "--worlds", default=[], type=names_of, metavar="W,V", help="small worlds; development, test, checks or all"
    )
    arguments.add_argument("--tune", default="", metavar="FILE", help="a grid of settings by algorithm to try")
    arguments.add_argument("--tuned", default="", metavar="FILE", help="the best settings: read, or written by --tune")
    arguments.add_argument("--routers", action="store_true", help="no runs: what routing is worth in each world")
    arguments.add_argument("--jobs", default=1, type=jobs_of, metavar="N", help="runs at once, a core each")
    arguments.add_argument("--hours", default=0.0, type=hours_of, metavar="H", help="core-hours of all runs together")
    run(main, arguments)

"""Compare algorithms: the same cold start, data and budget of generated tokens; a table, its JSON and plots.

    python scripts/compare.py configs/compare.yaml --algorithms step_srpo,grpo --seeds 0-4 --worlds chain,kind
    python scripts/compare.py configs/compare.yaml --algorithms step_srpo,grpo --seeds 100,101 --worlds chain \\
        --tune benchmarks/tuning.yaml --tuned benchmarks/tuned.yaml

The second form tunes: it tries the grid of `--tune` and writes the best settings to `--tuned`, which the first form
reads. Finished runs are kept; a killed comparison goes on where it stopped. Method and measures: docs/comparison.md.
"""

from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, names_of, parser, run, seeds_of
from rl.config.schema import Config, ConfigError


def main(options: Namespace, config: Config) -> None:
    """Check everything in all combinations, then run, then write what came of it."""
    from rl.comparison.report import write_comparison
    from rl.comparison.runs import Plan, run_table
    from rl.comparison.tuning import combinations, read_settings, tune, write_tuned
    from rl.worlds.worlds import WORLDS

    worlds = list(WORLDS) if options.worlds == ["all"] else options.worlds or [""]
    folder = Path(config.run_dir)
    tuned = read_settings(options.tuned) if options.tuned and not options.tune else {}
    plan = Plan(options.config, options.overrides, folder, tuned, options.starts)
    grids = read_settings(options.tune) if options.tune else {}
    for name in options.algorithms:
        if options.tune and name not in grids:
            raise ConfigError(f"{options.tune} has no grid for {name!r}; it has {', '.join(grids) or 'none'}")
        for settings in combinations(grids[name], name) if options.tune else [None]:
            for world in worlds:
                check_light(plan.settings(world, options.seeds[0], name, settings))
    if options.tune:
        if not options.tuned:
            raise ConfigError("--tune needs --tuned FILE, where the best settings go")
        best, tried = tune(plan, grids, worlds, options.algorithms, options.seeds, print)
        print(f"written: {write_tuned(Path(options.tuned), best, tried, options.seeds, worlds)}")
        return
    cells = run_table(plan, worlds, options.algorithms, options.seeds, print)
    for path in write_comparison(folder, cells):
        print(f"written: {path}")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument(
        "--algorithms", required=True, type=names_of, metavar="A,B", help="names or file.py:function"
    )
    arguments.add_argument("--seeds", default="0-4", type=seeds_of, help="0-4 or 1,3")
    arguments.add_argument(
        "--starts", default=[], type=seeds_of, help="seeds of the cold starts, taken in turn; without: each run's own"
    )
    arguments.add_argument("--worlds", default=[], type=names_of, metavar="W,V", help="small worlds, or all of them")
    arguments.add_argument("--tune", default="", metavar="FILE", help="a grid of settings by algorithm to try")
    arguments.add_argument("--tuned", default="", metavar="FILE", help="the best settings: read, or written by --tune")
    run(main, arguments)

"""Step-SRPO training. Goes on from the last complete checkpoint of the run folder; a finished run is left as it is.

python scripts/train.py configs/demo.yaml seed=3
torchrun --nproc_per_node=2 scripts/train.py configs/demo.yaml trainer.deepspeed=configs/deepspeed/zero2.json
python scripts/train.py configs/demo.yaml --dry-run
python scripts/train.py configs/qwen3-8b.yaml --dry-run --stand-in --gpus 8     # where the model is not at hand
"""

from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, refuse_pipelines, run
from rl.config.schema import Config, ConfigError
from rl.files.finished import is_finished
from rl.files.outputs import check_writable
from rl.models.location import check_model_path
from rl.training.work import refuse_foreign, training_work

MOST = 1_000_000


def main(options: Namespace, config: Config) -> None:
    """Check everything, then train; the model goes to run_dir/model."""
    for name in ("gpus", "gpu_memory"):
        value, option = getattr(options, name), f"--{name.replace('_', '-')}"
        if value is not None and not options.stand_in:
            raise ConfigError(
                f"{option} is {value} and does nothing without --stand-in, the dry run for another machine; allowed: "
                "with --dry-run --stand-in, or scripts/plan.py"
            )
        if value is not None and not 0 < value < MOST:
            raise ConfigError(f"{option} is {value}; allowed: above 0, below {MOST:,}")
    if options.stand_in:
        _stand_in(options, config)
        return
    check_writable(Path(config.run_dir), folder=True)
    refuse_pipelines(config)
    check_light(config)
    check_model_path(config.model.path)
    work = training_work(config)
    if config.resume == "auto":
        refuse_foreign(work)
    if not options.dry_run and is_finished(work, config.resume):
        print(f"already finished, nothing is trained or written: {work.product}")
        return
    from rl.training.run import batch_shape, is_main, set_up, train, world_size

    batch_shape(config, world_size())
    setup = set_up(config, show=print if is_main() else lambda line: None)
    if options.dry_run:
        from rl.training.estimate import estimate

        estimate(setup, print if is_main() else lambda line: None)
        print("dry run: everything a run needs is in place")
        return
    folder = train(setup)
    if is_main():
        print(f"model: {folder}")


def _stand_in(options: Namespace, config: Config) -> None:
    """The dry run without the model's files."""
    if not options.dry_run:
        raise ConfigError("--stand-in trains nothing; allowed: with --dry-run")
    from rl.planning.stand_in import dry_run

    fits = dry_run(config, options.gpus or 1, round((options.gpu_memory or 80) * 2**30))
    print(
        "dry run with a stand-in: what could be checked is in place" if fits else "dry run with a stand-in: see change"
    )


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--dry-run", action="store_true", help="check everything, train nothing")
    arguments.add_argument("--stand-in", action="store_true", help="with --dry-run: the model's files are not here")
    arguments.add_argument("--gpus", type=int, metavar="N", help="with --stand-in: training GPUs (1)")
    arguments.add_argument("--gpu-memory", type=float, metavar="GIB", help="with --stand-in: of one GPU (80)")
    run(main, arguments)

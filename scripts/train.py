"""Step-SRPO training. Goes on from the last complete checkpoint of the run folder; a finished run is left as it is.

python scripts/train.py configs/demo.yaml seed=3
torchrun --nproc_per_node=2 scripts/train.py configs/demo.yaml trainer.deepspeed=configs/deepspeed/zero2.json
python scripts/train.py configs/demo.yaml --dry-run
"""

from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.files.finished import is_finished
from rl.files.outputs import check_writable
from rl.models.location import check_model_path
from rl.training.work import refuse_foreign, training_work


def main(options: Namespace, config: Config) -> None:
    """Check everything, then train; the model goes to run_dir/model."""
    check_writable(Path(config.run_dir), folder=True)
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


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--dry-run", action="store_true", help="check everything, train nothing")
    run(main, arguments)

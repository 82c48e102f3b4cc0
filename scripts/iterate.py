"""Iterations of measuring difficulty, selecting chains, fine-tuning and merging. Goes on where it stopped.

python scripts/iterate.py configs/distill.yaml run_dir=runs/mine
python scripts/iterate.py configs/distill.yaml iterate.iterations=1 distill.choose.method=all
"""

from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.files.finished import move_to_old
from rl.files.outputs import check_writable, hold
from rl.models.location import check_model_path


def main(options: Namespace, config: Config) -> None:
    """Check, iterate, print the table. The last merged model is run_dir/iterations/N/model."""
    folder = Path(config.run_dir)
    check_writable(folder, folder=True)
    check_light(config)
    check_model_path(config.model.path)
    from rl.distillation.iterate import check_iterations, folder_of, iterate, table_lines

    check_iterations(config)
    hold(folder / "iterations.json")
    if config.resume == "never" and (folder / "iterations").exists():
        print(f"what was there is now in {move_to_old(folder, [folder / 'iterations'])}")
    rows = iterate(config)
    print("\n" + "\n".join(table_lines(rows)))
    print(f"written: {folder / 'iterations' / 'table.json'}, {folder_of(config, config.iterate.iterations) / 'model'}")


if __name__ == "__main__":
    run(main, parser(__doc__ or ""))

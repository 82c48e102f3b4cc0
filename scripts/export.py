"""A finished run as a model that anyone can load, chat with and serve; its README.md says how.

python scripts/export.py runs/demo runs/demo-served
python scripts/export.py RUN_DIR OUT --checkpoint 100      # an earlier checkpoint (its number or folder)
python scripts/export.py RUN_DIR OUT --push ORG/NAME       # and to the hub, private
"""

import argparse
import os
import sys
from pathlib import Path

from rl.cli import run_plain
from rl.serving.push import check_push, push
from rl.serving.source import check_new_folder, checkpoint_of, finished_model, run_config
from rollout.errors import UserError

PYTHON = os.path.relpath(sys.executable)


def main(options: argparse.Namespace) -> None:
    """Check what can be checked, measure what the card tells, write the folder, push it."""
    config = run_config(options.run_dir)
    if config is None:
        raise UserError(f"{options.run_dir} is no run folder; allowed: one with the config.json of a run, as runs/demo")
    if options.problems < 0:
        raise UserError(f"--problems is {options.problems}; allowed: 0 or more")
    check_new_folder(options.out)
    checkpoint = checkpoint_of(options.run_dir, options.checkpoint) if options.checkpoint else None
    model = finished_model(options.run_dir, by_option=True) if checkpoint is None else checkpoint
    if options.push:
        check_push(options.push)
    from rl.serving.export import export
    from rl.serving.measure import measure_untouched, measured_problems

    problems = measured_problems(config, options.problems)
    if problems:
        measure_untouched(config, options.run_dir)
    export(config, options.run_dir, model, options.out, problems, checkpoint)
    print(f"written: {options.out} (its README.md has what was measured)")
    print(f"chat:    {PYTHON} scripts/chat.py {options.out}")
    print(f"serve:   make serve MODEL={options.out}")
    if options.push:
        print(f"pushed:  {push(options.out, options.push)}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run folder, such as runs/demo")
    arguments.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    arguments.add_argument("--checkpoint", default="", metavar="N", help="an earlier checkpoint instead of the last")
    arguments.add_argument("--push", default="", metavar="REPO", help="upload it to the hub, as a private model")
    arguments.add_argument(
        "--problems", type=int, default=100, metavar="N", help="test problems to measure on; 0: none"
    )
    run_plain(main, arguments)

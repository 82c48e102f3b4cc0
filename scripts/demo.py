"""The main job from end to end: cold start, evaluation, Step-SRPO, evaluation, report. One command a stage.

    python scripts/demo.py configs/demo.yaml seed=3 run_dir=runs/demo-seed3

Finished stages are not repeated; a killed one goes on where it stopped. `resume=never` moves what is there aside and
starts over.
"""

import json
import os
import sys
import time
from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.files.outputs import check_writable
from rl.pipeline import call, demo_stages, fresh, lock, run_stages

SCRIPTS = Path(__file__).parent
PYTHON = os.path.relpath(sys.executable)
NEXT = f"""
What to do next:
  make smollm2    # a pretrained model, SmolLM2-135M-Instruct, through every stage (some 50 minutes on one core)
  {PYTHON} scripts/train.py configs/qwen3-0.6b.yaml model.path=DIR data.format=problems data.train=FILE --dry-run
                  # your own model and data: checks that they fit, trains nothing (README has the formats)
  {PYTHON} scripts/compare.py configs/compare.yaml --algorithms step_srpo,grpo --seeds 0
                  # other algorithms from the same start, with the same budget of tokens"""


def main(options: Namespace, config: Config) -> None:
    """Run the stages and print what they came to."""
    check_writable(Path(config.run_dir), folder=True)
    check_light(config)
    started = time.perf_counter()
    folder, made = Path(config.run_dir), demo_stages(config)
    held = lock(config)
    run_stages(fresh(config, made), made, lambda stage: call(stage, SCRIPTS, options.config, options.overrides, held))
    summary(config, folder)
    print(f"\nreport: {folder / 'report.html'}, in a browser: make report RUN={folder}")
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    print(NEXT)


def summary(config: Config, folder: Path) -> None:
    """The before/after table, and the goals where the configuration names easy and hard levels."""
    from rl.reports.goals import goals
    from rl.reports.run_folder import UNTOUCHED, read_table
    from rl.reports.tables import before_after_lines

    before, after = (json.loads((folder / name).read_text()) for name in ("eval_before.json", "eval.json"))
    print("\n" + "\n".join(before_after_lines(before, after, read_table(folder / UNTOUCHED, []))))
    if config.data.easy and config.data.hard:
        print()
        for name, passed, detail in goals(before, after):
            print(f"{'pass' if passed else 'FAIL'}  {name}: {detail}")


if __name__ == "__main__":
    run(main, parser(__doc__ or ""))

"""From a pretrained model to results: label, select, fine-tune in two gears, gate, Step-SRPO, evaluation, report.

python scripts/pipeline.py configs/smollm2.yaml
python scripts/pipeline.py configs/smollm2.yaml seed=1 run_dir=runs/smollm2-seed1
python scripts/pipeline.py configs/smollm2.yaml --dry-run         # check everything, say what is done, train nothing

One command a stage. Kill it at any time and start it again: finished stages are not repeated, finished rows are kept.
resume=never starts over.
"""

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.files.outputs import check_writable
from rl.pipeline import Stage, call, fresh, is_stage_finished, lock, run_stages, stages
from rl.reports.outcomes import outcome_lines
from rl.reports.run_folder import EVALUATIONS, UNTOUCHED, read_table
from rl.reports.tables import before_after_lines

SCRIPTS = Path(__file__).parent


def main(options: Namespace, config: Config) -> None:
    """Run the stages that are not finished, then print what they came to."""
    check_writable(Path(config.run_dir), folder=True)
    check_light(config)
    made = stages(config)
    if options.dry_run:
        dry_run(options, config, made)
        return
    held = lock(config)
    run_stages(fresh(config, made), made, lambda stage: call(stage, SCRIPTS, options.config, options.overrides, held))
    folder = Path(config.run_dir)
    before, after = (json.loads((folder / name).read_text()) for name in EVALUATIONS)
    untouched = read_table(folder / UNTOUCHED, [])
    print("\n" + "\n".join([*before_after_lines(before, after, untouched), "", *outcome_lines(before, after)]))


def dry_run(options: Namespace, config: Config, made: Sequence[Stage]) -> None:
    """The stages and where they stand; then the dry runs of fine-tuning and RL on the data as configured."""
    done = config.resume == "auto"
    for number, stage in enumerate(made, 1):
        done = done and is_stage_finished(config, stage)
        print(f"{number}/{len(made)} {stage.name}: {stage.title} ({'done' if done else 'to do'})", flush=True)
    for script in ("cold_start.py", "train.py"):
        command = [sys.executable, str(SCRIPTS / script), options.config, *options.overrides, "--dry-run"]
        code = subprocess.run(command, check=False).returncode
        if code:
            raise SystemExit(code)


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--dry-run", action="store_true", help="check everything, train nothing")
    run(main, arguments)

"""Chains of thought from teachers: written, scored, selected for a student. Goes on where it stopped.

python scripts/distill.py configs/distill.yaml --stage generate
python scripts/distill.py configs/distill.yaml --stage score [--from FILE]    # chains of others: OmniThought …
python scripts/distill.py configs/distill.yaml --stage select [--from FILE] distill.choose.labels=runs/labels.jsonl
python scripts/distill.py --easydistill JOB                          # a job file of EasyDistill, as it is
"""

import sys
from argparse import Namespace
from pathlib import Path

from rl.cli import parser, run
from rl.config.schema import Config
from rl.files.outputs import check_writable
from rollout.errors import UserError

STAGES = ("generate", "score", "select")


def main(options: Namespace, config: Config) -> None:
    """Run one stage; exit code 1 where a budget or an endpoint left something missing."""
    from rewards.sandbox import configure
    from rl.distillation.stages import generate_stage, score_stage, select_stage

    check_writable(Path(config.run_dir), folder=True)
    configure(config.sandbox.workers, config.sandbox.tier, config.sandbox.allow_weak, config.sandbox.packages)
    source = Path(options.source) if options.source else None
    if source and options.stage == "generate":
        raise UserError("--from names chains that are there, --stage generate writes new ones; allowed: without --from")
    if options.stage == "select":
        select_stage(config, source)
    elif not (generate_stage(config) if options.stage == "generate" else score_stage(config, source)):
        raise SystemExit(1)


def easydistill(job: str) -> None:
    """Run a job file of EasyDistill; an error is one line."""
    try:
        from rl.distillation.job_run import run_job

        run_job(Path(job))
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--easydistill":
        easydistill(sys.argv[2])
        raise SystemExit
    arguments = parser(__doc__ or "")
    arguments.add_argument("--stage", required=True, choices=STAGES)
    arguments.add_argument("--from", dest="source", default="", metavar="FILE", help="chains of others, in any format")
    arguments.add_argument("--easydistill", metavar="JOB", help="alone: run a job file of EasyDistill as it is")
    run(main, arguments)

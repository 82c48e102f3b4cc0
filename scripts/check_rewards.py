"""Check rewards against data: each gold answer must earn full marks, and a wrong one must not.

python scripts/check_rewards.py configs/demo.yaml
python scripts/check_rewards.py configs/gsm8k.yaml data.path=DIR --limit 500 --json check.json
python scripts/check_rewards.py configs/gsm8k.yaml --cross-check RUN_DIR

Prints what fails, how fast the rewards are, and the slowest problems. Exit code 1 when a larger share
fails than `data.max_bad_gold`, 2 when the configuration or the data cannot be used. Needs no model.
With `--cross-check`, it puts the responses that a run recorded before the rewards `math` and `math_verify` instead, and
prints those on which they differ.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config, ConfigError
from rl.data.load import source_files
from rl.files.outputs import claim, write_claimed
from rollout.printable import printable

NAME = "check_rewards.py"


def main(options: Namespace, config: Config) -> None:
    """Check, print, write the JSON."""
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit is {options.limit}; allowed: 1 or more")
    if options.cross_check is not None and (options.json or options.split != "train"):
        raise ConfigError("--json and --split do nothing with --cross-check; allowed: without them")
    if options.cross_check is not None:
        from rl.checks.cross_check import cross_check, cross_lines

        path = Path(options.cross_check or config.run_dir)
        print("\n".join(cross_lines(cross_check(path, options.limit, progress=True))))
        return
    if options.json:
        claim(Path(options.json), NAME, source_files(config))
    check_light(config, options.split)
    from rewards.registry import build_rewards
    from rl.checks.reward_check import check_rewards, complaints, report_lines
    from rl.data import load_problems

    problems = load_problems(config, options.split)
    check = check_rewards(problems, build_rewards(config.rewards), options.limit, progress=True)
    print("\n".join(report_lines(check, shown=20)))
    print(f"speed: {check.per_second:.0f} verdicts/s")
    slowest = (f"{printable(p.problem, 100)} ({p.kind}) {p.seconds * 1000:.1f} ms" for p in check.slowest())
    print("slowest: " + ", ".join(slowest))
    if options.json:
        write_claimed(Path(options.json), json.dumps(check.to_json(), indent=2) + "\n", NAME)
        print(f"written: {options.json}")
    above = complaints(check, config.data.max_bad_gold)
    for complaint in above:
        print(f"above the limit: {complaint}", file=sys.stderr)
    if above:
        raise SystemExit(1)


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--split", choices=("train", "test"), default="train", help="which problems")
    arguments.add_argument("--limit", type=int, metavar="N", help="try N problems, evenly spread (default: all)")
    arguments.add_argument(
        "--cross-check", nargs="?", const="", metavar="ROLLOUTS", help="a run folder or its rollouts (default: run_dir)"
    )
    arguments.add_argument("--json", metavar="FILE", help="write the findings there")
    run(main, arguments)

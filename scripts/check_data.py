"""Look at the data of a run: bad rows, duplicates, test problems in the training split, answers no reward can verify.

python scripts/check_data.py configs/gsm8k.yaml
python scripts/check_data.py configs/gsm8k.yaml --out data/clean     # writes train.jsonl and test.jsonl without them

Exit code 1 when a share is above its limit: data.max_bad_share of the rows, data.max_bad_gold of the gold answers.
"""

import sys
from argparse import Namespace
from pathlib import Path

from rl.cli import parser, run
from rl.config.schema import Config


def main(options: Namespace, config: Config) -> None:
    """Check both splits, print the report, and with --out write what is sound."""
    from rewards.registry import build_rewards
    from rl.checks.data_check import check_data, write_sound

    check = check_data(config, build_rewards(config.rewards))
    print("\n".join(check.lines()))
    if options.out:
        for path in write_sound(check, Path(options.out)):
            print(f"written: {path}")
    refusals = check.refusals(config)
    for refusal in refusals:
        print(f"refused: {refusal}", file=sys.stderr)
    if refusals:
        raise SystemExit(1)


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--out", default="", metavar="DIR", help="write the sound problems as jsonl files here")
    run(main, arguments)

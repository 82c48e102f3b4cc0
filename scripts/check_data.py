"""Look at the data of a run: bad rows, duplicates, test problems in the training split, answers no reward can verify.

python scripts/check_data.py configs/gsm8k.yaml
python scripts/check_data.py configs/gsm8k.yaml --out data/clean     # writes train.jsonl and test.jsonl without them
python scripts/check_data.py configs/gsm8k.yaml --json report.json   # all of it, not the first of each kind

Exit code 1 when a share is above its limit: data.max_bad_share of the rows, data.max_bad_gold of the gold answers, and
data.max_drop of what --out would leave out, which is then not written.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path

from rl.cli import parser, run
from rl.config.schema import Config
from rl.data.load import source_files
from rl.data.settings import SPLITS

NAME = "check_data.py"


def main(options: Namespace, config: Config) -> None:
    """Check both splits, print the report, and with --out write what is sound."""
    from rewards.registry import build_rewards
    from rl.checks.data_check import check_data, write_sound
    from rl.files.outputs import claim, write_claimed
    from rl.models.open import open_protocol
    from rollout.errors import UserError

    sources = source_files(config)
    outputs = [Path(options.out) / f"{split}.jsonl" for split in SPLITS] if options.out else []
    for path in [*outputs, *([Path(options.json)] if options.json else [])]:
        claim(path, NAME, sources)
    protocol, unchecked = None, ""
    try:
        protocol = open_protocol(config)
    except UserError as error:
        unchecked = str(error)
    check = check_data(config, build_rewards(config.rewards), protocol, unchecked)
    print("\n".join(check.lines()))
    if options.json:
        write_claimed(Path(options.json), json.dumps(check.to_json(config), indent=2) + "\n", NAME)
        print(f"written: {options.json}")
    if options.out and not check.too_much_dropped(config):
        for path in write_sound(check, Path(options.out), NAME):
            print(f"written: {path}")
    refusals = check.refusals(config)
    for refusal in refusals:
        print(f"refused: {refusal}", file=sys.stderr)
    if refusals:
        raise SystemExit(1)


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--out", default="", metavar="DIR", help="write the sound problems as jsonl files here")
    arguments.add_argument("--json", default="", metavar="FILE", help="write the whole report there")
    run(main, arguments)

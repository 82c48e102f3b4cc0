"""Write a data source in this project's own schema, as JSON lines.

python scripts/convert_data.py data/taco --format taco --out data/taco.jsonl
python scripts/convert_data.py exam.csv --out exam.jsonl --columns "{prompt: problem, answer: final}"
python scripts/convert_data.py hub:openai/gsm8k:main:train --format gsm8k --out gsm8k.jsonl --on-bad-row skip

SOURCE is what data.train may be, several are read one after another. docs/data.md has the formats.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from rl.config.read import parse_config
from rl.data.load import read_problems, source_files
from rl.data.schema import problem_to_row
from rl.files.outputs import claim, rows_text, write_claimed
from rollout.errors import UserError

NAME = "convert_data.py"


def main(options: argparse.Namespace) -> None:
    """Read, write, say what was left out."""
    source = options.source if len(options.source) > 1 else options.source[0]
    data: dict[str, Any] = {"train": source, "format": options.format, "on_bad_row": options.on_bad_row}
    try:
        data["columns"] = yaml.safe_load(options.columns) or {}
    except yaml.YAMLError as error:
        raise UserError(f"--columns is {options.columns!r}; allowed: {{field: column, …}}") from error
    config = parse_config({"data": {**data, "max_bad_share": options.max_bad_share}})
    out = Path(options.out)
    claim(out, NAME, source_files(config))
    loaded = read_problems(config, "train")
    write_claimed(out, rows_text([problem_to_row(problem) for problem in loaded.problems]), NAME)
    print("\n".join([*loaded.lines("train"), f"written: {out}, {len(loaded.problems)} problems"]))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", nargs="+", metavar="SOURCE", help="a file, a folder, a pattern or a hub id")
    arguments.add_argument("--out", required=True, metavar="FILE", help="the jsonl file to write")
    arguments.add_argument("--format", default="problems", metavar="NAME", help="the format of its rows (data.format)")
    arguments.add_argument("--columns", default="", metavar="MAP", help="{field: column, …} (data.columns)")
    arguments.add_argument("--on-bad-row", choices=("stop", "skip"), default="stop", help="data.on_bad_row")
    arguments.add_argument("--max-bad-share", type=float, default=0.05, metavar="X", help="data.max_bad_share")
    try:
        main(arguments.parse_args())
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None

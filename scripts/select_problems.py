"""Keep the labelled problems that are worth training on: mostly of middling complexity, some easy and some hard ones.

python scripts/select_problems.py configs/qwen3-0.6b.yaml --labels runs/labels.jsonl --out runs/selected.jsonl

Writes the kept rows and, beside them, a PNG of what there was and what was kept.
"""

from argparse import Namespace
from pathlib import Path

from rl.cli import parser, run
from rl.config.schema import Config

NAME = "select_problems.py"


def main(options: Namespace, config: Config) -> None:
    """Select, write, plot."""
    from rl.cold_start.examples import labelled_rows
    from rl.cold_start.selection import plot_selection, select
    from rl.cold_start.work import selection_work
    from rl.files.finished import begin, is_finished, mark_finished
    from rl.files.outputs import check_writable, claim, rows_text, write_claimed
    from rollout.errors import UserError

    rows, out = labelled_rows(options.labels, examples=False), Path(options.out)
    plot = out.with_suffix(".png")
    work = selection_work(config, options.labels, out)
    claim(out, NAME, [Path(options.labels)])
    check_writable(plot)
    if is_finished(work, config.resume):
        print(f"already finished, nothing is written: {out}")
        return
    kept = select(rows, config.select, config.seed)
    if not kept:
        raise UserError(f"no problem of {options.labels!r} is kept; allowed: a larger select.floor or select.sigma")
    for line in begin(work, config.resume):
        print(line)
    write_claimed(out, rows_text(kept), NAME)
    plot_selection(plot, rows, kept, config.select)
    mark_finished(work)
    print(f"kept {len(kept)} of {len(rows)} problems")
    print(f"written: {out}, {plot}")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--labels", required=True, metavar="FILE", help="what scripts/label_necessity.py wrote")
    arguments.add_argument("--out", required=True, metavar="FILE", help="the jsonl file of selected problems")
    run(main, arguments)

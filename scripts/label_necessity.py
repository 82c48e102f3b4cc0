"""Measure, for each training problem, whether it needs thinking: N think and N direct answers of the model, scored.

python scripts/label_necessity.py configs/qwen3-0.6b.yaml --out runs/labels.jsonl label.samples=8

A killed run goes on where it stopped; resume=never starts over. The file is a data file: data.train=runs/labels.jsonl.
"""

from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.data.load import source_files
from rl.files.outputs import refuse_source


def main(options: Namespace, config: Config) -> None:
    """Label the training problems that the file does not hold yet, then say how the labels are spread."""
    out = Path(options.out)
    refuse_source(out, source_files(config))
    check_light(config)
    from rewards.registry import build_rewards
    from rl.cold_start.label import label_problems, summary_lines
    from rl.cold_start.work import label_work
    from rl.data.prompts import draw_usable
    from rl.files.finished import mark_finished
    from rl.files.row_store import RowStore
    from rl.models.location import manual_model
    from rl.models.open import open_policy, open_protocol

    model = config.label.model or manual_model(config)
    work = label_work(config, options.out)
    store = RowStore(work.product, work.settings, fresh=config.resume != "auto", free=work.free)
    problems = draw_usable(config, "train", open_protocol(config, model), config.label.problems)
    there = len(store.rows)
    if any(problem.id not in store for problem in problems):
        print(f"model: {model}")
        policy = open_policy(config, model)
        label_problems(config, problems, policy.engine, policy.protocol, build_rewards(config.rewards), store)
    mark_finished(work)
    rows = [store.rows[problem.id] for problem in problems if problem.id in store]
    print("\n".join(summary_lines(rows)))
    if len(rows) < len(problems):
        print(f"no label: {len(problems) - len(rows)} of {len(problems)} problems, on whose answers a reward broke")
    told = "written" if len(store.rows) > there else "nothing was missing, nothing is written"
    print(f"{told}: {options.out} ({len(store.rows)} rows)")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--out", required=True, metavar="FILE", help="the jsonl file of labelled problems")
    run(main, arguments)

"""Evaluation in three modes (forced think, forced direct, the model's own choice) on the test problems.

python scripts/evaluate.py configs/demo.yaml --model runs/demo/model --out runs/demo/eval.json
python scripts/evaluate.py ... --target "accuracy >= think - 0.005"    # picks the dial on one half, saves it in DIR
"""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.evaluation.work import BATCHES, evaluation_work
from rl.files.finished import begin, is_finished, settings_of
from rl.models.location import check_model_path
from rl.statistics.dial import parse_target


def main(options: Namespace, config: Config) -> None:
    """Evaluate, write the JSON, print the table."""
    check_model_path(options.model)
    if options.target:
        parse_target(options.target)
    check_light(config, "test")
    told = {f"--{name}": getattr(options, name) for name in ("dial", "target")}
    work = evaluation_work(config, options.model, options.out, options=told)
    if is_finished(work, config.resume):
        show(json.loads(work.product.read_text(encoding="utf-8")))
        print(f"already finished, nothing is measured or written: {options.out}")
        return
    from rewards.registry import build_rewards
    from rl.data import load_problems
    from rl.evaluation.evaluate import evaluate
    from rl.evaluation.tags import obedience
    from rl.files.atomic import write_atomically
    from rl.models.engines import open_engine
    from rl.models.loading import load_model, load_tokenizer
    from rl.models.protocols import build_protocol

    tokenizer = load_tokenizer(config, options.model)
    protocol = build_protocol(config, tokenizer)
    model = load_model(config, tokenizer, options.model)
    engine = open_engine(config, model, protocol, tokenizer.pad_token_id)
    problems = load_problems(config, "test")[: config.evaluation.problems]
    result = evaluate(config, problems, engine, protocol, build_rewards(config.rewards))
    set_dial(options, result)
    result["obedience"] = obedience(config, problems, engine, protocol)
    print("".join(f"{line}\n" for line in begin(work, config.resume, **settings_of(config, BATCHES))), end="")
    write_atomically(work.product, json.dumps(result, indent=2) + "\n")
    show(result)
    print(f"written: {options.out}")


def show(result: dict[str, Any]) -> None:
    """The tables, for people."""
    from rl.reports.choice import choice_lines, dial_lines
    from rl.reports.tables import mode_lines

    print("\n".join([*mode_lines(result), "", *choice_lines(result), *dial_lines(result["dial"])]))
    for mode, share in result["obedience"].items():
        print(f"manual tag for {mode}: obeyed by {share:.1%}")


def set_dial(options: Namespace, result: dict[str, Any]) -> None:
    """With --target a threshold is picked and saved beside the model; else that of --dial or of the model's dial.json
    is measured. Either way it joins the result."""
    from rl.evaluation.dial import FILE, check_threshold, load_dial, pick_threshold
    from rl.files.atomic import write_atomically
    from rl.statistics.dial import point, with_intervals

    rows, dial = result["problems"], result["dial"]
    if options.target:
        dial["picked"] = pick_threshold(rows, options.target)
        write_atomically(Path(options.model) / FILE, json.dumps(dial["picked"], indent=2) + "\n")
        return
    tau = check_threshold(options.dial) if options.dial not in ("", "off") else None
    if not options.dial:
        tau = load_dial(options.model)
    if tau is not None:
        dial["at"] = with_intervals(rows, [point(rows, tau)])[0]


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--model", required=True, metavar="DIR", help="a model folder, such as runs/demo/model")
    arguments.add_argument("--dial", default="", metavar="TAU", help="think iff P(think) is at least TAU; off: never")
    arguments.add_argument("--target", default="", metavar="TEXT", help="such as 'accuracy >= think - 0.005'")
    arguments.add_argument("--out", required=True, metavar="FILE", help="where the JSON goes")
    run(main, arguments)

"""Greedy evaluation in three modes (forced think, forced direct, the model's own choice) on the test problems.

python scripts/evaluate.py configs/demo.yaml --model runs/demo/model --out runs/demo/eval.json
"""

import json
from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.models.location import check_model_path


def main(options: Namespace, config: Config) -> None:
    """Evaluate, write the JSON, print the table."""
    check_model_path(options.model)
    check_light(config, "test")
    from rewards.registry import build_rewards
    from rl.data.prompts import draw_usable
    from rl.evaluation.evaluate import evaluate
    from rl.evaluation.tags import obedience
    from rl.files.run_log import write_atomically
    from rl.models.engines import open_engine
    from rl.models.loading import build_protocol, load_model, load_tokenizer
    from rl.reports.tables import mode_lines

    tokenizer = load_tokenizer(config, options.model)
    protocol = build_protocol(config, tokenizer)
    model = load_model(config, tokenizer, options.model)
    engine = open_engine(config, model, protocol, tokenizer.pad_token_id)
    problems = draw_usable(config, "test", protocol, config.evaluation.problems)
    result = evaluate(config, problems, engine, protocol, build_rewards(config.rewards))
    result["obedience"] = obedience(config, problems, engine, protocol)
    write_atomically(Path(options.out), json.dumps(result, indent=2) + "\n")
    print("\n".join(mode_lines(result)))
    for mode, share in result["obedience"].items():
        print(f"manual tag for {mode}: obeyed by {share:.1%}")
    print(f"written: {options.out}")


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--model", required=True, metavar="DIR", help="a model folder, such as runs/demo/model")
    arguments.add_argument("--out", required=True, metavar="FILE", help="where the JSON goes")
    run(main, arguments)

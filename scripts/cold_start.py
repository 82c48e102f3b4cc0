"""Fine-tune a model on both modes, so that RL has a decision to learn.

python scripts/cold_start.py configs/demo.yaml run_dir=runs/mine
"""

from argparse import Namespace

from rl.command import check_light, parser, run
from rl.config import Config


def main(options: Namespace, config: Config) -> None:
    """Check, then fine-tune; the model goes to run_dir/cold_start/model."""
    check_light(config)
    from rl.cold_start.sft import cold_start

    print(f"cold start: {cold_start(config)}")


if __name__ == "__main__":
    run(main, parser(__doc__ or ""))

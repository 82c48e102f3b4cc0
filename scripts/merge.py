"""Merge checkpoints of one model: their mean delta from a base, or a weighted sum.

python scripts/merge.py OUT CHECKPOINT [CHECKPOINT …] --base DIR [--scale 0.5]     # Θ₀ + λ · mean_i(Θ_i − Θ₀)
python scripts/merge.py OUT CHECKPOINT CHECKPOINT [--weights 0.7,0.3]              # Σ w_i Θ_i
"""

import argparse
import sys
from pathlib import Path

from rollout.errors import UserError


def main(options: argparse.Namespace) -> None:
    """Merge and say what was merged."""
    from rl.distillation.merge import MergeError, merge

    try:
        weights = [float(part) for part in options.weights.split(",")] if options.weights else []
    except ValueError:
        raise MergeError(f"--weights is {options.weights!r}; allowed: numbers, such as 0.7,0.3") from None
    if weights and options.base:
        raise MergeError("--weights belongs to a sum of models; allowed: without --base")
    count = merge(options.checkpoints, options.out, base=options.base, scale=options.scale, weights=weights)
    print(f"{count} tensors of {len(options.checkpoints)} checkpoints merged: {options.out}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path, help="a new folder")
    arguments.add_argument("checkpoints", type=Path, nargs="+", help="model folders saved as safetensors")
    arguments.add_argument("--base", type=Path, help="the model they were trained from")
    arguments.add_argument("--scale", type=float, default=1.0, help="λ of the mean delta")
    arguments.add_argument("--weights", default="", help="one weight a checkpoint, sum 1")
    try:
        main(arguments.parse_args())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None

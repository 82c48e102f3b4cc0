"""Padded over real tokens in the update: what goes through the model for one token that is there. Goal: 1.10 at most.

    python benchmarks/bench_padding.py --json FILE [--quick]

Method: one step of our trainer and of TRL's on the same recorded rollouts; every (rows × columns) that enters the
model is added up and divided by the prompt and completion tokens of the step. `ours` and `peer` are these quotients.
Thoughts and direct answers have log-normal lengths where the case does not say otherwise; prompts have 10 to 60 tokens.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from common import Work, finish, mixes, parse_arguments, show
from trainers import configure, our_trainer, trl_trainer

# isort: split


def drawn(name: str, rows: int, think_share: float, think: float, direct: float, spread: float) -> Work:
    """Log-normal completion lengths around two medians."""
    rng = random.Random(0)
    lengths = [
        max(1, round(rng.lognormvariate(0, spread) * (think if rng.random() < think_share else direct)))
        for _ in range(rows)
    ]
    return Work(f"{name}, {rows} rows", tuple(rng.randint(10, 60) for _ in range(rows // 8)), tuple(lengths))


def passed_tokens(trainer: Any) -> int:
    """Rows × columns of everything that enters the model in one step."""
    seen: list[int] = []
    backbone = trainer.accelerator.unwrap_model(trainer.model).base_model
    backbone.register_forward_pre_hook(lambda *a: seen.append(a[2]["input_ids"].numel()), with_kwargs=True)
    trainer.train()
    return sum(seen)


def measure(folder: Path, work: Work, micro_batch: int) -> dict[str, Any]:
    """One row of the report."""
    ours, peer = (
        passed_tokens(build(configure(folder, "0.1M", work, micro_batch, 1))) / sum(work.rows())
        for build in (our_trainer, lambda config: trl_trainer(config, work))
    )
    case = f"padded over real, {work.name}" + (f" by {micro_batch}" if micro_batch else "")
    return {"case": case, "ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ours / peer, 3)}


def cases(options: Any) -> list[tuple[Work, int]]:
    """(work, rows at once)."""
    if options.smallest:
        return [(drawn("half think", 16, 0.5, 40, 4, 0.5), 4)]
    works = [
        drawn("half think", 32, 0.5, 300, 10, 0.5),
        drawn("half think", 256, 0.5, 300, 10, 0.5),
        drawn("a fifth thinks", 64, 0.2, 300, 6, 0.5),
        drawn("all think", 64, 1.0, 300, 10, 0.7),
        drawn("all direct", 64, 0.0, 300, 10, 0.5),
        *mixes(32, 8, 8, 392),
    ]
    if options.quick:
        return [(work, 0) for work in works[:3]]
    return [*((work, 0) for work in works), *((work, len(work.completions) // 4) for work in works[:3])]


def main() -> None:
    """Count all cases."""
    options = parse_arguments(__doc__ or "")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for work, micro_batch in cases(options):
            rows.append(measure(Path(scratch), work, micro_batch))
            show(rows[-1:])
    finish(rows, options)


if __name__ == "__main__":
    main()

"""Does the easy think rate stay put after solved prompts have left? Real training on a small world.

    python benchmarks/bench_resampling.py --folder runs/resampling --json runs/resampling/resampling.json

One cold start, then a run for each kind of history resampling on a small training set, so that passes are short.
Reported every ten steps: retired problems, and the probability of thinking on all easy and hard test problems, which
unlike the training rollouts does not depend on who is left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def script(name: str, *arguments: str) -> None:
    """Run one of the scripts."""
    subprocess.run([sys.executable, str(ROOT / "scripts" / name), *arguments], check=True)


def curve(folder: Path) -> list[dict[str, Any]]:
    """Retired problems and the probe's think rates, where it was measured."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    keys = ("history/retired", "history/active_think", "history/active_no_think")
    return [
        {"step": r["step"], **{key: r.get(key, 0.0) for key in keys}, **{k: r[k] for k in r if k.startswith("probe/")}}
        for r in records
        if "probe/accuracy" in r
    ]


def main() -> None:
    """Cold start once, then a run a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="runs/resampling", type=Path)
    parser.add_argument("--config", default=str(ROOT / "configs" / "compare.yaml"))
    parser.add_argument("--steps", default=120, type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    options = parser.parse_args()
    start = options.folder / "start"
    script("cold_start.py", options.config, f"run_dir={start}", *options.overrides)
    results = {}
    for resample in ("off", "srpo", "mode_aware"):
        folder = options.folder / resample
        more = [f"run_dir={folder}", f"model.path={start / 'cold_start' / 'model'}", f"history.resample={resample}"]
        more += [
            "data.train_size=320",
            "trainer.token_budget=0",
            f"trainer.steps={options.steps}",
            "evaluation.every=10",
        ]
        script("train.py", options.config, *more, *options.overrides)
        results[resample] = curve(folder)
        for point in results[resample]:
            print(resample, json.dumps(point), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()

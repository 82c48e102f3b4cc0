"""Drive a run into collapse and see what the guard does about it: real training on a small world.

    python benchmarks/bench_guard.py --folder runs/guard --json runs/guard/guard.json

The bad setting is the judge target `soft` with w_J = 1: hard problems have a large difference of pass rates, easy ones
only the margin, so the shared bias learns to think everywhere. One cold start, then a run for each action of the guard.
Reported: the step of the first alarm, and the probability of thinking on easy and hard problems in the last steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BAD = [
    "rewards=[{name: judge, target: soft}, {name: math}, {name: format, weight: 0.2}]",
    "algorithm={name: step_srpo, judge_weight: 1.0, answer_scale: std}",
    "rollout.forced={start: 1.0, floor: 0.25, decay_steps: 20, minimum: 1}",
    "trainer.token_budget=0",
]


def script(name: str, *arguments: str) -> int:
    """Run one of the scripts; its exit code."""
    return subprocess.run([sys.executable, str(ROOT / "scripts" / name), *arguments], check=False).returncode


def row(folder: Path, case: str, levels: list[str], code: int) -> dict[str, Any]:
    """What a run came to."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    alarms = [record["step"] for record in records if record.get("guard/alarms")]
    last = records[-5:]

    def mean(key: str) -> float | None:
        values = [record[key] for record in last if key in record]
        return round(sum(values) / len(values), 3) if values else None

    rates = {f"think_{level}": mean(f"think_probability/{level}") for level in levels}
    return {"case": case, "code": code, "steps": records[-1]["step"], "alarm": alarms[0] if alarms else None, **rates}


def main() -> None:
    """Cold start once, then a run an action."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="runs/guard", type=Path)
    parser.add_argument("--config", default=str(ROOT / "configs" / "compare.yaml"))
    parser.add_argument("--steps", default=120, type=int)
    parser.add_argument("--actions", default="log,floor,balance,stop")
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    options = parser.parse_args()
    start = options.folder / "start"
    if script("cold_start.py", options.config, f"run_dir={start}", *options.overrides):
        raise SystemExit("the cold start failed")
    rows = []
    for action in options.actions.split(","):
        folder = options.folder / action
        more = [f"run_dir={folder}", f"model.path={start / 'cold_start' / 'model'}", f"guard.action={action}"]
        code = script("train.py", options.config, *more, f"trainer.steps={options.steps}", *BAD, *options.overrides)
        rows.append(row(folder, action, ["1", "2", "3", "4"], code))
        print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

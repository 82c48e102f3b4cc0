"""The main job from end to end: cold start, evaluation, Step-SRPO, evaluation, report. One command a stage.

    python scripts/demo.py configs/demo.yaml seed=3 run_dir=runs/demo-seed3

Finished stages are not repeated; a killed one goes on where it stopped. `resume=never` starts over.
"""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

from rl.cli import check_light, parser, run
from rl.config.schema import Config
from rl.files.outputs import check_writable

SCRIPTS = Path(__file__).parent
PYTHON = os.path.relpath(sys.executable)
NEXT = f"""
What to do next:
  make smollm2    # a pretrained model, SmolLM2-135M-Instruct, through every stage (some 50 minutes on one core)
  {PYTHON} scripts/train.py configs/qwen3-0.6b.yaml model.path=DIR data.format=problems data.train=FILE --dry-run
                  # your own model and data: checks that they fit, trains nothing (README has the formats)
  {PYTHON} scripts/compare.py configs/compare.yaml --algorithms step_srpo,grpo --seeds 0
                  # other algorithms from the same start, with the same budget of tokens"""


def stage(title: str, name: str, *arguments: str) -> None:
    """Run one script; its error has been printed by itself."""
    print(f"\n== {title}", flush=True)
    started = time.perf_counter()
    code = subprocess.run([sys.executable, str(SCRIPTS / name), *arguments], check=False).returncode
    if code:
        raise SystemExit(code)
    print(f"== {title}: {time.perf_counter() - started:.0f} s", flush=True)


def evaluated(config: Config, out: Path, model: Path) -> bool:
    """Whether this evaluation is there and newer than its model."""
    made = model / "config.json"
    return config.resume == "auto" and out.is_file() and out.stat().st_mtime > made.stat().st_mtime


def main(options: Namespace, config: Config) -> None:
    """Run the stages and print what they came to."""
    check_writable(Path(config.run_dir), folder=True)
    check_light(config)
    started = time.perf_counter()
    folder = Path(config.run_dir)
    common = [options.config, *options.overrides]
    stage("1/5 cold start: fine-tune on both modes", "cold_start.py", *common)
    for title, name, out in (
        ("2/5 evaluate before RL", "cold_start/model", "eval_before.json"),
        ("4/5 evaluate after RL", "model", "eval.json"),
    ):
        if out == "eval.json":
            stage("3/5 Step-SRPO", "train.py", *common)
        if not evaluated(config, folder / out, folder / name):
            model, target = str(folder / name), str(folder / out)
            stage(title, "evaluate.py", options.config, "--model", model, "--out", target, *options.overrides)
    stage("5/5 report", "report.py", str(folder))
    summary(config, folder)
    print(f"\nreport: {folder / 'report.html'}   ({(time.perf_counter() - started) / 60:.1f} minutes)")
    print(NEXT)


def summary(config: Config, folder: Path) -> None:
    """The before/after table, and the goals where the configuration names easy and hard levels."""
    from rl.reports.goals import goals
    from rl.reports.tables import before_after_lines

    before, after = (json.loads((folder / name).read_text()) for name in ("eval_before.json", "eval.json"))
    print("\n" + "\n".join(before_after_lines(before, after)))
    if config.data.easy and config.data.hard:
        print()
        for name, passed, detail in goals(before, after):
            print(f"{'pass' if passed else 'FAIL'}  {name}: {detail}")


if __name__ == "__main__":
    run(main, parser(__doc__ or ""))

"""What iterations with merging and selected chains are worth: a tiny student with three tiny teachers, over seeds.

    python benchmarks/bench_distillation.py --seeds 0-2 --json benchmarks/results/distillation.json

In the world `tiny:pair` one teacher writes every step once, one writes all steps twice, one is trained too little and
often wrong. Each writes two chains for 1,500 problems at temperature 1. A student that has begun to think learns from
as many rows in five ways:

    all                  one fine-tuning on every chain
    correct              one fine-tuning on every correct chain
    selected             one fine-tuning on chains chosen by the student's own pass rates
    iterations           three thirds, problems and chains chosen anew before each, the last checkpoint goes on
    iterations, merged   the same, four checkpoints of each third merged

Everything is kept in --folder and goes on where it stopped. Verbosity and difficulty come from a rule here (thought
tokens, moves), since no tiny model can judge.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rl.cli import seeds_of  # noqa: E402
from rl.config.read import load_config  # noqa: E402
from rl.data import load_problems, problem_to_row  # noqa: E402
from rl.files.atomic import write_atomically  # noqa: E402
from rl.files.outputs import rows_text  # noqa: E402
from rl.files.row_store import read_rows  # noqa: E402
from rl.statistics.intervals import mean_interval  # noqa: E402
from rl.worlds.worlds import find_world  # noqa: E402

CONFIG = ROOT / "configs" / "distill.yaml"
STEPS = 240
ONE = ("iterate.iterations=1", "iterate.checkpoints=1", "iterate.by_difficulty=false", f"cold_start.steps={STEPS}")
THREE = ("iterate.iterations=3", f"cold_start.steps={STEPS // 3}")
ARMS = {
    "all": (*ONE, "distill.choose.method=all"),
    "correct": (*ONE, "distill.choose.method=correct"),
    "selected": (*ONE, "distill.choose.method=student"),
    "iterations": (*THREE, "iterate.checkpoints=1", "distill.choose.method=student"),
    "iterations, merged": (*THREE, "iterate.checkpoints=4", "distill.choose.method=student"),
}
TEACHERS = ("terse", "verbose", "weak")
STUDENT_STEPS = 200
LEARNING = ("cold_start.learning_rate=5e-3", "cold_start.warmup_steps=20")


def run(script: str, folder: Path, *overrides: str) -> None:
    """One of the project's scripts on the configuration; what it prints goes to log.txt in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "scripts" / script), str(CONFIG), f"run_dir={folder}", *overrides]
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        code = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
    if code:
        raise SystemExit(f"{script} in {folder} ended with code {code}; see {folder / 'log.txt'}")


def make_teachers(folder: Path, steps: Sequence[int]) -> list[str]:
    """The three teachers; the overrides that name them."""
    terse, verbose, weak = (folder / "teachers" / name for name in TEACHERS)
    large = ("model.path=tiny:96x2", "cold_start.batch=128", *LEARNING)
    run("cold_start.py", terse, *large, f"cold_start.steps={steps[0]}")
    rows = folder / "teachers" / "verbose.jsonl"
    if not rows.is_file():
        write_atomically(rows, rows_text(verbose_rows()))
    base = f"model.path={terse / 'cold_start' / 'model'}"
    run("cold_start.py", verbose, *large[1:], base, f"cold_start.labels={rows}", f"cold_start.steps={steps[1]}")
    run("cold_start.py", weak, *large, f"cold_start.steps={steps[2]}")
    return [
        f"teachers.{i}.model={folder / 'teachers' / name / 'cold_start' / 'model'}" for i, name in enumerate(TEACHERS)
    ]


def verbose_rows() -> list[dict[str, Any]]:
    """Problems with a thought that works everything out twice, in the form of a labelled file."""
    config = load_config(CONFIG)
    tests = frozenset(problem.prompt for problem in load_problems(config, "test"))
    rows = []
    for worked in find_world("tiny:pair").draw(20000, 5000, config.data.shares, tests):
        thought = f"{worked.thinking} = {worked.thinking}"
        examples = {"think": thought, "no_think": ""}
        label = {
            mode: {"shortest": {"judge": "so", "thinking": text, "answer": worked.problem.answer, "tokens": len(text)}}
            for mode, text in examples.items()
        }
        rows.append({**problem_to_row(worked.problem), "label": label})
    return rows


def make_chains(folder: Path, teachers: Sequence[str]) -> Path:
    """The scored chains of all teachers, with verbosity and difficulty by rule."""
    run("distill.py", folder, "--stage", "generate", *teachers)
    run("distill.py", folder, "--stage", "score", *teachers)
    out = folder / "chains.jsonl"
    if not out.is_file():
        levels = {problem.id: int(problem.difficulty or 0) for problem in load_problems(load_config(CONFIG), "train")}
        rows = read_rows(folder / "distill" / "scored.jsonl")
        write_atomically(out, rows_text([with_levels(row, levels[row["problem"]]) for row in rows]))
    return out


def with_levels(row: dict[str, Any], moves: int) -> dict[str, Any]:
    """A chain with its difficulty, the number of moves, and its verbosity: a level for every three tokens of thought,
    so that stating each step once has the level of the difficulty."""
    thought = row["response"].rpartition("</think>")[0].removeprefix("<think>")
    tokens = sum(not character.isspace() for character in thought)
    rule = {"verbosity": "rule", "difficulty": "rule"}
    return {**row, "verbosity": min(9, tokens // 3), "difficulty": moves, "judges": {**row["judges"], **rule}}


def student_results(folder: Path, seed: int, chains: Path) -> dict[str, Any]:
    """Accuracy and tokens of forced thinking before, and after each arm."""
    place = folder / f"seed{seed}"
    run("cold_start.py", place / "start", f"seed={seed}", f"cold_start.steps={STUDENT_STEPS}", *LEARNING)
    found: dict[str, Any] = {}
    for name, overrides in ARMS.items():
        arm = place / name.replace(", ", "_")
        model = place / "start" / "cold_start" / "model"
        run("iterate.py", arm, f"seed={seed}", f"model.path={model}", f"iterate.chains={chains}", *overrides)
        rows = json.loads((arm / "iterations" / "table.json").read_text())["rows"]
        found["untouched"] = rows[0]
        found[name] = rows[-1] | {"table": rows}
        print(f"seed {seed}, {name}: {found[name]['think']}", flush=True)
    return found


def summarized(seeds: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and 95 % interval over the seeds of each way, and of its difference to `selected`."""
    rows = []
    for name in ("untouched", *ARMS):
        row: dict[str, Any] = {"case": name}
        for key in ("accuracy", "mean_tokens"):
            values = [one[name]["think"][key] for one in seeds.values()]
            against = [one[name]["think"][key] - one["selected"]["think"][key] for one in seeds.values()]
            row[key] = {"values": values, **interval(values), "against_selected": interval(against)}
        rows.append(row)
    return rows


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and half width."""
    found = mean_interval(values)
    return {"mean": found.mean, "half": found.half}


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of the documents."""
    lines = [
        "| learned from | accuracy of forced thinking | its tokens | accuracy against selected |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [f"{row[k]['mean']:.3f} ± {row[k]['half'] or 0:.3f}" for k in ("accuracy",)]
        cells += [f"{row['mean_tokens']['mean']:.1f} ± {row['mean_tokens']['half'] or 0:.1f}"]
        against = row["accuracy"]["against_selected"]
        cells += [f"{against['mean']:+.3f} ± {against['half'] or 0:.3f}" if row["case"] != "selected" else ""]
        lines.append(f"| {row['case']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing, write the JSON, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-2", type=seeds_of)
    parser.add_argument("--folder", default=Path("runs/distill"), type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started, folder = time.time(), options.folder.resolve()
    chains = make_chains(folder, make_teachers(folder, (600, 200, 150)))
    seeds = {seed: student_results(folder, seed, chains) for seed in options.seeds}
    rows = summarized(seeds)
    print(markdown(rows))
    if options.json:
        scores = json.loads((folder / "distill" / "scores.json").read_text())
        report = {"rows": rows, "seeds": seeds, "chains": scores, "seconds": round(time.time() - started)}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

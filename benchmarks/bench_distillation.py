"""What iterations with merging and selected chains are worth: a tiny student with three tiny teachers, over seeds.

    python benchmarks/bench_distillation.py --seeds 0-2 --json benchmarks/results/distillation.json

In the world `tiny:pair` one teacher writes every step once, one writes all steps twice, one is trained too little and
often wrong. Each writes two chains for 1,500 problems at temperature 1. A student that has begun to think learns from
as many rows in five ways:

    all                  one fine-tuning on every chain
    correct              one fine-tuning on every correct chain
    selected             one fine-tuning on chains chosen by the student's own pass rates
    iterations           three thirds, problems and chains chosen anew before each, the last checkpoint goes on
    iterations, merged   the same, the checkpoints after half and all of each third merged

Everything is kept in --folder and goes on where it stopped. Verbosity and difficulty come from a rule here (thought
tokens, moves), since no tiny model can judge.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
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
# In the order of what they say; every arm has all seeds before the next begins.
ARMS = {
    "all": (*ONE, "distill.choose.method=all"),
    "selected": (*ONE, "distill.choose.method=student"),
    "iterations, merged": (*THREE, "iterate.checkpoints=2", "distill.choose.method=student"),
    "correct": (*ONE, "distill.choose.method=correct"),
    "iterations": (*THREE, "iterate.checkpoints=1", "distill.choose.method=student"),
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


def tune(folder: Path, *overrides: str) -> Path:
    """A model that the cold start makes, unless it is there."""
    model = folder / "cold_start" / "model"
    if not (model / "config.json").is_file():
        run("cold_start.py", folder, *overrides)
    return model


def make_teachers(folder: Path, steps: Sequence[int]) -> list[str]:
    """The three teachers; the overrides that name them."""
    terse, verbose, weak = (folder / "teachers" / name for name in TEACHERS)
    large = ("model.path=tiny:96x2", "cold_start.batch=128", *LEARNING)
    tune(terse, *large, f"cold_start.steps={steps[0]}")
    rows = folder / "teachers" / "verbose.jsonl"
    if not rows.is_file():
        write_atomically(rows, rows_text(verbose_rows()))
    base = f"model.path={terse / 'cold_start' / 'model'}"
    tune(verbose, *large[1:], base, f"cold_start.labels={rows}", f"cold_start.steps={steps[1]}")
    tune(weak, *large, f"cold_start.steps={steps[2]}")
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
    out = folder / "chains.jsonl"
    if not out.is_file():
        run("distill.py", folder, "--stage", "generate", *teachers)
        run("distill.py", folder, "--stage", "score", *teachers)
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


def student_results(folder: Path, seed: int, name: str, chains: Path) -> list[dict[str, Any]]:
    """The table of one arm: the student before, its checkpoints, and last the model that came of it."""
    place = folder / f"seed{seed}"
    model = tune(place / "start", f"seed={seed}", f"cold_start.steps={STUDENT_STEPS}", *LEARNING)
    arm = place / name.replace(", ", "_")
    share_start(place / "all" / "iterations", arm / "iterations")
    if not (arm / "iterations" / "table.json").is_file():
        run("iterate.py", arm, f"seed={seed}", f"model.path={model}", f"iterate.chains={chains}", *ARMS[name])
    rows = json.loads((arm / "iterations" / "table.json").read_text())["rows"]
    rows = [{**row, "path": str(Path(row["path"]).relative_to(folder))} for row in rows]
    print(f"seed {seed}, {name}: {rows[-1]['think']}", flush=True)
    return rows


def share_start(source: Path, folder: Path) -> None:
    """Every arm begins with the untouched student: its evaluation and its pass rates are measured once."""
    if (source / "table.json").is_file() and not folder.exists():
        shutil.copytree(source / "0", folder / "0")
        (folder / "1").mkdir()
        for name in ("labels.jsonl", "labels.jsonl.settings.json"):
            shutil.copy2(source / "1" / name, folder / "1" / name)


def summarized(arms: dict[str, dict[int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Mean and 95 % interval over the seeds of each way, and of its difference to `selected`, seed by seed."""
    found = {name: {seed: rows[-1]["think"] for seed, rows in seeds.items()} for name, seeds in arms.items()}
    found = {"untouched": {seed: rows[0]["think"] for seed, rows in arms["all"].items()}} | found
    base = found.get("selected", found["untouched"])
    rows = []
    for name, seeds in found.items():
        row: dict[str, Any] = {"case": name}
        for key in ("accuracy", "mean_tokens"):
            values = [one[key] for one in seeds.values()]
            against = [one[key] - base[seed][key] for seed, one in seeds.items()]
            row[key] = {"values": values, **interval(values), "against_selected": interval(against)}
        rows.append(row)
    return rows


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and half width."""
    found = mean_interval(values)
    return {"mean": found.mean, "half": found.half}


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of the documents."""
    head = "| learned from | accuracy of forced thinking | its tokens | accuracy − selected | tokens − selected |"
    lines = [head, "| --- " * 5 + "|"]
    for row in rows:
        accuracy, tokens = row["accuracy"], row["mean_tokens"]
        cells = [f"{shown(accuracy, 3)} | {shown(tokens, 1)}"]
        against = [shown(accuracy["against_selected"], 3, "+"), shown(tokens["against_selected"], 1, "+")]
        cells += against if row["case"] != "selected" else ["", ""]
        lines.append(f"| {row['case']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(value: dict[str, Any], digits: int, sign: str = "") -> str:
    """A mean with its half width, where there is one."""
    half = f" ± {value['half']:.{digits}f}" if value["half"] is not None else ""
    return f"{value['mean']:{sign}.{digits}f}{half}"


def main() -> None:
    """Make what is missing; after each arm write the JSON and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-2", type=seeds_of)
    parser.add_argument("--folder", default=Path("runs/distill"), type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = options.folder.resolve()
    chains = make_chains(folder, make_teachers(folder, (600, 200, 150)))
    scores = json.loads((folder / "distill" / "scores.json").read_text())
    arms: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for name in ARMS:
        arms[name] = {seed: student_results(folder, seed, name, chains) for seed in options.seeds}
        rows = summarized(arms)
        print(markdown(rows), flush=True)
        if options.json:
            report = {"rows": rows, "arms": arms, "chains": scores}
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

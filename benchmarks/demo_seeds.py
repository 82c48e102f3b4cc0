"""The demo over several seeds, with its goals and its control, as Markdown for docs/results.md.

    python benchmarks/demo_seeds.py --seeds 0-4 --jobs 2 --json benchmarks/results/demo.json

Each seed is `scripts/demo.py CONFIG seed=S`, in its own folder under --folder; finished stages are kept, so it can be
stopped and started again. The JSON has the seconds of those that ran in one go. `--control` adds, for the first seed,
RL with the judge rewards permuted within each batch, from the same cold start. With --jobs above 1 every run gets one
thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rl.reports.goals import goals
from rl.reports.tables import saving_captured

ROOT = Path(__file__).parents[1]


def run(config: Path, folder: Path, overrides: list[str], jobs: int) -> Path:
    """One demo run; its output goes to log.txt beside it, and its wall and processor seconds to seconds.json where it
    is the first in this folder."""
    first = not (folder / "log.txt").exists()
    folder.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": "1"} if jobs > 1 else {}
    command = [sys.executable, str(ROOT / "scripts/demo.py"), str(config), f"run_dir={folder}", *overrides]
    started = time.perf_counter()
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **threads})
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{folder} ended with code {os.waitstatus_to_exitcode(status)}; see {folder / 'log.txt'}")
    seconds = {"wall": time.perf_counter() - started, "processor": usage.ru_utime + usage.ru_stime}
    if first:
        (folder / "seconds.json").write_text(json.dumps({name: round(value) for name, value in seconds.items()}))
    return folder


def control(config: Path, folder: Path, source: Path, overrides: list[str], jobs: int) -> Path:
    """The permuted control on the cold start of another run."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cold_start").exists():
        (folder / "cold_start").symlink_to((source / "cold_start").resolve())
    return run(config, folder, [*overrides, "control.permute_judge=true"], jobs)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The evaluations before and after RL."""
    before, after = (json.loads((folder / name).read_text()) for name in ("eval_before.json", "eval.json"))
    return before, after


def row(name: str, folder: Path) -> dict[str, Any]:
    """What one run came to."""
    before, after = read(folder)
    auto, think = after["modes"]["auto"], after["modes"]["think"]
    results = goals(before, after)
    spent = folder / "seconds.json"
    return {
        "case": name,
        "seconds": json.loads(spent.read_text()) if spent.is_file() else None,
        "think_before": before["modes"]["think"]["accuracy"],
        "think_after": think["accuracy"],
        "auto": auto["accuracy"],
        "think_tokens": min(before["modes"]["think"]["mean_tokens"], think["mean_tokens"]),
        "auto_tokens": auto["mean_tokens"],
        "think_rate_easy": after["easy"]["auto"]["think_rate"],
        "think_rate_hard": after["hard"]["auto"]["think_rate"],
        "captured": saving_captured(before, after),
        "passed": sum(passed for _, passed, _ in results),
        "goals": len(results),
        "failed": [f"{name}: {detail}" for name, passed, detail in results if not passed],
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the documents."""
    head = "| run | forced think before / after | auto | tokens think → auto | think easy / hard | captured | goals |"
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        lines.append(
            f"| {r['case']} | {r['think_before']:.3f} / {r['think_after']:.3f} | {r['auto']:.3f} "
            f"| {r['think_tokens']:.1f} → {r['auto_tokens']:.1f} "
            f"| {r['think_rate_easy']:.1%} / {r['think_rate_hard']:.1%} | {r['captured'] or 0:.1%} "
            f"| {r['passed']} of {r['goals']} |"
        )
    return "\n".join(lines)


def seeds_of(text: str) -> list[int]:
    """`0-4` or `1,3`."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]


def main() -> None:
    """Run, then print the table and every goal that was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-4", type=seeds_of, help="0-4 or 1,3")
    parser.add_argument("--jobs", default=1, type=int, help="runs at a time")
    parser.add_argument("--config", default=ROOT / "configs/demo.yaml", type=Path)
    parser.add_argument("--folder", default="runs/seeds", type=Path)
    parser.add_argument("--control", action="store_true", help="add the permuted control")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = {
            s: pool.submit(
                run, options.config, options.folder / f"seed{s}", [f"seed={s}", *options.overrides], options.jobs
            )
            for s in options.seeds
        }
        folders = {f"seed {seed}": future.result() for seed, future in runs.items()}
    if options.control:
        seed = options.seeds[0]
        source = folders[f"seed {seed}"]
        given = [f"seed={seed}", *options.overrides]
        folders["permuted judge"] = control(options.config, options.folder / "permuted", source, given, options.jobs)
    rows = [row(name, folder) for name, folder in folders.items()]
    print(markdown(rows))
    for one in rows:
        for failure in one["failed"]:
            print(f"missed by {one['case']}: {failure}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

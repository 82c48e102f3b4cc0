"""What RL did to the judgment of a pretrained model, over the seeds of one task, as Markdown for docs/results.md.

    make products SEED=0                  # and 1 and 2; or make arithmetic
    python benchmarks/judging.py runs/products/seed0 runs/products/seed1 runs/products/seed2 \\
        --json benchmarks/results/products.json

Reads the evaluations of finished runs and runs nothing. An evaluation of other problems, `unseen.json` in a run folder
(`scripts/evaluate.py ... --out`), is taken along. Five goals a seed, all after RL and on the same held-out problems:

    accuracy lost   the best of the untouched model and of forced think before and after RL, minus auto   at most 0.01
    tokens          auto / the shorter forced think                                                      at most 0.60
    captured        share of the oracle router's saving                                                 at least 0.90
    obeyed          prompts with a tag that are answered in its mode, each tag                          at least 0.98
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from rl.files.atomic import write_atomically
from rl.files.json_file import read_object
from rl.files.outputs import claim_recognised
from rl.reports.outcomes import captured, lost, paired, token_share
from rl.statistics.names import MODE_LABELS, ROUTERS
from rollout.errors import UserError

KEPT = ("n", "modes", "routers", "by_difficulty", "obedience")
MEASURED = (*KEPT, "problems")
FINISHED = "the folder of a finished run with tags, as make products and make arithmetic leave it"
Result = Mapping[str, Any]


def read(folder: Path) -> dict[str, Any]:
    """The evaluations of a run and its goals. Raises `UserError` where one is missing or of something else."""
    before, after = (read_object(folder / name, MEASURED, FINISHED) for name in ("eval_before.json", "eval.json"))
    untouched = read_object(folder / "eval_untouched.json", ["settings"], FINISHED)
    seed = read_object(folder / "config.json", ["seed"], FINISHED)["seed"]
    try:
        alone = untouched["settings"]["auto"]
        row: dict[str, Any] = {"seed": seed, "goals": goals(before, after, alone["accuracy"])}
        row["untouched"] = {key: alone[key] for key in ("accuracy", "mean_tokens", "think_rate")}
        row |= {name: {key: found[key] for key in KEPT} for name, found in (("before", before), ("after", after))}
        _tables([row])
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"{folder} has no {error} in its evaluations; allowed: {FINISHED}") from error
    if not all(map(math.isfinite, row["goals"].values())):
        raise UserError(f"{folder} has numbers that are none in its evaluations; allowed: {FINISHED}")
    if (folder / "unseen.json").is_file():
        unseen = read_object(folder / "unseen.json", KEPT[:-1], "an evaluation of other problems, or no such file")
        row["unseen"] = {key: unseen[key] for key in KEPT if key in unseen}
    return row


def goals(before: Result, after: Result, untouched: float) -> dict[str, float]:
    """The measures of the five goals, and what auto is above a router that thinks at random as often."""
    pairs = paired(before, after)
    if {len(pairs)} != {before["n"], after["n"], len(before["problems"]), len(after["problems"])}:
        raise ValueError("same problems before and after RL")
    auto = after["modes"]["auto"]["accuracy"]
    return {
        "lost": max(lost(pairs), untouched - auto),
        "tokens": token_share(pairs),
        "captured": captured(pairs),
        "obeyed_no_think": after["obedience"]["no_think"],
        "obeyed_think": after["obedience"]["think"],
        "above_random": auto - after["routers"]["random"]["accuracy"],
    }


def _tables(rows: list[dict[str, Any]]) -> str:
    """Goals, modes and routers, and kinds, each seed in its own lines."""
    lines = _head("seed", "accuracy lost", "tokens", "captured", "obeyed `/no_think`, `/think`", "above random")
    for row in rows:
        got = row["goals"]
        cells = [f"{got[key]:.3f}" for key in ("lost", "tokens", "captured")]
        cells += [f"{got['obeyed_no_think']:.3f}, {got['obeyed_think']:.3f}", f"{got['above_random']:+.3f}"]
        lines.append(_line(row, *cells))
    lines += ["", *_head("seed", "mode or router", "accuracy before → after RL", "tokens before → after", "think rate")]
    lines += [line for row in rows for line in _modes(row)]
    kinds = ("seed", "kind, problems", "forced think", "forced direct", "think rate", "probability of thinking")
    return "\n".join([*lines, "", *_head(*kinds), *(line for row in rows for line in _kinds(row))])


def _modes(row: dict[str, Any]) -> list[str]:
    named = [("modes", mode, label) for mode, label in MODE_LABELS.items()]
    named += [("routers", router, f"{router} router") for router in ROUTERS]
    lines = []
    for part, name, label in named:
        cells = [_change(row, (part, name, "accuracy"), ".3f"), _change(row, (part, name, "mean_tokens"), ".1f")]
        cells.append(_change(row, (part, name, "think_rate"), ".1%") if name in ("auto", "oracle") else "")
        lines.append(_line(row, label, *cells))
    return lines


def _kinds(row: dict[str, Any]) -> list[str]:
    lines = []
    for kind, table in row["after"]["by_difficulty"].items():
        place = ("by_difficulty", kind)
        cells = [_change(row, (*place, mode, "accuracy"), ".3f") for mode in ("think", "no_think")]
        cells += [_change(row, (*place, "auto", "think_rate"), ".1%")]
        cells += [_change(row, (*place, "auto", "think_probability"), ".2f")]
        lines.append(_line(row, f"{kind}, {table['n']}", *cells))
    return lines


def _change(row: dict[str, Any], place: tuple[str, ...], spec: str) -> str:
    before, after = (reduce(lambda table, key: table[key], place, row[side]) for side in ("before", "after"))
    return f"{before:{spec}} → {after:{spec}}"


def _head(*columns: str) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]


def _line(row: dict[str, Any], *cells: str) -> str:
    return f"| {row['seed']} | " + " | ".join(cells) + " |"


def collect(folders: list[Path], file: Path | None) -> None:
    """Print the tables and write the file. Raises `UserError`."""
    if file:
        claim_recognised(file, ["seeds"])
    rows = [read(folder) for folder in folders]
    if len({row["seed"] for row in rows}) < len(rows):
        raise UserError(f"the runs have the seeds {[row['seed'] for row in rows]}; allowed: each seed once")
    if len({tuple(sorted(row["after"]["by_difficulty"])) for row in rows}) > 1:
        raise UserError("the runs have different kinds of problems; allowed: the seeds of one task")
    print(_tables(rows))
    if file:
        write_atomically(file, json.dumps({"seeds": rows}, indent=1) + "\n")


def main() -> None:
    """An error of the user is one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        collect(options.runs, options.json)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()

"""What RL did to the judgment of a pretrained model, over the seeds of one task, as Markdown for docs/results.md.

    make products SEED=0                  # and 1 and 2; or make arithmetic
    python benchmarks/judging.py runs/products/seed0 runs/products/seed1 runs/products/seed2 \\
        --json benchmarks/results/products.json

Reads the evaluations of finished runs and runs nothing; FILE keeps its rows of other seeds, and the tables are those of
all its rows, with 95 % intervals over the problems. An evaluation of other problems, `unseen.json` in a run folder
(`scripts/evaluate.py ... --out`), is taken along. Five goals a seed, all after RL and on the same held-out problems:

    accuracy lost   the best of the untouched model and of forced think before and after RL, minus auto   at most 0.01
    tokens          auto / the shorter forced think                                                      at most 0.60
    captured        share of the oracle router's saving                                                 at least 0.90
    obeyed          prompts with a tag that are answered in its mode, each tag                          at least 0.98
"""

from __future__ import annotations

import argparse
from functools import reduce
from pathlib import Path
from typing import Any

from judged import read, read_rows, text_of

from rl.cli import run_plain
from rl.files.atomic import write_atomically
from rl.files.outputs import check_writable, hold
from rl.statistics.names import MODE_LABELS, ROUTERS
from rollout.errors import UserError

Rows = list[dict[str, Any]]
COLUMNS = {"lost": "accuracy lost", "tokens": "tokens", "captured": "captured"}


def tables(rows: Rows) -> str:
    """Goals, modes and routers, kinds, and kinds of other problems, each seed in its own lines."""
    lines = _head("seed", *COLUMNS.values(), "obeyed `/no_think`, `/think`", "above random")
    for row in rows:
        got = row["goals"]
        cells = [f"{got[key]:.3f}{_interval(row, key)}" for key in COLUMNS]
        cells += [f"{got['obeyed_no_think']:.3f}, {got['obeyed_think']:.3f}", f"{got['above_random']:+.3f}"]
        lines.append(_line(row, *cells))
    lines += ["", *_head("seed", "mode or router", "accuracy before → after RL", "tokens before → after", "think rate")]
    lines += [line for row in rows for line in _modes(row)]
    kinds = ("seed", "kind, problems", "forced think", "forced direct", "think rate", "probability of thinking")
    lines += ["", *_head(*kinds), *(line for row in rows for line in _kinds(row))]
    other = [line for row in rows for line in _unseen(row)]
    kinds = ("seed", "unseen kind, problems", "forced think", "forced direct", "auto", *kinds[-2:])
    return "\n".join([*lines, *(["", *_head(*kinds), *other] if other else [])])


def _interval(row: dict[str, Any], key: str) -> str:
    ends = row.get("intervals", {}).get(key)
    return f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""


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


def _unseen(row: dict[str, Any]) -> list[str]:
    lines = []
    for kind, table in (row.get("unseen") or {"by_difficulty": {}})["by_difficulty"].items():
        cells = [f"{table[mode]['accuracy']:.3f}" for mode in MODE_LABELS]
        cells += [f"{table['auto']['think_rate']:.1%}", f"{table['auto']['think_probability']:.2f}"]
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
    """Print the tables and write the file: the rows of other seeds stay there. Raises `UserError`."""
    there: Rows = []
    if file:
        check_writable(file)
        hold(file)
        there = read_rows(file)
    rows = [read(folder) for folder in folders]
    seeds = [row["seed"] for row in rows]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"the runs have the seeds {seeds}; allowed: each seed once")
    for old in there:
        if old["seed"] in seeds and old["goals"] != rows[seeds.index(old["seed"])]["goals"]:
            raise UserError(
                f"{file} has other numbers of seed {old['seed']}; allowed: that file moved away, or another"
            )
    rows = sorted([*rows, *(old for old in there if old["seed"] not in seeds)], key=lambda row: int(row["seed"]))
    if len({tuple(sorted(row["after"]["by_difficulty"])) for row in rows}) > 1:
        raise UserError("the runs have different kinds of problems; allowed: the seeds of one task")
    print(tables(rows))
    if file:
        write_atomically(file, text_of(rows))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="rows of other seeds that it has stay there")
    run_plain(lambda options: collect(options.runs, options.json), arguments)

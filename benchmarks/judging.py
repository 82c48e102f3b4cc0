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
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from rl.reports.outcomes import captured, lost, paired, token_share
from rl.statistics.names import MODE_LABELS, ROUTERS

KEPT = ("n", "modes", "routers", "by_difficulty", "obedience")
Result = Mapping[str, Any]


def read(folder: Path) -> dict[str, Any]:
    """The evaluations of a run and its goals. Raises `SystemExit` where one is missing."""
    files = {"untouched": "eval_untouched.json", "before": "eval_before.json", "after": "eval.json"}
    try:
        found = {name: json.loads((folder / file).read_text(encoding="utf-8")) for name, file in files.items()}
    except OSError as error:
        raise SystemExit(f"error: {error.filename}: {error.strerror}; allowed: the folder of a finished run") from None
    seed = json.loads((folder / "config.json").read_text(encoding="utf-8"))["seed"]
    alone = found["untouched"]["modes"]["auto"]
    row: dict[str, Any] = {"seed": seed, "goals": goals(found["before"], found["after"], alone["accuracy"])}
    row["untouched"] = {key: alone.get(key) for key in ("accuracy", "mean_tokens", "think_rate")}
    row |= {name: {key: found[name][key] for key in KEPT if key in found[name]} for name in ("before", "after")}
    if (folder / "unseen.json").is_file():
        unseen = json.loads((folder / "unseen.json").read_text(encoding="utf-8"))
        row["unseen"] = {key: unseen[key] for key in KEPT if key in unseen}
    return row


def goals(before: Result, after: Result, untouched: float) -> dict[str, float]:
    """The measures of the five goals, and what auto is above a router that thinks at random as often."""
    pairs = paired(before, after)
    auto = after["modes"]["auto"]["accuracy"]
    return {
        "lost": max(lost(pairs), untouched - auto),
        "tokens": token_share(pairs),
        "captured": captured(pairs),
        "obeyed_no_think": after["obedience"]["no_think"],
        "obeyed_think": after["obedience"]["think"],
        "above_random": auto - after["routers"]["random"]["accuracy"],
    }


def tables(rows: list[dict[str, Any]]) -> str:
    """Goals, modes and routers, and kinds, each seed in its own lines."""
    lines = [
        "| seed | accuracy lost | tokens | captured | obeyed `/no_think`, `/think` | above random |",
        "|" + " --- |" * 6,
    ]
    for row in rows:
        got = row["goals"]
        cells = [f"{got[key]:.3f}" for key in ("lost", "tokens", "captured")]
        cells += [f"{got['obeyed_no_think']:.3f}, {got['obeyed_think']:.3f}", f"{got['above_random']:+.3f}"]
        lines.append(f"| {row['seed']} | " + " | ".join(cells) + " |")
    lines += ["", "| seed | mode or router | accuracy before → after RL | tokens before → after | think rate |"]
    lines.append("|" + " --- |" * 5)
    lines += [line for row in rows for line in _modes(row)]
    lines += ["", "| seed | kind, problems | forced think | forced direct | think rate | probability of thinking |"]
    lines.append("|" + " --- |" * 6)
    lines += [line for row in rows for line in _kinds(row)]
    return "\n".join(lines)


def _modes(row: dict[str, Any]) -> list[str]:
    named = [("modes", mode, label) for mode, label in MODE_LABELS.items()]
    named += [("routers", router, f"{router} router") for router in ROUTERS]
    lines = []
    for part, name, label in named:
        cells = [_change(row, (part, name, "accuracy"), ".3f"), _change(row, (part, name, "mean_tokens"), ".1f")]
        cells.append(_change(row, (part, name, "think_rate"), ".1%") if name in ("auto", "oracle") else "")
        lines.append(f"| {row['seed']} | {label} | " + " | ".join(cells) + " |")
    return lines


def _kinds(row: dict[str, Any]) -> list[str]:
    lines = []
    for kind, table in row["after"]["by_difficulty"].items():
        place = ("by_difficulty", kind)
        cells = [_change(row, (*place, mode, "accuracy"), ".3f") for mode in ("think", "no_think")]
        cells += [_change(row, (*place, "auto", "think_rate"), ".1%")]
        cells += [_change(row, (*place, "auto", "think_probability"), ".2f")]
        lines.append(f"| {row['seed']} | {kind}, {table['n']} | " + " | ".join(cells) + " |")
    return lines


def _change(row: dict[str, Any], place: tuple[str, ...], spec: str) -> str:
    before, after = (reduce(lambda table, key: table[key], place, row[side]) for side in ("before", "after"))
    return f"{before:{spec}} → {after:{spec}}"


def main() -> None:
    """Print the tables and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [read(folder) for folder in options.runs]
    print(tables(rows))
    if options.json:
        options.json.write_text(json.dumps({"seeds": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What docs/algorithms.md says about the fair field, from its runs: both tables, then what its sentences quote of
them. Numbers of the starts, of the first test and of what was learned by heart are not in these runs.

    python benchmarks/field_quotes.py                                  # benchmarks/results/field.json
    python benchmarks/field_quotes.py --without 8,9,10                # the three comparisons without these seeds

U on a curve is that of the probe of 150 problems; all else is of the 500 test problems. An arrival is the first probe
at 95 % of the U of the cold start's oracle router, an end a run whose last model is there on the test problems.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rl.cli import run_plain
from rl.comparison.inference import (
    P_FLOOR,
    compared,
    named_comparisons,
    outcome,
    paired_differences,
    seeds_needed,
    spreads,
)
from rl.comparison.measures import REACHED, overall
from rl.comparison.report import CONSTANT, OURS, PEERS, constant_rows
from rl.files.json_file import read_object
from rl.worlds.worlds import TEST
from rollout.errors import UserError

RESULT = Path(__file__).parent / "results" / "field.json"
WORLDS = [world.name for world in TEST]
LOST_OR_TIED, AS_WALK = ("continuum", "shift", "long"), ("distilled", "shift", "long")
LEAST_SEEDS = 3
ALLOWED = "what python benchmarks/field.py test wrote"
Cell = Mapping[str, Any]
Cells = Sequence[Cell]


def algorithms_table(cells: Cells) -> list[str]:
    """Mean U by world, arrivals and collapses of each algorithm, then what no algorithm chose."""
    head = ["algorithm", "seeds", "mean U", *(f"`{world}`" for world in WORLDS), "behind the best by at most"]
    lines = _head([*head, "tokens to 95 % of the oracle", "steps", "collapsed"])
    for name, row in sorted(overall(cells).items(), key=lambda pair: -pair[1]["utility"]):
        runs = [cell for cell in cells if cell["algorithm"] == name]
        reach = f"{'> ' if 'reach' in row['bounds'] else ''}{row['reach'] / 1000:.1f}k"
        cells_of = [f"`{name}`", str(len(_seeds(runs))), f"{row['utility']:.3f}", *_by_world(runs, "utility")]
        cells_of += [f"{row['behind']:.3f}", f"{reach} ({row['reached']} of {row['runs']})", f"{row['steps']:.0f}"]
        lines.append(_line([*cells_of, f"{row['collapsed']} of {row['runs']}"]))
    ours = [cell for cell in cells if cell["algorithm"] == OURS]
    means = {name: (f"{value:.3f}", CONSTANT[name]) for name, value in constant_rows(cells).items()}
    random = fmean(fmean(_values(ours, world, "random_utility")) for world in WORLDS)
    means[f"random at {OURS}'s rate"] = (f"{random:.3f}", "random_utility")
    for label, (mean, key) in means.items():
        lines.append(_line([f"*{label}*", str(len(_seeds(ours))), mean, *_by_world(ours, key), *["–"] * 4]))
    return lines


def differences_table(cells: Cells) -> list[str]:
    """The three comparisons, a world's difference bold where its t interval leaves out 0."""
    lines = _head(["peer", "mean of the worlds", "p (Holm)", *(f"`{world}`" for world in WORLDS)])
    for peer, row in named_comparisons(cells, OURS, PEERS).items():
        known = paired_differences(cells, OURS, peer)
        by_world = []
        for world in WORLDS:
            bold = "" if outcome(known[world]) == "tie" else "**"
            by_world.append(f"{bold}{fmean(known[world]):+.3f}{bold}")
        lines.append(
            _line([f"`{peer}`", _interval(known), f"{'≤ ' if row['p'] <= P_FLOOR else ''}{row['holm']:.4f}", *by_world])
        )
    return lines


def quotes(cells: Cells) -> list[str]:
    """The numbers of the sentences, one a line."""
    lines = []
    for peer in PEERS:
        known = paired_differences(cells, OURS, peer)
        parts = {" + ".join(LOST_OR_TIED): LOST_OR_TIED, " + ".join(AS_WALK): AS_WALK}
        parts["the others"] = tuple(world for world in WORLDS if world not in AS_WALK)
        for label, worlds in parts.items():
            lines.append(f"{peer}, {label}: {_interval({world: known[world] for world in known if world in worlds})}")
        outcomes = Counter(outcome(known[world]) for world in WORLDS)
        lines.append(f"{peer}: won {outcomes['win']}, tied {outcomes['tie']}, lost {outcomes['loss']}")
        found = named_comparisons(cells, OURS, PEERS)[peer]["detectable"]
        needed = seeds_needed(spreads(known), 0.003, len(PEERS))
        lines.append(f"{peer}: detectable {found:.4f}; seeds that detect 0.003: {needed}")
        lines += _pairs(cells, peer)
        lines += [
            f"{key} of {OURS} over {peer}: {_ratio(cells, peer, key):.1f}" for key in ("train_seconds", "cpu_seconds")
        ]
        leads = [f"{key} {lead(cells, peer, key):+.4f}" for key in ("spent", "train_seconds", "cpu_seconds")]
        lines.append(f"{peer}: lead of {OURS} on the probe, cut where it has taken the peer's {', '.join(leads)}")
    for name in dict.fromkeys(cell["algorithm"] for cell in cells):
        runs = [cell for cell in cells if cell["algorithm"] == name]
        lines.append(f"{name}: arrive {_share(runs, _arrives)}; by world {_each(runs, _arrives)}")
        long = sorted(cell["reach"] for cell in runs if cell["world"] == "long" and _arrives(cell))
        lines.append(f"{name}: arrivals on long, tokens: {', '.join(f'{tokens:.0f}' for tokens in long) or 'none'}")
        lines.append(f"{name}: end there {_share(runs, _ends)}; by world {_each(runs, _ends)}")
        lines.append(f"{name}: forced thinking on shift {fmean(_values(runs, 'shift', 'change_think')):+.3f}")
        lines += [f"{name}: probe on {world} {_curve(runs, world)}" for world in ("long", "domains", "distilled")]
    return lines


def _pairs(cells: Cells, peer: str) -> list[str]:
    known = {(c["world"], c["seed"], c["algorithm"]): c for c in cells if _arrives(c)}
    pairs = [(c, known[w, s, peer]) for (w, s, name), c in known.items() if name == OURS and (w, s, peer) in known]
    if not pairs:
        return [f"{peer}: no pair in which both arrive"]
    sooner = sum(ours["reach"] < theirs["reach"] for ours, theirs in pairs)
    medians = [
        f"{key} {median(ours[key] for ours, _ in pairs):.1f} and {median(theirs[key] for _, theirs in pairs):.1f}"
        for key in ("reach", "reach_seconds")
    ]
    return [f"{peer}: both arrive in {len(pairs)} pairs, {OURS} sooner in {sooner}; medians of {', '.join(medians)}"]


def _arrives(cell: Cell) -> bool:
    return cell["reach"] is not None


def _ends(cell: Cell) -> bool:
    return float(cell["utility"]) >= REACHED * float(cell["oracle_utility"])


def _share(runs: Cells, which: Callable[[Cell], bool]) -> str:
    return f"{sum(map(which, runs))} of {len(runs)}"


def _each(runs: Cells, which: Callable[[Cell], bool]) -> str:
    return ", ".join(f"{world} {sum(which(c) for c in runs if c['world'] == world)}" for world in WORLDS)


def _curve(runs: Cells, world: str) -> str:
    """Mean U of the last probe before each quarter of the budget, and before 30 and 120 thousand tokens."""
    curves = [cell["curve"] for cell in runs if cell["world"] == world]
    end = 400_000 if world == "long" else 40_000
    at = sorted({end // 4, end // 2, 3 * end // 4, end, 3 * end // 10})
    means = [fmean(max(p for p in curve if p[0] <= tokens)[1] for curve in curves) for tokens in at]
    last = fmean(curve[-1][1] for curve in curves)
    told = ", ".join(f"{tokens // 1000}k {mean:.3f}" for tokens, mean in zip(at, means, strict=True))
    return f"{told}, last {last:.3f}"


def _ratio(cells: Cells, peer: str, key: str) -> float:
    shared = {(c["world"], c["seed"]) for c in cells if c["algorithm"] == peer}
    ours, theirs = (
        sum(c[key] for c in cells if c["algorithm"] == name and (c["world"], c["seed"]) in shared)
        for name in (OURS, peer)
    )
    return float(ours / theirs)


def lead(cells: Cells, peer: str, key: str) -> float:
    """Mean over the worlds of what `OURS` has on the last probe at which it has taken no more of `key` than the peer in
    all, less the peer's last probe; `key` is taken as proportional to the tokens. In `cpu_seconds` are the probes."""
    theirs = {(c["world"], c["seed"]): c for c in cells if c["algorithm"] == peer}
    leads: dict[str, list[float]] = {world: [] for world in WORLDS}
    for cell in cells:
        other = theirs.get((cell["world"], cell["seed"]))
        if cell["algorithm"] == OURS and other:
            tokens = cell["curve"][-1][0] * min(1.0, other[key] / cell[key])
            reached = max(point for point in cell["curve"] if point[0] <= tokens)
            leads[cell["world"]].append(reached[1] - other["curve"][-1][1])
    return fmean(fmean(values) for values in leads.values())


def _interval(known: Mapping[str, Sequence[float]]) -> str:
    found = compared(known)
    if found.lower is None or found.upper is None:
        return f"{found.mean:+.4f}"
    return f"{found.mean:+.4f} [{found.lower:+.4f}, {found.upper:+.4f}]"


def _values(runs: Cells, world: str, key: str) -> list[float]:
    return [float(cell[key]) for cell in runs if cell["world"] == world]


def _by_world(runs: Cells, key: str) -> list[str]:
    return [f"{fmean(_values(runs, world, key)):.3f}" for world in WORLDS]


def _seeds(runs: Cells) -> set[int]:
    return {cell["seed"] for cell in runs}


def _head(columns: list[str]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns))]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def read_cells(file: Path) -> Cells:
    """The runs with numbers of the test. Raises `UserError` for another file."""
    cells = read_object(file, ["cells"], ALLOWED)["cells"]
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise UserError(f"{file} has no list of runs; allowed: {ALLOWED}")
    failed = [cell for cell in cells if "error" in cell]
    if failed:
        print(f"{len(failed)} of {len(cells)} runs failed and are in no number here\n")
    return [cell for cell in cells if "error" not in cell]


def told(file: Path, without: str) -> str:
    """All that is printed of a file of results. Raises `UserError`."""
    cells = read_cells(file)
    try:
        known, out = {str(seed) for seed in _seeds(cells)}, set(without.split(",") if without else ())
        if not out <= known or len(known - out) < LEAST_SEEDS:
            allowed = f"some of {','.join(sorted(known, key=int))}, at least {LEAST_SEEDS} left"
            raise UserError(f"--without is {without!r}; allowed: {allowed}")
        if out:
            return "\n".join(differences_table([cell for cell in cells if str(cell["seed"]) not in out]))
        hours = sum(cell["cpu_seconds"] for cell in cells) / 3600
        lines = [*algorithms_table(cells), "", *differences_table(cells), "", *quotes(cells)]
        text = "\n".join([*lines, f"core-hours: {hours:.2f}"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{file} has an odd run ({type(error).__name__}: {error}); allowed: {ALLOWED}") from error
    if "nan" in text:
        raise UserError(f"{file} has a run with NaN; allowed: {ALLOWED}")
    return text


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--without", default="", metavar="SEEDS", help="such as 7,8,10")
    arguments.add_argument("--file", type=Path, default=RESULT, help="another test's results")
    run_plain(lambda options: print(told(options.file, options.without)), arguments)

"""Tuning before a comparison: every algorithm gets the same small grid search, on seeds that the table does not use.

A grid file names for each algorithm its most sensitive settings and their values:

    grpo: {trainer.learning_rate: [1.0e-4, 3.0e-4], rollout.temperature: [0.7, 1.0]}

All combinations run; the one with the highest mean U over the tuning worlds and seeds is written to a file that the
table is then made with. A run that failed or collapsed counts with a U of 0; among settings whose runs all did, the U
that the collapsed ones ended with decides.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl.comparison.runs import Plan, line, run_cell
from rl.config.schema import ConfigError
from rl.files.atomic import write_atomically

Settings = dict[str, Any]


def read_settings(path: str | Path) -> dict[str, Settings]:
    """A grid file or a tuned file: settings by algorithm. Raises `ConfigError` when it is none."""
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"no settings file {str(path)!r} (looked in {Path.cwd()})")
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict) or not all(isinstance(settings, dict) for settings in raw.values()):
        raise ConfigError(f"{path} holds {raw!r:.80}; allowed: settings by algorithm")
    return raw


def combinations(grid: Mapping[str, Any], place: str) -> list[Settings]:
    """All choices of one value a setting.

    >>> combinations({"a": [1, 2], "b": [3]}, "")
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{place}.{key} is {values!r}; allowed: a list of values to try")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def score(cells: Sequence[Mapping[str, Any]]) -> float:
    """Mean U; a run that failed or collapsed is worth 0."""
    return sum(0.0 if "error" in c or c["collapsed"] else c["utility"] for c in cells) / len(cells)


def quality(cells: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """What the best settings have most of: the score, then the mean U with collapsed runs as they ended."""
    return score(cells), sum(cell.get("utility", 0.0) for cell in cells) / len(cells)


def tune(
    plan: Plan,
    grids: Mapping[str, Mapping[str, Any]],
    worlds: Sequence[str],
    algorithms: Sequence[str],
    seeds: Sequence[int],
    show: Callable[[str], Any],
) -> tuple[dict[str, Settings], list[dict[str, Any]]]:
    """(the best settings by algorithm, every combination tried with its score). Finished runs are kept."""
    best: dict[str, Settings] = {}
    tried = []
    for name in algorithms:
        scores = []
        for settings in combinations(grids.get(name, {}), name):
            cells = [_run(plan, world, seed, name, settings, show) for world in worlds for seed in seeds]
            scores.append((quality(cells), settings))
            value, utility = scores[-1][0]
            tried.append({"algorithm": name, "settings": settings, "score": value, "utility": utility})
            show(f"{name} {settings}: score {value:.3f}, mean U {utility:.3f}")
        best[name] = max(scores, key=lambda pair: pair[0])[1]
        show(f"{name}: best {best[name]}")
    return best, tried


def write_tuned(
    path: Path,
    best: Mapping[str, Settings],
    tried: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    worlds: Sequence[str],
) -> Path:
    """The best settings as YAML, beside what the file had for other algorithms, and every score in a JSON beside it."""
    kept = read_settings(path) if path.is_file() else {}
    where = f"seeds {', '.join(map(str, seeds))} of {', '.join(worlds) or 'the data'}"
    write_atomically(
        path, f"# The best of the grids, by mean U on {where}.\n{yaml.safe_dump({**kept, **best}, sort_keys=True)}"
    )
    scores = path.with_suffix(".json")
    older = json.loads(scores.read_text(encoding="utf-8"))["tried"] if scores.is_file() else []
    older = [row for row in older if row["algorithm"] not in best]
    write_atomically(scores, json.dumps({"tried": [*older, *tried]}, indent=1) + "\n")
    return path


def _run(
    plan: Plan, world: str, seed: int, name: str, settings: Settings, show: Callable[[str], Any]
) -> dict[str, Any]:
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    folder = plan.place(world, seed) / f"{name}-{mark}"
    config = dataclasses.replace(plan.settings(world, seed, name, settings), run_dir=str(folder))
    cell = run_cell(plan, world, seed, name, config, folder)
    show(f"  {line(cell)}")
    return cell

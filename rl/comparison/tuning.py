"""Tuning before a comparison: every algorithm gets the same small grid search, on seeds that the table does not use.

A grid file names settings and the values to try; what stands under `all` is tried for every algorithm in it:

    all: {trainer.iterations: [1, 4], trainer.learning_rate: [3.0e-4, 6.0e-4]}
    grpo: {trainer.kl: [0.0, 0.05]}

All combinations run with the first seed, and with each further one the better half of those that are left (successive
halving, Jamieson & Talwalkar, arXiv 1502.07943): a seed more costs less, and settings that chance favoured once fall
back. Of those with all seeds the one with the highest mean U over worlds and seeds is written to a file that the table
is then made with. A run that failed or collapsed counts with a U of 0; among settings whose runs all did, the U
that the collapsed ones ended with decides. `inherited` makes of them the rate and iterations of algorithms that have no
grid, for benchmarks/field.py.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl.algorithms import SHIPPED
from rl.comparison.runs import SHARED, Plan, folder_of
from rl.comparison.table import Place, core_seconds, run_places
from rl.config.schema import ConfigError
from rl.files.atomic import write_atomically
from rollout.errors import nearest

Settings = dict[str, Any]
EVERY = "all"
OF_A_RUN = ("algorithm", "trainer", "rollout", "rewards", "history", "guard", "control")
"""The sections that runs from one cold start may differ in."""


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


def check_tuned_file(path: str | Path, grid: str | Path) -> None:
    """Raises `ConfigError` where the best settings cannot go: the grid itself, a file that holds something else, or one
    whose JSON beside it is of something else. Said before the first run, which may be hours from the last."""
    file, scores = Path(path), Path(path).with_suffix(".json")
    if file.suffix not in (".yaml", ".yml") or file.resolve() == Path(grid).resolve():
        raise ConfigError(f"--tuned is {str(path)!r}; allowed: a .yaml file of its own, not the grid of --tune")
    if file.is_file():
        known_algorithms(read_settings(file), file)
    if scores.is_file():
        try:
            tried = json.loads(scores.read_text(encoding="utf-8"))["tried"]
        except (ValueError, KeyError, TypeError):
            tried = None
        if not isinstance(tried, list):
            raise ConfigError(f"{scores}, where all scores go, holds something else; allowed: another --tuned FILE")


def known_algorithms(settings: Mapping[str, Settings], place: str | Path) -> None:
    """Raises `ConfigError` for chosen settings of what is no algorithm, and for a grid: they would change nothing."""
    for name, own in settings.items():
        if ":" not in name and name not in SHIPPED:
            hint = nearest(name, SHIPPED, f"allowed: {', '.join(SHIPPED)} or file.py:function")
            raise ConfigError(f"{place} has settings of {name!r}, no algorithm; {hint}")
        listed = [key for key, value in own.items() if isinstance(value, list) and key.partition(".")[0] != "rewards"]
        if listed:
            raise ConfigError(f"{place} has a list at {name}.{listed[0]}: it is a grid; allowed: chosen settings")


def combinations(grid: Mapping[str, Any], place: str) -> list[Settings]:
    """All choices of one value a setting.

    >>> combinations({"trainer.iterations": [1, 4], "trainer.kl": [0.1]}, "")
    [{'trainer.iterations': 1, 'trainer.kl': 0.1}, {'trainer.iterations': 4, 'trainer.kl': 0.1}]
    """
    for key, values in grid.items():
        if not isinstance(values, list) or not values or any(value in values[:k] for k, value in enumerate(values)):
            raise ConfigError(f"{place}.{key} is {values!r}; allowed: a list of values to try, each once")
        if key.partition(".")[0] not in OF_A_RUN:
            raise ConfigError(
                f"{place}.{key} is no setting of a run, all of which share cold start and problems; allowed: settings "
                f"of {', '.join(OF_A_RUN)}"
            )
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def score(cells: Sequence[Mapping[str, Any]]) -> float:
    """Mean U; a run that failed or collapsed is worth 0."""
    return sum(0.0 if "error" in c or c["collapsed"] else c["utility"] for c in cells) / len(cells)


def quality(cells: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """What the best settings have most of: the score, then the mean U with collapsed runs as they ended."""
    return score(cells), sum(cell.get("utility", 0.0) for cell in cells) / len(cells)


def grid_of(grids: Mapping[str, Mapping[str, Any]], name: str) -> list[Settings]:
    """The combinations to try for an algorithm, `all` first. Raises `ConfigError` for one without a grid."""
    if name not in grids or name == EVERY:
        known = ", ".join(other for other in grids if other != EVERY)
        raise ConfigError(
            f"no grid for {name!r}; allowed: a section of its own in the grid, which has {known or 'none'}"
        )
    return combinations({**grids.get(EVERY, {}), **grids[name]}, name)


def tune(
    plan: Plan,
    grids: Mapping[str, Mapping[str, Any]],
    worlds: Sequence[str],
    algorithms: Sequence[str],
    seeds: Sequence[int],
    show: Callable[[str], Any],
    jobs: int = 1,
    hours: float = 0.0,
) -> tuple[dict[str, Settings], list[dict[str, Any]]]:
    """(the best settings by algorithm, every combination tried with its score and runs). Finished runs are kept;
    algorithms with runs left, because the hours are spent, have no best settings yet."""
    left = {name: grid_of(grids, name) for name in algorithms}
    tried: dict[str, list[dict[str, Any]]] = {}
    made: list[tuple[str, Mapping[str, Any]]] = []
    for number, seed in enumerate(seeds):
        wanted = [_place(w, seed, name, one) for name, settings in left.items() for one in settings for w in worlds]
        spent = sum(core_seconds(cell) for _, cell in made) / 3600
        cells = run_places(plan, wanted, show, jobs, hours and max(hours - spent, 1e-9))
        made += [(place.folder, cell) for place, cell in zip(wanted, cells, strict=True) if cell is not None]
        for name, settings in left.items():
            tried[name] = [_row(name, one, _of(made, _folder(name, one))) for one in grid_of(grids, name)]
            rows = sorted((row for row in tried[name] if row["settings"] in settings), key=_merit, reverse=True)
            whole = all(len(row["runs"]) == len(worlds) * (number + 1) for row in rows)
            keep = len(rows) if number + 1 == len(seeds) else max(1, len(rows) // 2)
            left[name] = [row["settings"] for row in rows[:keep]] if whole else []
    best = {name: settings[0] for name, settings in left.items() if settings and not _all_failed(tried[name])}
    for name in algorithms:
        without = "all runs failed" if _all_failed(tried[name]) else "runs left to make"
        show(f"{name}: best {best[name]}" if name in best else f"{name}: {without}")
    return best, [row for name in best for row in tried[name]]


def inherited(tried: Sequence[Mapping[str, Any]]) -> Settings:
    """The shared settings whose best score with anything else is highest, as a mean over the algorithms that tried
    them. Empty where nothing was tried.

    >>> inherited([{"algorithm": "a", "score": 0.5, "settings": {"trainer.iterations": 4, "trainer.kl": 0.0}}])
    {'trainer.iterations': 4}
    """
    best: dict[str, dict[str, float]] = {}
    for row in tried:
        shared = json.dumps({key: value for key, value in row["settings"].items() if key in SHARED}, sort_keys=True)
        scores = best.setdefault(shared, {})
        scores[row["algorithm"]] = max(row["score"], scores.get(row["algorithm"], -1.0))
    means = {shared: sum(scores.values()) / len(scores) for shared, scores in best.items()}
    return json.loads(max(means, key=lambda shared: means[shared])) if means else {}


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


def _place(world: str, seed: int, name: str, settings: Settings) -> Place:
    return Place(world, seed, name, _folder(name, settings), settings)


def _of(made: Sequence[tuple[str, Mapping[str, Any]]], folder: str) -> list[Mapping[str, Any]]:
    return [cell for place, cell in made if place == folder]


def _all_failed(rows: Sequence[Mapping[str, Any]]) -> bool:
    runs = [run for row in rows for run in row["runs"]]
    return bool(runs) and all("error" in run for run in runs)


def _merit(row: Mapping[str, Any]) -> tuple[float, float]:
    return row["score"], row["utility"]


def _folder(name: str, settings: Settings) -> str:
    return f"{folder_of(name)}-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]}"


def _row(name: str, settings: Settings, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A combination with its score and its runs."""
    value, utility = quality(cells) if cells else (0.0, 0.0)
    kept = ("world", "seed", "utility", "collapsed", "error", "cpu_seconds")
    runs = [{key: cell[key] for key in kept if key in cell} for cell in cells]
    return {"algorithm": name, "settings": settings, "score": value, "utility": utility, "runs": runs}

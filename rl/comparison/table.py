"""A table's runs in their order, one core a run, within a budget of core-hours.

Runs go seed by seed, all algorithms and worlds of one before the next: a table that is stopped early has whole seeds.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import dataclasses
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.comparison.runs import CELL, Plan, folder_of, line, read_cell, run_cell
from rl.config.schema import Config, ConfigError

Cell = dict[str, Any]
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Place:
    """One run: `settings` are tuned settings to try instead of the plan's, `folder` its name below the seed's."""

    world: str
    seed: int
    algorithm: str
    folder: str
    settings: Mapping[str, Any] | None = None

    def config(self, plan: Plan) -> Config:
        """Its configuration, with its own run_dir."""
        made = plan.settings(self.world, self.seed, self.algorithm, self.settings)
        return dataclasses.replace(made, run_dir=str(self.path(plan)))

    def path(self, plan: Plan) -> Path:
        """Its folder."""
        return plan.place(self.world, self.seed) / self.folder

    def earlier(self, plan: Plan) -> Cell:
        """The cell that is there already, of a run that finished or failed; empty where there is none."""
        file = self.path(plan) / CELL
        return read_cell(file) if file.is_file() else {}


def places(worlds: Sequence[str], algorithms: Sequence[str], seeds: Sequence[int]) -> list[Place]:
    """The runs of a table in the order in which they are made."""
    return [Place(world, seed, name, folder_of(name)) for seed in seeds for name in algorithms for world in worlds]


def run_places(
    plan: Plan, wanted: Sequence[Place], show: Callable[[str], Any], jobs: int = 1, hours: float = 0.0
) -> list[Cell | None]:
    """The cells of these runs in their order, None for those that the hours left out and that were never begun (of one
    that failed before, that failure); a line each as they finish.
    Finished runs are kept. `jobs` at once; with `hours` no run begins once all of them together, earlier ones too, took
    so many core-hours, and a line says how many are left."""
    anew = any(place.config(plan).resume != "auto" for place in wanted[:1])
    if jobs > 1 and anew:
        raise ConfigError("resume is 'never' with --jobs above 1; allowed: resume=auto, or one job")
    earlier = {number: cell for number, place in enumerate(wanted) if not anew and (cell := place.earlier(plan))}
    finished = {number for number, cell in earlier.items() if "error" not in cell}
    budget = Budget(hours, sum(map(core_seconds, earlier.values())))
    cells: dict[int, Cell] = {}
    for number, cell in _made(plan, wanted, jobs, lambda number: number in finished or budget.is_left()):
        cells[number] = cell
        budget.spent += 0.0 if number in finished else core_seconds(cell)
        show(f"[{len(cells)}/{len(wanted)}] {line(cell)}")
    if len(cells) < len(wanted):
        show(f"{budget.spent / 3600:.2f} core-hours spent of {hours}: {len(wanted) - len(cells)} runs left out")
    return [cells.get(number, earlier.get(number)) for number in range(len(wanted))]


@dataclass
class Budget:
    """Core-hours for all runs of a table; 0: no limit. `spent` in seconds."""

    hours: float
    spent: float

    def is_left(self) -> bool:
        """Whether another run may begin."""
        return not self.hours or self.spent < 3600 * self.hours


def core_seconds(cell: Mapping[str, Any]) -> float:
    """What a cell took of a core."""
    return float(cell.get("cpu_seconds", cell["seconds"]))


def run_place(plan: Plan, place: Place) -> Cell:
    """One run, on one core."""
    import torch

    torch.set_num_threads(1)
    return run_cell(plan, place.world, place.seed, place.algorithm, place.config(plan), place.path(plan))


def _made(
    plan: Plan, wanted: Sequence[Place], jobs: int, may_begin: Callable[[int], bool]
) -> Iterator[tuple[int, Cell]]:
    """(number, cell) as they finish."""
    if jobs == 1:
        yield from ((number, run_place(plan, place)) for number, place in enumerate(wanted) if may_begin(number))
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            yield from _finished(pool, plan, wanted, jobs, may_begin)
        except BaseException:
            # Runs under way go on at the next start; the pool would wait for them.
            for worker in multiprocessing.active_children():
                worker.kill()
            raise


def _finished(
    pool: concurrent.futures.Executor, plan: Plan, wanted: Sequence[Place], jobs: int, may_begin: Callable[[int], bool]
) -> Iterator[tuple[int, Cell]]:
    waiting = list(enumerate(wanted))
    running: dict[concurrent.futures.Future[Cell], int] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            number, place = waiting.pop(0)
            if may_begin(number):
                running[pool.submit(run_place, plan, place)] = number
        done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()


def _end_with_parent() -> None:
    """In a worker: Ctrl-C is its parent's to handle, and where that is killed the system (Linux) ends the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

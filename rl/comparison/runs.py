"""The runs behind a comparison: for every world, seed and algorithm one folder, each finished one kept.

    FOLDER/WORLD/seedS/cold_start/   a start that all algorithms share, with its evaluations
    FOLDER/WORLD/seedS/ALGORITHM/    one run: metrics.jsonl, config.json, eval.json, log.txt, cell.json (written last)

A run has one core: several at once are several processes (`rl.comparison.table`), each of which makes one after the
other, because importing the libraries takes longer than some of the runs. A file lock lets one process make a cold
start that others wait for. What runs print goes to their log.txt. A run that ends with an error of its own is
recorded with that error and no numbers; starting again tries it again.

An algorithm is a name or `file.py:function`; `NAME@default` is NAME alone, whatever the configuration sets for
it, and `NAME@published` those of its authors' own code. Both have the tuned rate and iterations of NAME and no other
tuned setting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rl.cold_start.work import cold_start_work
from rl.comparison.measures import measures
from rl.config.read import load_config
from rl.config.schema import DEFAULT_ALGORITHM, Config, ConfigError
from rl.evaluation.work import evaluation_work
from rl.files.atomic import write_atomically
from rl.files.finished import Work, begin, is_finished, refuse_others
from rl.files.json_file import read_object
from rl.files.run_log import read_metrics
from rl.models.location import REHEARSAL, cold_start_folder
from rl.training.work import training_work
from rl.worlds.worlds import find_world
from rollout.errors import UserError

CELL = "cell.json"
VARIANTS = {"default": "own", "published": "published"}
"""What may stand behind `NAME@`, and the `preset` that it is."""
SHARED = ("trainer.learning_rate", "trainer.iterations")
"""What a variant takes from its algorithm's tuning, and an algorithm without a tuning from those of others."""


@dataclass(frozen=True)
class Plan:
    """Everything but world, seed and algorithm: the configuration file, its overrides, the folder, and for each
    algorithm its tuned settings as `section.key` → value. World "" is the configuration's own data. `starts`: the seeds
    of the cold starts and their data that runs take in turn; empty: each run's own seed. `frozen`: the git objects that
    all runs must be made with, empty where nothing is frozen."""

    config: str
    overrides: Sequence[str]
    folder: Path
    tuned: Mapping[str, Mapping[str, Any]]
    starts: Sequence[int] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)
    seen: set[Path] = field(default_factory=set)
    """Cold starts of this call: one serves every algorithm, so that `resume=never` makes it anew once."""

    def settings(self, world: str, seed: int, algorithm: str = "", tuned: Mapping[str, Any] | None = None) -> Config:
        """The configuration of one run; without an algorithm, of its cold start."""
        own = find_world(f"tiny:{world}").overrides if world else []
        place = self.place(world, seed)
        start = [f"seed={seed}", f"run_dir={place / folder_of(algorithm)}"]
        if algorithm:
            chosen = self.chosen(algorithm) if tuned is None else tuned
            model = self.place(world, self.start(seed)) / "cold_start" / "model"
            base = load_config(self.config, self.overrides)
            start += [f"model.path={model}", *([f"data.seed={self.start(seed)}"] if base.data.seed is None else [])]
            # The configuration's own parameters belong to the algorithm that it names, not to another one.
            name, preset = variant(algorithm)
            if preset is not None:
                start.append(f"algorithm={{name: {json.dumps(name)}, preset: {preset}}}")
            elif base.algorithm.get("name", DEFAULT_ALGORITHM) != name:
                start.append(f"algorithm={{name: {json.dumps(name)}}}")
            start += [f"{key}={json.dumps(value)}" for key, value in chosen.items()]
        return load_config(self.config, [*own, *self.overrides, *start])

    def chosen(self, algorithm: str) -> Mapping[str, Any]:
        """The tuned settings of an algorithm; of a variant those that are no part of it."""
        name, preset = variant(algorithm)
        tuned = self.tuned.get(name, {})
        return tuned if preset is None else {key: value for key, value in tuned.items() if key in SHARED}

    def start(self, seed: int) -> int:
        """The seed of a run's cold start and data."""
        return self.starts[seed % len(self.starts)] if self.starts else seed

    def place(self, world: str, seed: int) -> Path:
        """The folder of a world's seed."""
        return self.folder / (world or "data") / f"seed{seed}"


def folder_of(algorithm: str) -> str:
    """The folder of an algorithm's run below its seed: its name as one part of a path.

    >>> folder_of("grpo@published"), folder_of("../mine.py:rule")
    ('grpo@published', '..%2Fmine.py:rule')
    """
    return quote(algorithm, safe="@:") or "."


def variant(algorithm: str) -> tuple[str, str | None]:
    """(name, preset) of `NAME` or `NAME@VARIANT`; no preset without a variant. Raises `ConfigError`.

    >>> variant("grpo@published"), variant("grpo")
    (('grpo', 'published'), ('grpo', None))
    """
    name, at, last = algorithm.rpartition("@")
    if not at:
        return algorithm, None
    if last not in VARIANTS:
        raise ConfigError(f"algorithm {algorithm!r} ends with @{last}; allowed: {', '.join(f'@{v}' for v in VARIANTS)}")
    return name, VARIANTS[last]


def cell_work(config: Config, folder: Path) -> Work:
    """The numbers of one run: what they depend on is training, from its cold start, and the evaluation after it."""
    training = training_work(config)
    after = evaluation_work(config, training.product, folder / "eval.json").settings
    own = {key: value for key, value in after.items() if not key.endswith("--model")}
    file = folder / CELL
    return Work(
        f"cell {folder.name}",
        file,
        {**own, **training.settings, **training.free},
        earlier=(folder / "config.json",),
        is_done=lambda: file.is_file() and "error" not in read_cell(file),
    )


def run_cell(plan: Plan, world: str, seed: int, algorithm: str, config: Config, folder: Path) -> dict[str, Any]:
    """The numbers of one run, from its folder where it is finished. Trains where it is not. Raises `UserError` where
    the folder holds another run."""
    work = cell_work(config, folder)
    if config.resume == "auto":
        # Of its cold start a run records the model's path and contents alone.
        refuse_others(cold_start_work(plan.settings(world, plan.start(seed))))
    if is_finished(work, config.resume):
        found = read_cell(work.product)
        if plan.frozen and found.get("frozen") != plan.frozen:
            raise UserError(
                f"{work.product} was made with other code than what is frozen; allowed: {plan.folder} moved away, to "
                "make all runs anew"
            )
        return found
    started, worked = time.perf_counter(), time.process_time()
    before, probe = cold_start_results(plan, world, seed)
    folder.mkdir(parents=True, exist_ok=True)
    work = cell_work(config, folder)  # now that the cold start's model is there
    is_finished(training_work(config), config.resume)
    begin(work, config.resume)
    cell = {"world": world, "seed": seed, "algorithm": algorithm}
    if plan.frozen:
        cell["frozen"] = dict(plan.frozen)
    try:
        with _written_to(folder / "log.txt"):
            after = _train_and_evaluate(config)
        cell |= measures(before, after, probe, read_metrics(folder))
    except Exception as error:  # one run's fault ends no table
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        cell["error"] = kind + " ".join(str(error).split())
    cell["seconds"] = round(time.perf_counter() - started, 1)
    cell["cpu_seconds"] = round(time.process_time() - worked, 1)
    write_atomically(work.product, json.dumps(cell) + "\n")
    return read_cell(work.product)


def read_cell(file: Path) -> dict[str, Any]:
    """The numbers of a run that is done. Raises `UserError` for a file that is damaged or of something else."""
    anew = "that file moved away, to make the run anew"
    cell = read_object(file, ("world", "seed", "algorithm", "seconds"), anew)
    for key in ("seconds", "cpu_seconds"):
        value = cell.get(key, 0.0)
        if type(value) not in (int, float) or not 0 <= value < 1e12:
            raise UserError(f"{file}: {key} is {str(value)[:60]!r}; allowed: 0 or more, a number; or {anew}")
    return cell


def cold_start_results(plan: Plan, world: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The evaluations of a run's cold start, on all test problems and on the probe's; made where missing."""
    seed = plan.start(seed)
    place, config = plan.place(world, seed), plan.settings(world, seed)
    model = cold_start_folder(config) / "model"
    if place in plan.seen:
        config = dataclasses.replace(config, resume="auto")
    elif config.resume == "auto" and model.is_dir() and not (model / REHEARSAL).is_file():
        print(f"{place}: its cold start left no {REHEARSAL}: no run from it rehearses; resume=never makes it anew")
    plan.seen.add(place)
    place.mkdir(parents=True, exist_ok=True)
    with _locked(place / "cold_start.lock"):
        return _cold_start_results(config, place)


def _cold_start_results(config: Config, place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    counts = {"eval.json": config.evaluation.problems, "eval_probe.json": config.evaluation.probe}
    with _written_to(place / "cold_start.log"):
        from rl.cold_start.gears import cold_start

        model = cold_start(config)
        before, probe = (_evaluated(config, model, place / "cold_start" / n, count) for n, count in counts.items())
    return before, probe


def _train_and_evaluate(config: Config) -> dict[str, Any]:
    from rl.training.run import set_up, train

    model = train(set_up(config))
    return _evaluated(config, model, Path(config.run_dir) / "eval.json", config.evaluation.problems)


def _evaluated(config: Config, model: Path, file: Path, count: int) -> dict[str, Any]:
    """The evaluation in `file`, measured where it is not there yet."""
    config = dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, problems=count))
    work = evaluation_work(config, model, file)
    if not is_finished(work, config.resume):
        begin(work, config.resume)
        write_atomically(file, json.dumps(_evaluate(config, model, count)) + "\n")
    return read_object(file, ("modes",), "that file moved away, to evaluate anew")


def _evaluate(config: Config, model: Path, count: int) -> dict[str, Any]:
    from rewards.registry import build_rewards
    from rl.data.prompts import draw_usable
    from rl.evaluation.evaluate import evaluate
    from rl.models.open import open_policy

    policy = open_policy(config, str(model))
    problems = draw_usable(config, "test", policy.protocol, count)
    return evaluate(config, problems, policy.engine, policy.protocol, build_rewards(config.rewards))


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Waits until no other process holds the file; a process that dies lets go."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _written_to(file: Path) -> Any:
    with file.open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


def line(cell: Mapping[str, Any]) -> str:
    """One finished run."""
    head = f"{cell['world'] or 'data'} seed {cell['seed']} {cell['algorithm']} ({cell['seconds']:.0f} s): "
    if "error" in cell:
        return head + cell["error"]
    reach = "not reached" if cell["reach"] is None else f"reached at {cell['reach']:.0f} tokens"
    end = " COLLAPSED" if cell["collapsed"] else ""
    return head + f"U {cell['utility']:.3f} of {cell['oracle_utility']:.3f}, {reach}{end}"

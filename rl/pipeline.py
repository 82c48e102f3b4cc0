"""The way from a pretrained model to a judged one, as a list of commands over one run folder, each of which resumes.

    data         both splits checked and written without bad rows, duplicates and overlaps    data/ (files and hub sets)
    untouched    evaluation of the pretrained model as it is                                  eval_untouched.json
    manual       the manual gear: both modes, stated in the prompt                            cold_start/manual/
    labels       each training problem answered in both modes                                 labels.jsonl
    select       the labelled problems worth training on                                      selected.jsonl, .png
    cold_start   the automatic gear on the answers kept, then the gate                        cold_start/
    before       evaluation of what RL starts from                                            eval_before.json
    train        Step-SRPO on the selected problems                                           model/
    after        evaluation                                                                   eval.json
    report       what came of it                                                              report.html

Without gears the one fine-tuning comes first, and its model is what labels are measured with; with an automatic gear
alone the pretrained model is. The demo has five of these: cold_start, before, train, after, report. An embedded model
has learned nothing before its cold start, so that there `untouched` is left out. Whether a stage is
finished, and with which settings, its own record says (rl/files/finished.py): a finished one is not repeated, and not
mixed with other settings. What a stage made of an older result of those before it is moved to old/TIME/ and made anew.
"""

from __future__ import annotations

import dataclasses
import fcntl
import glob
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.cli import OF_PIPELINE
from rl.cold_start.work import cold_start_work, first_work, label_work, selection_work
from rl.config.read import overridden
from rl.config.schema import Config, ConfigError
from rl.data.embedded import is_tiny
from rl.data.settings import is_generated
from rl.evaluation.work import evaluation_work
from rl.files.finished import (
    DIGEST,
    Work,
    begin,
    differences,
    has_mark,
    is_finished,
    mark_finished,
    move_to_old,
    settings_of,
)
from rl.files.terminated import Terminated
from rl.models.inputs import input_digests
from rl.reports.work import report_work
from rl.training.work import training_work

# Contents that an earlier stage makes: where they have changed, what was made of them before is moved aside.
MADE_BEFORE = (
    *("model", "model.path", "--model", "dial", "labels", "cold_start.gears.labels", "data.train", "data.test"),
    *("config.json", "metrics.jsonl", "eval_before.json", "eval.json", "eval_untouched.json", "rollouts"),
)


@dataclass(frozen=True)
class Stage:
    """One command: `script CONFIG arguments`. `work`: what it makes under a configuration. The script writes the record
    itself, or with `records` the pipeline does."""

    name: str
    title: str
    script: str
    arguments: tuple[str, ...]
    work: Callable[[Config], Work]
    records: bool = False


def stages(config: Config) -> list[Stage]:
    """The stages of a run, in order. Raises `ConfigError` for settings that the pipeline fills in itself."""
    if config.cold_start.gears.labels or config.label.model:
        raise ConfigError("cold_start.gears.labels and label.model are set; allowed: neither, the pipeline makes them")
    folder, gears = Path(config.run_dir), config.cold_start.gears
    data = _data_arguments(config)
    selected = str(folder / "selected.jsonl")
    made: list[Stage] = []
    if data:
        out = ("--out", str(folder / "data"))
        made.append(Stage("data", "check and clean the data", "check_data.py", out, data_work, records=True))
    made += _untouched(config, data)
    tuning = "fine-tune on both modes"
    if gears.manual_steps and gears.automatic_steps:
        arguments = (*data, "--manual-only")
        made.append(Stage("manual", f"{tuning}, stated", "cold_start.py", arguments, first_work))
    last = _cold_start(tuning, (*data, f"cold_start.gears.labels={selected}") if gears.automatic_steps else data)
    if not gears.automatic_steps:
        made.append(last)
        data = (*data, f"label.model={folder / 'cold_start' / 'model'}")
    made += _labels(folder, data, selected)
    if gears.automatic_steps:
        made.append(last)
    chosen = (f"data.train={selected}", "data.format=problems", "data.columns={}", "data.path=")
    tests = tuple(one for one in data if one.startswith("data.test="))
    return made + _learning(folder, (*chosen, *tests), tests and data)


def demo_stages(config: Config) -> list[Stage]:
    """Cold start, evaluation, RL on the data as configured, evaluation, report."""
    tuned = _cold_start("fine-tune on both modes", ())
    return [*_untouched(config, ()), tuned, *_learning(Path(config.run_dir), (), ())]


def _untouched(config: Config, data: tuple[str, ...]) -> list[Stage]:
    """The evaluation of the model that the run begins with, where it is one that has learned something. A run that was
    finished before there was this stage stays finished."""
    folder = Path(config.run_dir)
    out = folder / "eval_untouched.json"
    earlier = config.resume == "auto" and (folder / "eval.json").is_file() and not out.is_file()
    if is_tiny(config.model.path) or earlier:
        return []
    test = tuple(one for one in data if one.startswith("data.test="))

    def work(config: Config) -> Work:
        return evaluation_work(config, config.model.path, out, {"--untouched": True})

    arguments = (*(test and data), "--untouched", "--out", str(out))
    return [Stage("untouched", "evaluate the model as it is", "evaluate.py", arguments, work)]


def _data_arguments(config: Config) -> tuple[str, ...]:
    """The overrides that point at the cleaned files; none for data that is generated, without repeats, from a seed."""
    if is_generated(config.data.train) and is_generated(config.data.test):
        return ()
    folder = Path(config.run_dir) / "data"
    files = tuple(f"data.{split}={folder / f'{split}.jsonl'}" for split in ("train", "test"))
    return (*files, "data.format=problems", "data.columns={}", "data.path=")


def data_work(config: Config) -> Work:
    """The cleaned data: both splits, `test.jsonl` last."""
    run = Path(config.run_dir)
    settings = settings_of(config, ["data", "rewards", "protocol"]) | input_digests(config, ("train", "test"))
    seed = config.seed if config.data.seed is None else config.data.seed
    settings |= {"drawn_by": seed, "longest_prompt": config.rollout.max_prompt_tokens}
    product, earlier = run / "data" / "test.jsonl", (run / "stages" / "data.json",)
    work = Work("data", product, settings, others=(run / "data" / "train.jsonl",), earlier=earlier)
    return dataclasses.replace(work, is_done=lambda: product.is_file() and has_mark(work))


def _cold_start(title: str, arguments: tuple[str, ...]) -> Stage:
    return Stage("cold_start", f"{title}, then the gate", "cold_start.py", arguments, _gated_work)


def _gated_work(config: Config) -> Work:
    """The cold start, finished when its gate is open too."""
    from rl.cold_start.gate import is_open

    work = cold_start_work(config)
    sampled = tuple(work.product.parent.glob("automatic-*.jsonl*")) if config.cold_start.gears.automatic_steps else ()
    return dataclasses.replace(
        work, others=(*work.others, *sampled), is_done=lambda: work.product.exists() and is_open(config)
    )


def _with_rows(work: Work) -> Work:
    """An evaluation with the rows that one under way has measured: they are of the model of then."""
    folder, name = work.product.parent, glob.escape(work.product.name)
    rows = [path for end in (".rows.jsonl", ".budget-*.rows.jsonl") for path in sorted(folder.glob(f"{name}{end}"))]
    records = [Work("rows", path, {}).record for path in rows]
    return dataclasses.replace(work, others=(*work.others, *rows, *records), earlier=(*work.earlier, *records))


def _labels(folder: Path, data: tuple[str, ...], selected: str) -> list[Stage]:
    labels = str(folder / "labels.jsonl")
    asked, kept = (*data, "--out", labels), ("--labels", labels, "--out", selected)

    def select(config: Config) -> Work:
        return selection_work(config, labels, selected)

    return [
        Stage("labels", "which problems need thinking", "label_necessity.py", asked, lambda c: label_work(c, labels)),
        Stage("select", "keep what is worth training on", "select_problems.py", kept, select),
    ]


def _learning(folder: Path, train: tuple[str, ...], test: tuple[str, ...]) -> list[Stage]:
    """RL between two evaluations, and the report."""

    def evaluation(name: str, title: str, model: Path, out: Path) -> Stage:
        def work(config: Config) -> Work:
            return _with_rows(evaluation_work(config, model, out, earlier=name))

        arguments = (*test, "--model", str(model), "--out", str(out))
        return Stage(name, f"evaluate {title} RL", "evaluate.py", arguments, work)

    return [
        evaluation("before", "before", folder / "cold_start" / "model", folder / "eval_before.json"),
        Stage("train", "Step-SRPO", "train.py", train, training_work),
        evaluation("after", "after", folder / "model", folder / "eval.json"),
        Stage("report", "report", "report.py", (str(folder),), lambda config: report_work(folder), records=True),
    ]


def work_of(config: Config, stage: Stage) -> Work:
    """What a stage makes under the configuration that its command sees. Records of earlier versions hold the settings
    as they were configured, without the stage's own."""
    plain = stage.work(config)
    if not plain.record.is_file() and any(path.is_file() for path in plain.earlier[:1]):
        return plain
    own = [one for one in stage.arguments if "=" in one and not one.startswith("--")]
    return stage.work(overridden(config, own))


def is_stage_finished(config: Config, stage: Stage) -> bool:
    """Whether a stage has run to its end, on what the stages before it have made now. Raises `UserError` when that was
    with other settings."""
    work = work_of(config, stage)
    return not is_stale(work) and is_finished(work, config.resume)


def is_stale(work: Work) -> bool:
    """Whether work is of these settings, but of an older result of the stages before it."""
    changed = [key for key, _, _ in differences(work)] if work.exists() else []
    return bool(changed) and all(key.startswith(DIGEST) and key.removeprefix(DIGEST) in MADE_BEFORE for key in changed)


def run_stages(config: Config, made: Sequence[Stage], start: Callable[[Stage], int]) -> None:
    """Run what is not finished, in order; `start` runs a command and returns its exit code. Ends the process where one
    fails, and where one was told to end. Raises `UserError` before the first when any was made with other settings."""
    for stage in made:
        is_stage_finished(config, stage)
    for number, stage in enumerate(made, 1):
        title = f"{number}/{len(made)} {stage.name}: {stage.title}"
        if is_stage_finished(config, stage):
            print(f"== {title} (done)", flush=True)
            continue
        if is_stale(work_of(config, stage)):
            set_aside(config, [stage])
        print(f"== {title}", flush=True)
        started = time.perf_counter()
        if stage.records:
            begin(work_of(config, stage))
        code = start(stage)
        if code:
            print(f"error: stage {stage.name} ended with code {code}; start again to go on there", file=sys.stderr)
            raise SystemExit(code if code > 0 else 128 - code)
        if stage.records:
            mark_finished(work_of(config, stage))
        elif not is_stage_finished(config, stage):
            # It was told to end, and the pipeline was not.
            raise Terminated
        print(f"== {title}: {time.perf_counter() - started:.0f} s", flush=True)


def call(stage: Stage, scripts: Path, config: str, overrides: Sequence[str], held: int) -> int:
    """Run the command of a stage, whose errors it prints itself; `held` is the lock."""
    common = [] if stage.script == "report.py" else [config, *overrides, "resume=auto"]
    command = [sys.executable, str(scripts / stage.script), *common, *stage.arguments]
    with subprocess.Popen(command, pass_fds=(held,), env={**os.environ, OF_PIPELINE: "1"}) as process:
        try:
            return process.wait()
        except Terminated:
            # The stage saves what it has and ends too.
            process.terminate()
            process.wait()
            raise


def set_aside(config: Config, made: Sequence[Stage]) -> None:
    """Move what these stages have made to old/TIME/, with a line that says so."""
    found: dict[Path, Any] = {}
    for stage in made:
        work = work_of(config, stage)
        if work.exists():
            found |= dict.fromkeys(path for path in (work.product, *work.others, work.record) if path.exists())
    if found:
        run = Path(config.run_dir)
        print(f"what {', '.join(stage.name for stage in made)} had made is now in {move_to_old(run, list(found))}")


def fresh(config: Config, made: Sequence[Stage]) -> Config:
    """With `resume: never` a run that starts over: everything made before is moved aside. What a kill interrupts goes
    on from there, so the stages themselves resume."""
    if config.resume == "never":
        set_aside(config, made)
    return dataclasses.replace(config, resume="auto")


def lock(config: Config) -> int:
    """An open file that this process and the stages it starts hold; given free when the last of them ends. Raises
    `ConfigError` while others hold it, such as a stage that outlived a killed pipeline."""
    folder = Path(config.run_dir) / "stages"
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise ConfigError(
            f"a stage is still at work in run_dir {config.run_dir!r}; allowed: one pipeline a run_dir, wait or end it"
        ) from None
    return held

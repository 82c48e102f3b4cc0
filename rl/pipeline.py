"""The way from a pretrained model to a judged one, as a list of commands over one run folder, each of which resumes.

    data         both splits checked and written without bad rows, duplicates and overlaps    data/ (files and hub sets)
    manual       the manual gear: both modes, stated in the prompt                            cold_start/manual/
    labels       each training problem answered in both modes                                 labels.jsonl
    select       the labelled problems worth training on                                      selected.jsonl, .png
    cold_start   the automatic gear on the answers kept, then the gate                        cold_start/
    before       evaluation of what RL starts from                                            eval_before.json
    train        Step-SRPO on the selected problems                                           model/
    after        evaluation                                                                   eval.json
    report       what came of it                                                              report.html

Without gears the one fine-tuning comes first, and its model is what labels are measured with; with an automatic gear
alone the pretrained model is. A finished stage leaves `stages/NAME.json` with the settings it was made with: it is not
repeated, and not mixed with other settings. A stage that runs anew removes what later ones had made of its last result.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.config.read import to_dict
from rl.config.schema import Config, ConfigError
from rl.data.load import is_generated
from rl.files.atomic import write_atomically

POLICY = ("seed", "data", "model", "protocol", "rewards")
SAMPLED = ("rollout.temperature", "rollout.top_p", "rollout.top_k", "rollout.max_new_tokens", "label")
TUNED = tuple(f"cold_start.{key}" for key in ("problems", "steps", "batch", "learning_rate", "labels"))


@dataclass(frozen=True)
class Stage:
    """One command: `script CONFIG arguments`. `keys` are the settings that its result depends on, besides those of the
    stages before it; `outputs` what it makes in the run folder."""

    name: str
    title: str
    script: str
    arguments: tuple[str, ...]
    keys: tuple[str, ...]
    outputs: tuple[str, ...]


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
        made.append(Stage("data", "check and clean the data", "check_data.py", out, POLICY, ("data",)))
    tuning = "fine-tune on both modes"
    if gears.manual_steps and gears.automatic_steps:
        keys = (*TUNED, "cold_start.gears.manual_steps", "cold_start.gears.think_share")
        made.append(
            Stage("manual", f"{tuning}, stated", "cold_start.py", (*data, "--manual-only"), keys, ("cold_start",))
        )
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


def _data_arguments(config: Config) -> tuple[str, ...]:
    """The overrides that point at the cleaned files; none for data that is generated, without repeats, from a seed."""
    if is_generated(config.data.train) and is_generated(config.data.test):
        return ()
    folder = Path(config.run_dir) / "data"
    files = tuple(f"data.{split}={folder / f'{split}.jsonl'}" for split in ("train", "test"))
    return (*files, "data.format=problems", "data.columns={}", "data.path=")


def _cold_start(title: str, arguments: tuple[str, ...]) -> Stage:
    outputs = tuple(f"cold_start/{name}" for name in ("model", "checkpoints", "done.json", "gate.json"))
    return Stage("cold_start", f"{title}, then the gate", "cold_start.py", arguments, ("cold_start",), outputs)


def _labels(folder: Path, data: tuple[str, ...], selected: str) -> list[Stage]:
    labels = str(folder / "labels.jsonl")
    made = ("labels.jsonl", "labels.jsonl.settings.json")
    arguments = ("--labels", labels, "--out", selected)
    return [
        Stage("labels", "which problems need thinking", "label_necessity.py", (*data, "--out", labels), SAMPLED, made),
        Stage("select", "keep what is worth training on", "select_problems.py", arguments, ("select",), _SELECTED),
    ]


def _learning(folder: Path, train: tuple[str, ...], test: tuple[str, ...]) -> list[Stage]:
    """RL between two evaluations, and the report."""
    learned = ("model", "checkpoints", "rollouts", "metrics.jsonl")
    keys = ("algorithm", "trainer", "rollout", "history", "stages", "guard", "control")

    def evaluation(name: str, title: str, model: str, out: str) -> Stage:
        arguments = (*test, "--model", str(folder / model), "--out", str(folder / out))
        return Stage(name, f"evaluate {title} RL", "evaluate.py", arguments, ("evaluation",), (out,))

    return [
        evaluation("before", "before", "cold_start/model", "eval_before.json"),
        Stage("train", "Step-SRPO", "train.py", train, keys, learned),
        evaluation("after", "after", "model", "eval.json"),
        Stage("report", "report", "report.py", (str(folder),), (), ("report.html", "plots")),
    ]


_SELECTED = ("selected.jsonl", "selected.png")


def settings_of(config: Config, made: Sequence[Stage], stage: Stage) -> dict[str, Any]:
    """What the result of a stage depends on, by dotted key, that of the stages before it included."""
    whole = to_dict(config)
    before = made[: made.index(stage) + 1]
    keys = sorted({*POLICY, *(key for one in before for key in one.keys)})
    return {key: _at(whole, key) for key in keys}


def _at(table: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        table = table[part]
    return table


def is_finished(config: Config, made: Sequence[Stage], stage: Stage) -> bool:
    """Whether a stage has run to its end. Raises `ConfigError` when that was with other settings."""
    record = record_of(config, stage)
    if not record.is_file():
        return False
    try:
        old = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return False
    # As JSON has them: keys become text, tuples lists.
    new = json.loads(json.dumps(settings_of(config, made, stage)))
    for key, value in new.items():
        if old.get(key) != value:
            raise ConfigError(
                f"stage {stage.name} of {config.run_dir} was made with another {key}; allowed: the settings of before, "
                f"another run_dir, {record} removed (this stage and all after it run again), or resume=never"
            )
    return True


def record_of(config: Config, stage: Stage) -> Path:
    """The file that says a stage is finished."""
    return Path(config.run_dir) / "stages" / f"{stage.name}.json"


def finish(config: Config, made: Sequence[Stage], stage: Stage) -> None:
    """Write that record."""
    record = record_of(config, stage)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, json.dumps(settings_of(config, made, stage), indent=2) + "\n")


def forget_later(config: Config, made: Sequence[Stage], stage: Stage) -> None:
    """Remove what finished stages after this one had made of its last result."""
    for later in made[made.index(stage) + 1 :]:
        if record_of(config, later).is_file():
            forget(config, later)


def forget(config: Config, stage: Stage) -> None:
    """Remove a stage's outputs and its record."""
    for name in stage.outputs:
        path = Path(config.run_dir) / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    record_of(config, stage).unlink(missing_ok=True)


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


def fresh(config: Config, made: Sequence[Stage]) -> Config:
    """With `resume: never` a run that starts over: everything made before is removed. What a kill interrupts goes on
    from there, so the stages themselves resume."""
    if config.resume == "never":
        for stage in made:
            forget(config, stage)
    return dataclasses.replace(config, resume="auto")

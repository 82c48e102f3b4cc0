"""scripts/pipeline.py: its stages, what is repeated and what is not, and that a kill loses no finished row."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import ROOT, environment, save_policy, script, settings, write_config

from rl.cli import refuse_pipelines
from rl.config.read import load_config, parse_config
from rl.config.schema import ConfigError
from rl.files.finished import begin, is_finished, mark_finished
from rl.files.row_store import RowStore
from rl.pipeline import (
    data_work,
    demo_stages,
    fresh,
    is_stage_finished,
    is_stale,
    lock,
    run_stages,
    set_aside,
    stages,
    work_of,
)
from rollout.errors import UserError


def raw(tmp_path: Path, **sections):
    cold_start = {"problems": 16, "batch": 4, "steps": 2, "max_length": 64, "gate": {"problems": 0}}
    cold_start |= sections.pop("cold_start", {})
    if cold_start.get("gears"):
        sections["protocol"] = {"tags": {"think": "/think", "no_think": "/no_think"}}
    return settings(tmp_path / "run", tmp_path / "policy", cold_start=cold_start, **sections)


def config_of(tmp_path: Path, **sections):
    return parse_config(raw(tmp_path, **sections))


def names(config):
    return [stage.name for stage in stages(config)]


LEARNING = ["before", "train", "after", "report"]


@pytest.mark.parametrize(
    ("gears", "expected"),
    [
        ({"manual_steps": 2, "automatic_steps": 2}, ["manual", "labels", "select", "cold_start", *LEARNING]),
        ({"automatic_steps": 2}, ["labels", "select", "cold_start", *LEARNING]),
        ({"manual_steps": 2}, ["cold_start", "labels", "select", *LEARNING]),
        ({}, ["cold_start", "labels", "select", *LEARNING]),
    ],
)
def test_labels_are_measured_with_a_model_that_can_do_both_modes(tmp_path, gears, expected):
    assert names(config_of(tmp_path, cold_start={"gears": gears})) == ["untouched", *expected]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("qwen3-0.6b", ["data", "untouched", "labels", "select", "cold_start"]),
        ("qwen3-8b", ["data", "untouched", "labels", "select", "cold_start"]),
        ("deepseek-r1-distill", ["data", "untouched", "labels", "select", "cold_start"]),
        ("kat", ["data", "untouched", "manual", "labels", "select", "cold_start"]),
        ("smollm2", ["untouched", "manual", "labels", "select", "cold_start"]),
    ],
)
def test_the_configurations_of_real_models_go_through_every_stage(name, first):
    assert names(load_config(ROOT / "configs" / f"{name}.yaml")) == [*first, *LEARNING]


def test_data_from_files_is_checked_first_and_every_later_stage_reads_the_clean_files(tmp_path):
    made = stages(config_of(tmp_path, data={"train": "a.jsonl", "test": "b.jsonl", "format": "gsm8k", "path": "in"}))
    assert made[0].script == "check_data.py"
    clean = f"data.test={tmp_path / 'run' / 'data' / 'test.jsonl'}"
    reading = [stage for stage in made[1:] if stage.script not in ("report.py", "select_problems.py")]
    assert [clean in stage.arguments and "data.format=problems" in stage.arguments for stage in reading] == [True] * 6


def test_a_run_that_was_finished_without_the_untouched_model_is_left_as_it_is(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "eval.json").write_text("{}")
    config = config_of(tmp_path)
    assert names(config)[0] == "cold_start"
    assert names(dataclasses.replace(config, resume="never"))[0] == "untouched"


def test_labels_of_somebody_else_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="allowed: neither, the pipeline makes them"):
        stages(config_of(tmp_path, label={"model": "mine"}))


def make(config, stage) -> None:
    """What a stage leaves behind, as far as its record looks."""
    work = work_of(config, stage)
    begin(work)
    if work.product.suffix:
        work.product.write_text("{}")
    else:
        save_policy(work.product)
    mark_finished(work)


def test_a_finished_stage_is_not_repeated_and_not_mixed_with_other_settings(tmp_path):
    config = config_of(tmp_path)
    made = stages(config)
    train, report = made[-3], made[-1]
    assert not is_stage_finished(config, train)
    make(config, train)
    assert is_stage_finished(config, train)
    watched = config_of(tmp_path, evaluation={"problems": 7, "every": 2}, wandb={"mode": "offline"})
    assert is_stage_finished(watched, train)
    other = config_of(tmp_path, trainer={"learning_rate": 0.5}, rewards=[{"name": "math"}])
    with pytest.raises(
        UserError, match=r"training .* trainer\.learning_rate 0\.001, now 0\.5; allowed: .*resume=never"
    ):
        is_stage_finished(other, train)
    assert not is_stage_finished(config, report)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"trainer": {"learning_rate": 0.5}}, True),
        ({"seed": 7}, False),
        ({"rollout": {"max_prompt_tokens": 77}}, False),
    ],
)
def test_cleaned_data_are_those_of_the_draw_and_the_cap_they_were_made_with(tmp_path, changes, kept):
    (tmp_path / "a.jsonl").write_text('{"id": "1", "prompt": "1 + 1", "answer": "2"}\n')
    files = {"path": str(tmp_path), "train": "a.jsonl", "test": "a.jsonl"}

    def cleaning(**sections):
        return data_work(config_of(tmp_path, data=files, **sections))

    begin(work := cleaning())
    work.product.write_text("")
    mark_finished(work)
    if kept:
        assert is_finished(cleaning(**changes))
    else:
        with pytest.raises(UserError, match="was made with other settings"):
            is_finished(cleaning(**changes))


def test_a_gate_that_is_changed_after_it_stopped_a_run_repeats_nothing_before_it(tmp_path):
    config = config_of(tmp_path, cold_start={"gears": {"manual_steps": 2, "automatic_steps": 2}})
    manual = stages(config)[1]
    make(config, manual)
    changed = config_of(
        tmp_path, cold_start={"gears": {"manual_steps": 2, "automatic_steps": 9}, "gate": {"min_obedience": 0.1}}
    )
    assert is_stage_finished(changed, stages(changed)[1])


def test_a_cold_start_whose_gate_was_never_measured_is_not_finished(tmp_path):
    config = config_of(tmp_path, cold_start={"gate": {"problems": 4}})
    cold_start = stages(config)[1]
    make(config, cold_start)
    assert not is_stage_finished(config, cold_start)
    ungated = config_of(tmp_path)
    assert is_stage_finished(ungated, stages(ungated)[1])


def test_what_later_stages_made_of_an_old_result_is_moved_aside(tmp_path, capsys):
    """A model of more steps: the evaluation of the old one is stale, and once it is made anew the report is."""
    config = config_of(tmp_path)
    made, run = stages(config), tmp_path / "run"
    for stage in made:
        make(config, stage)
    assert [is_stage_finished(config, stage) for stage in made] == [True] * 8
    save_policy(run / "model", seed=1)
    assert [is_stage_finished(config, stage) for stage in made] == [True] * 6 + [False, True]
    (run / "labels.jsonl").write_text("more")
    assert [is_stage_finished(config, stage) for stage in made] == [*[True] * 3, False, True, True, False, True]
    (run / "labels.jsonl").write_text("{}")
    other = config_of(tmp_path, rewards=[{"name": "exact"}])
    with pytest.raises(UserError, match=r"evaluation .* rewards"):
        run_stages(other, made, lambda stage: 1)
    assert not (run / "old").exists()
    set_aside(config, made[6:])
    (kept,) = (run / "old").iterdir()
    assert str(kept) in capsys.readouterr().out
    assert {path.name for path in kept.iterdir()} == {
        *("eval.json", "eval.json.settings.json", "report.html", "report.html.settings.json")
    }
    assert (run / "labels.jsonl").exists()
    assert [is_stage_finished(config, stage) for stage in made] == [True] * 6 + [False] * 2


def test_rows_of_an_evaluation_that_was_cut_off_give_way_where_the_model_has_changed(tmp_path):
    config = config_of(tmp_path)
    made, run = stages(config), tmp_path / "run"
    for stage in made[:6]:
        make(config, stage)
    after = made[6]
    store = RowStore(run / "eval.json.rows.jsonl", work_of(config, after).settings)
    store.append([{"id": "p"}])
    assert not is_stale(work_of(config, after))  # it goes on with them
    save_policy(run / "model", seed=1)
    assert is_stale(work_of(config, after))
    set_aside(config, [after])
    assert not list(run.glob("eval.json*"))
    (kept,) = (run / "old").iterdir()
    assert {path.name for path in kept.iterdir()} == {"eval.json.rows.jsonl", "eval.json.rows.jsonl.settings.json"}


@pytest.mark.parametrize("gears", [{}, {"automatic_steps": 2}])
def test_never_moves_everything_that_was_made_into_one_folder(tmp_path, gears):
    config = config_of(tmp_path, cold_start={"gears": gears})
    made, run = stages(config), tmp_path / "run"
    for stage in made:
        make(config, stage)
    (run / "cold_start" / "automatic-0.jsonl").write_text('{"id": "p"}\n')
    again = fresh(dataclasses.replace(config, resume="never"), made)
    assert again.resume == "auto"
    assert [path.name for path in run.iterdir() if path.is_file()] == []
    (kept,) = (run / "old").iterdir()
    assert (kept / "cold_start" / "model" / "model.safetensors").is_file()
    assert (kept / "model" / "model.safetensors").is_file()
    assert (kept / "cold_start" / "automatic-0.jsonl").is_file() == bool(gears)


def test_the_demo_is_five_of_these_stages_and_the_model_as_it_was_where_there_was_one(tmp_path):
    assert [stage.name for stage in demo_stages(config_of(tmp_path))][:2] == ["untouched", "cold_start"]
    made = demo_stages(config_of(tmp_path, model={"path": "tiny"}))
    assert [stage.name for stage in made] == ["cold_start", "before", "train", "after", "report"]
    assert [one for stage in made for one in stage.arguments if one.startswith("data.")] == []


def test_two_pipelines_do_not_share_a_run_folder(tmp_path):
    config = config_of(tmp_path)
    held = lock(config)
    with pytest.raises(ConfigError, match=r"a stage is still at work in run_dir .*; allowed: one pipeline a run_dir"):
        lock(config)
    with pytest.raises(ConfigError, match="a pipeline is at work in run_dir"):
        refuse_pipelines(config)
    os.close(held)
    os.close(lock(config))
    refuse_pipelines(config)


def start(path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "scripts" / "pipeline.py"), str(path), *arguments]
    with path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment(), start_new_session=True, stdout=log, stderr=subprocess.STDOUT
        )


def kill_when(process: subprocess.Popen[bytes], reached) -> None:
    """kill -9 of the pipeline and of the stage under way."""
    deadline = time.monotonic() + 240
    try:
        while not reached():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_in_labelling_and_in_rl_a_run_goes_on_with_the_rows_it_had(tmp_path):
    save_policy(tmp_path / "policy")
    table = raw(
        tmp_path,
        label={"samples": 1, "batch": 2, "random_share": 0.0},
        select={"floor": 1.0},
        evaluation={"problems": 4, "batch": 12},
        trainer={"steps": 6, "save_every": 1},
    )
    path, run = write_config(tmp_path / "c.yaml", table), tmp_path / "run"
    kill_when(start(path), lambda: len(lines_of(run / "labels.jsonl")) >= 3)
    kept = lines_of(run / "labels.jsonl")
    kill_when(start(path), lambda: len(lines_of(run / "metrics.jsonl")) >= 3)
    assert lines_of(run / "labels.jsonl")[: len(kept) - 1] == kept[:-1]
    assert len(lines_of(run / "labels.jsonl")) == 40
    ended = script("pipeline.py", str(path))
    assert ended.returncode == 0, ended.stderr
    assert "== 2/8 cold_start: fine-tune on both modes, then the gate (done)" in ended.stdout
    assert "== 4/8 select: keep what is worth training on (done)" in ended.stdout
    assert "resuming from" in ended.stdout + ended.stderr
    steps = [json.loads(line)["step"] for line in lines_of(run / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert len(json.loads((run / "eval.json").read_text())["problems"]) == 4
    again = script("pipeline.py", str(path))
    assert again.stdout.count("(done)") == 8
    refused = script("pipeline.py", str(path), "trainer.learning_rate=0.5")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "training (" in refused.stderr

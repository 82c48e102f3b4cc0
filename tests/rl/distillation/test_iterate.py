"""Iterations: what each step leaves, that nothing is done twice, and that kills change nothing."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file
from small_runs import save_policy, script, settings, started, write_config

from rl.config.read import parse_config
from rl.data import load_problems
from rl.distillation.chains import Chain
from rl.distillation.formats import write_rows as rows_of
from rl.distillation.iterate import check_iterations, iterate, table_lines
from rl.files.outputs import rows_text
from rollout.errors import UserError


def raw(tmp_path, run="run", **iterations):
    if not (tmp_path / "policy").exists():
        save_policy(tmp_path / "policy")
    made = settings(
        tmp_path / run,
        tmp_path / "policy",
        data={"train_size": 12, "test_size": 6},
        rollout={"max_new_tokens": 24},
        label={"samples": 2, "batch": 24},
        select={"floor": 0.6},
        cold_start={"steps": 4, "batch": 4, "learning_rate": 1e-2, "warmup_steps": 0, "max_length": 64},
        evaluation={"problems": 6},
        distill={"choose": {"method": "correct"}},
        iterate={"iterations": 2, "checkpoints": 2, "scale": 0.5, **iterations},
    )
    made["iterate"]["chains"] = str(tmp_path / "chains.jsonl")
    config = parse_config(made)
    chains = [
        Chain(p.id, f"{p.id}#0", p.prompt, f"<think>{p.answer}</think>{p.answer}", answer=p.answer, correctness=1)
        for p in load_problems(config, "train")
    ]
    rows = [{"id": row["name"], **row} for row in rows_of(chains, "chains")]
    (tmp_path / "chains.jsonl").write_text(rows_text(rows), encoding="utf-8")
    return made


def weights(folder):
    return load_file(folder / "model.safetensors")


@pytest.mark.medium
def test_an_iteration_measures_selects_tunes_and_merges_and_is_not_done_twice(tmp_path, capsys):
    config = parse_config(raw(tmp_path))
    rows = iterate(config)
    places = tmp_path / "run" / "iterations"
    names = [(row["iteration"], row["model"]) for row in rows]
    own = ["checkpoint-2", "checkpoint-4", "merged"]
    assert names == [(0, "start"), *[(t, name) for t in (1, 2) for name in own]]
    for t in (1, 2):
        start, merged = weights(places / str(t - 1) / "model"), weights(places / str(t) / "model")
        parts = [weights(places / str(t) / "tuning" / "checkpoints" / f"checkpoint-{step}") for step in (2, 4)]
        for name, value in merged.items():
            mean = (parts[0][name] + parts[1][name]) / 2
            torch.testing.assert_close(value, start[name] + 0.5 * (mean - start[name]))
        assert any((parts[0][name] != parts[1][name]).any() for name in start)
    labels = [json.loads(line) for line in (places / "2" / "labels.jsonl").read_text().splitlines()]
    for row in labels:
        rates = [row["label"][mode]["pass_rate"] for mode in ("think", "no_think")]
        assert row["label"]["complexity"] == pytest.approx(1 - sum(rates) / 2)
    data = [json.loads(line) for line in (places / "1" / "data.jsonl").read_text().splitlines()]
    assert 0 < len(data) <= len(labels) == 12
    before = {path: path.stat().st_mtime_ns for path in places.rglob("*") if path.name != "table.json"}
    assert iterate(config) == rows
    assert {path: path.stat().st_mtime_ns for path in places.rglob("*") if path.name != "table.json"} == before
    with pytest.raises(UserError, match=r"select\.floor"):
        iterate(dataclasses.replace(config, select=dataclasses.replace(config.select, floor=0.7)))


def test_the_table_has_the_merged_the_last_and_the_best_single_checkpoint():
    def row(number, name, think):
        modes = {mode: {"accuracy": think, "mean_tokens": 5.0} for mode in ("think", "no_think", "auto")}
        return {"iteration": number, "model": name, **modes}

    rows = [row(0, "start", 0.1), row(1, "checkpoint-2", 0.4), row(1, "checkpoint-4", 0.3), row(1, "merged", 0.5)]
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in table_lines(rows)[2:]]
    assert cells == [
        ["0", "start", "0.100"],
        ["1", "merged", "0.500"],
        ["1", "last (checkpoint-4)", "0.300"],
        ["1", "best single (checkpoint-2)", "0.400"],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterate": {"checkpoints": 3}}, "a multiple of iterate.checkpoints"),
        ({"model": {"lora": {"rank": 4}}}, "whole models are merged"),
        ({"distill": {"choose": {"method": "student", "labels": "x"}}}, "each iteration measures its own"),
        ({"iterate": {"chains": "gone.jsonl"}}, "no chains in gone.jsonl"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_step(tmp_path, change, message):
    made = raw(tmp_path)
    for section, values in change.items():
        made[section] = {**made[section], **values}
    with pytest.raises(UserError, match=message):
        check_iterations(parse_config(made))


def test_chains_without_a_correct_one_and_several_ranks_are_refused_before_the_first_step(tmp_path, monkeypatch):
    made = raw(tmp_path)
    wrong = [json.loads(line) for line in (tmp_path / "chains.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({**row, "correctness": 0}) + "\n" for row in wrong)
    (tmp_path / "chains.jsonl").write_text(text)
    with pytest.raises(UserError, match="keeps none of 12 chains"):
        iterate(parse_config(made))
    assert not (tmp_path / "run" / "iterations").exists()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="one process"):
        check_iterations(parse_config(made))


# What each step of the first two iterations leaves as soon as it is under way.
UNDER_WAY = (
    "0/model.settings.json",
    "1/labels.jsonl",
    "1/data.jsonl.settings.json",
    "1/tuning/checkpoints/checkpoint-2/complete.json",
    "1/model.settings.json",
    "1/eval/checkpoint-4.json.settings.json",
    "2/labels.jsonl",
    "2/tuning/model.settings.json",
    "2/model.settings.json",
    "2/eval/merged.json.settings.json",
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_iterations_killed_in_every_step_end_with_the_weights_and_the_table_of_unbroken_ones(tmp_path):
    files = {run: str(write_config(tmp_path / f"{run}.json", raw(tmp_path, run))) for run in ("broken", "whole")}
    hit = []
    for mark in UNDER_WAY:
        place = tmp_path / "broken" / "iterations" / mark
        with started("iterate.py", files["broken"]) as run:
            run.wait_until(place.exists)
            # Leaving the block kills it.
            hit += [mark] if run.alive() else []
    assert len(hit) > 7
    assert not (tmp_path / "broken" / "iterations" / "table.json").exists()
    tables, models = [], []
    for run, file in files.items():
        done = script("iterate.py", file)
        assert done.returncode == 0, done.stderr[-2000:]
        made = tmp_path / run / "iterations"
        rows = json.loads((made / "table.json").read_text())["rows"]
        tables.append([{**row, "path": ""} for row in rows])
        models.append([(made / str(t) / "model" / "model.safetensors").read_bytes() for t in (0, 1, 2)])
    assert tables[0] == tables[1]
    assert models[0] == models[1]

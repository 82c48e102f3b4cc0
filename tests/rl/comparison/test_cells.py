"""A cell of a comparison: taken as it is when finished, completed when only its evaluation is missing, never mixed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from small_runs import save_policy, settings, write_config

from rl.comparison.runs import Plan, run_cell
from rollout.errors import UserError

CELL = ("", 0, "step_srpo")


def plan_of(tmp_path: Path, *overrides: str) -> Plan:
    raw = settings(
        tmp_path / "unused",
        tmp_path / "policy",
        cold_start={"steps": 2, "batch": 4, "problems": 8, "max_length": 64, "gate": {"problems": 0}},
        evaluation={"problems": 3, "probe": 2, "every": 1},
        trainer={"steps": 2, "prompts_per_step": 2},
    )
    return Plan(str(write_config(tmp_path / "config.json", raw)), overrides, tmp_path / "table", {})


def cell_of(plan: Plan) -> dict:
    return run_cell(plan, *CELL, plan.settings(*CELL), plan.place("", 0) / "step_srpo")


@pytest.mark.medium
def test_a_comparison_killed_before_its_evaluation_gives_the_same_cell_and_leaves_the_model(tmp_path):
    save_policy(tmp_path / "policy")
    whole = cell_of(plan_of(tmp_path))
    assert "error" not in whole
    place = tmp_path / "table" / "data" / "seed0"
    model = place / "step_srpo" / "model" / "model.safetensors"
    before, written = model.read_bytes(), model.stat().st_mtime_ns
    assert cell_of(plan_of(tmp_path)) == whole
    for name in ("cell.json", "eval.json"):
        (place / "step_srpo" / name).unlink()
    again = cell_of(plan_of(tmp_path))
    untimed = {"seconds": 0, "cpu_seconds": 0}
    assert again | untimed == whole | untimed
    assert (model.read_bytes(), model.stat().st_mtime_ns) == (before, written)
    for override, key in (
        ("trainer.learning_rate=0.5", "trainer.learning_rate 0.001, now 0.5"),
        ("evaluation.max_new_tokens=3", "evaluation.max_new_tokens 0, now 3"),
        ("rewards.2.weight=0.5", "rewards "),
        ("cold_start.steps=3", "cold_start.steps 2, now 3"),
        ("cold_start.learning_rate=0.5", "cold_start.learning_rate"),
    ):
        with pytest.raises(UserError, match=key):
            cell_of(plan_of(tmp_path, override))
    assert json.loads((place / "step_srpo" / "cell.json").read_text()) == again
    with pytest.raises(UserError, match=r"cell\.json was made with other code"):
        cell_of(dataclasses.replace(plan_of(tmp_path), frozen={"rl": "1"}))
    (place / "step_srpo" / "cell.json").unlink()
    frozen = dataclasses.replace(plan_of(tmp_path), frozen={"rl": "1"})
    assert cell_of(frozen)["frozen"] == cell_of(frozen)["frozen"] == {"rl": "1"}
    for content in ("{", "[]", '{"modes": {}}'):
        (place / "step_srpo" / "cell.json").write_text(content)
        with pytest.raises(UserError, match=r"cell\.json .*allowed: that file moved away"):
            cell_of(plan_of(tmp_path))


@pytest.mark.medium
def test_a_cold_start_of_before_rehearsal_is_told_once_where_runs_begin_from_it(tmp_path, monkeypatch, capsys):
    save_policy(tmp_path / "policy")
    monkeypatch.setattr("rl.cold_start.sft.keep_rehearsal", lambda *_: None)
    cell_of(plan_of(tmp_path))
    assert "rehearses" not in capsys.readouterr().out
    plan = plan_of(tmp_path)
    for name in ("grpo", "dr_grpo"):
        run_cell(plan, "", 0, name, plan.settings("", 0, name), plan.place("", 0) / name)
    assert capsys.readouterr().out.count("its cold start left no rehearsal.jsonl: no run from it rehearses") == 1
    assert "rehearsal: none: " in (plan.place("", 0) / "step_srpo" / "log.txt").read_text()


def test_a_run_with_a_fault_of_the_program_is_recorded_and_ends_no_table(tmp_path):
    plan = plan_of(tmp_path, "cold_start.steps=1")
    save_policy(tmp_path / "policy")
    file = tmp_path / "broken.py"
    file.write_text("def advantages(group):\n    return 1 / 0\n")
    name = f"{file}:advantages"
    place = plan.place("", 0) / "broken"
    cell = run_cell(plan, "", 0, name, plan.settings("", 0, name), place)
    assert "raised ZeroDivisionError: division by zero" in cell["error"]
    assert "Traceback" in (place / "log.txt").read_text()
    assert "utility" not in cell

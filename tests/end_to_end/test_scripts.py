"""The commands as a user runs them: help, dry run, one-line errors, the stages after one another."""

from __future__ import annotations

import json
import sys

import pytest
from small_runs import ROOT, save_policy, script, settings, write_config


@pytest.mark.parametrize("name", ["cold_start.py", "train.py", "evaluate.py", "report.py", "demo.py"])
def test_every_script_explains_itself(name):
    done = script(name, "--help")
    assert done.returncode == 0
    assert "usage:" in done.stdout
    assert len(done.stdout) > 200


def run_with(tmp_path, raw, *overrides, name="train.py"):
    return script(name, str(write_config(tmp_path / "config.json", raw)), *overrides)


def error_of(done) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_an_unknown_key_names_the_nearest_one(tmp_path):
    done = run_with(tmp_path, settings(tmp_path, tmp_path), "trainer.learning_rat=1")
    assert error_of(done) == "error: unknown key 'trainer.learning_rat'; did you mean 'learning_rate'?"


def test_a_missing_configuration_is_one_line(tmp_path):
    assert "no configuration file 'nowhere.yaml'" in error_of(script("train.py", "nowhere.yaml"))


def test_bad_data_is_told_by_file_and_line(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"prompt": "1 + 1", "answer": "2"}\n{"prompt": "1 + 1"\n')
    raw = settings(tmp_path, tmp_path, data={"path": str(tmp_path), "train": "train.jsonl"})
    assert f"{tmp_path}/train.jsonl:2: not valid JSON" in error_of(run_with(tmp_path, raw))


def test_an_unknown_reward_names_the_nearest_one(tmp_path):
    raw = settings(tmp_path, tmp_path, rewards=[{"name": "maths"}])
    assert "no reward named 'maths'; did you mean 'math'?" in error_of(run_with(tmp_path, raw))


def test_a_prompt_above_the_cap_is_refused_before_training(tmp_path):
    policy = save_policy(tmp_path / "policy")
    raw = settings(tmp_path / "run", policy, rollout={"max_prompt_tokens": 5})
    assert "allowed: rollout.max_prompt_tokens, 5" in error_of(run_with(tmp_path, raw))


def test_a_tokenizer_without_the_decision_tokens_is_refused(tmp_path):
    policy = save_policy(tmp_path / "policy")
    raw = settings(tmp_path / "run", policy, protocol={"name": "one_token", "think": "<ponder>"})
    assert "protocol 'one_token' needs '<ponder>' as one token" in error_of(run_with(tmp_path, raw))


def test_a_template_that_writes_the_think_tag_is_refused(tmp_path):
    policy = save_policy(tmp_path / "policy")
    (tmp_path / "template.jinja").write_text("{{ messages[-1]['content'] }} <judge> <think>\n")
    model = {"path": str(policy), "chat_template": str(tmp_path / "template.jinja")}
    assert "the chat template already writes '<think>'" in error_of(
        run_with(tmp_path, settings(tmp_path / "run", policy, model=model))
    )


@pytest.mark.medium
def test_a_dry_run_checks_everything_and_trains_nothing(tmp_path):
    policy = save_policy(tmp_path / "policy")
    done = run_with(tmp_path, settings(tmp_path / "run", policy), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "gold answers: 40 of 40 earn full marks" in done.stdout
    assert "forced think, as the model samples it: status" in done.stdout
    assert "forced no_think, as the model samples it: status" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_pipeline_runs_from_cold_start_to_report(tmp_path):
    raw = settings(
        tmp_path / "run",
        tmp_path,
        model={"path": "tiny"},
        rollout={"max_new_tokens": 40},
        cold_start={"steps": 2, "batch": 8, "problems": 20, "max_length": 64},
        evaluation={"problems": 6},
        trainer={"steps": 1, "save_every": 1},
        wandb={"mode": "offline"},
    )
    done = run_with(tmp_path, raw, name="demo.py")
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "run"
    for name in ("config.json", "metrics.jsonl", "eval_before.json", "eval.json", "report.html", "model/config.json"):
        assert (run / name).is_file(), name
    result = json.loads((run / "eval.json").read_text())
    assert result["n"] == 6
    assert set(result["modes"]) == {"think", "no_think", "auto"}
    assert set(result["routers"]) == {"oracle", "random", "length"}
    assert list((run / "wandb").glob("offline-run-*"))
    files = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    again = run_with(tmp_path, raw, name="demo.py")
    assert again.returncode == 0
    assert again.stdout.count("(done)") == 5
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == files
    last = "accuracy           tokens"  # the head of the table that the demo ends with
    tables = [one.stdout[one.stdout.index(last) :].partition("\nreport:")[0] for one in (done, again)]
    assert tables[0] == tables[1]


def test_the_packages_import_from_anywhere(tmp_path):
    import subprocess

    code = "import rl, rewards, rollout; print(rl.__file__, rewards.__file__, rollout.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count(str(ROOT)) == 3


def test_what_a_cold_start_would_end_with_is_told_before_its_first_step(tmp_path):
    raw = settings(tmp_path / "run", save_policy(tmp_path / "policy"), cold_start={"steps": 2, "gate": {"problems": 4}})
    alone = run_with(tmp_path, raw, "--manual-only", name="cold_start.py")
    assert (alone.returncode, "--manual-only" in alone.stderr, alone.stderr.count("\n")) == (2, True, 1)
    narrow = run_with(tmp_path, raw, "rollout.max_prompt_tokens=2", name="cold_start.py")
    assert (narrow.returncode, "rollout.max_prompt_tokens, 2" in narrow.stderr) == (2, True)
    assert not (tmp_path / "run" / "cold_start" / "model").exists()


def test_a_selection_of_other_settings_is_refused_and_a_finished_one_is_left_alone(tmp_path):
    raw = settings(tmp_path / "run", "tiny")
    labels, out = tmp_path / "labels.jsonl", tmp_path / "kept.jsonl"
    rows = [{"id": f"{k}", "prompt": "1", "answer": "1", "label": {"complexity": k / 40}} for k in range(40)]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("--labels", str(labels), "--out", str(out))
    assert run_with(tmp_path, raw, *asked, name="select_problems.py").returncode == 0
    kept = out.read_bytes(), out.stat().st_mtime_ns
    again = run_with(tmp_path, raw, *asked, name="select_problems.py")
    assert (again.returncode, "already finished" in again.stdout) == (0, True)
    other = run_with(tmp_path, raw, *asked, "select.floor=1", name="select_problems.py")
    assert (other.returncode, "select.floor" in other.stderr) == (2, True)
    assert (out.read_bytes(), out.stat().st_mtime_ns) == kept
    anew = run_with(tmp_path, raw, *asked, "select.floor=1", "resume=never", name="select_problems.py")
    assert (anew.returncode, len(out.read_bytes().splitlines())) == (0, 40)
    assert [path.read_bytes() for path in (tmp_path / "old").rglob("kept.jsonl")] == [kept[0]]

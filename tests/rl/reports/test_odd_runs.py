"""Run folders that no run of ours left like that: the report names what it cannot use and shows the rest."""

import json
import re
import tracemalloc

import pytest
from report_runs import make_run, read

from rl.reports.plots import running_mean
from rl.reports.report import write_report
from rl.reports.run_folder import ReportError


def test_a_folder_that_holds_a_model_is_no_run_and_gets_no_report(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ReportError, match="holds no run"):
        write_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_folder_in_the_place_of_a_file_is_named_and_the_rest_is_shown(tmp_path):
    make_run(tmp_path, steps=2)
    (tmp_path / "rollouts" / "step_000003.jsonl").mkdir()
    (tmp_path / "eval.json").unlink()
    (tmp_path / "eval.json").mkdir()
    shown = read(tmp_path)
    assert "step_000003.jsonl: unreadable" in shown.text
    assert "eval.json: unreadable" in shown.text
    assert len(shown.rollouts) == 8


def test_a_long_run_is_smoothed_in_time_and_memory_that_grow_with_its_length():
    steps = 200_000
    tracemalloc.start()
    smoothed = running_mean([float(i % 2) for i in range(steps)], steps // 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20
    assert smoothed[steps // 2] == pytest.approx(0.5, abs=1e-3)


def test_numbers_that_nobody_counts_to_are_no_measurements(tmp_path):
    make_run(tmp_path, steps=1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "tokens": 1e299, "probe/tokens": Infinity}\n')
    before = json.loads((tmp_path / "eval.json").read_text())
    before["modes"]["auto"]["mean_tokens"] = 10**400
    (tmp_path / "eval.json").write_text(json.dumps(before))
    shown = read(tmp_path)
    assert "eval.json: no numbers for auto" in shown.text
    assert not re.search(r"\d{40}", shown.text)


def test_tables_of_an_evaluation_that_holds_anything_leave_out_what_is_none(tmp_path):
    anything = {
        "modes": {"auto": [1], "think": {"accuracy": "x", "tokens": {"judge": []}}, "no_think": None},
        "choice": {"ways": {"think": 3}},
        "dial": {"curve": [1, {"tokens": "a"}], "aiq": 5, "picked": 3, "at": {"tau": "x"}},
        "by_difficulty": [1],
        "by_domain": {"a": 1, "b": [2]},
        "by_source": {"x": {"n": 10**400}, "y": {}},
        "problems": [1, {"auto": 3}],
        "routers": [],
    }
    make_run(tmp_path, steps=1)
    (tmp_path / "eval.json").write_text(json.dumps(anything))
    (tmp_path / "eval_untouched.json").write_text('{"settings": [], "modes": {"auto": {"accuracy": "high"}}}')
    shown = read(tmp_path)
    assert "No evaluation with intervals" in shown.text
    assert "By source" in shown.text
    assert "untouched" not in shown.text


def test_the_untouched_model_parts_of_answers_domains_and_the_dial_are_in_the_report(tmp_path):
    make_run(tmp_path, steps=1)
    after = json.loads((tmp_path / "eval.json").read_text())
    after["modes"]["no_think"] |= {"hidden_reasoning": {"share": 0.25, "mean_tokens": 12.0}, "pass@4": 0.75}
    after["by_domain"] = {"code": after["by_domain"]["math"], "math": after["by_domain"]["math"]}
    spread = [0.5, 0.4, 0.6]
    after["dial"] = {"at": {"tau": 0.25, "think_rate": 0.5, "accuracy": spread, "tokens": spread}}
    (tmp_path / "eval.json").write_text(json.dumps(after))
    untouched = {"settings": {"auto": {"accuracy": 0.125, "mean_tokens": 99.0, "think_rate": 0.0}}}
    (tmp_path / "eval_untouched.json").write_text(json.dumps(untouched))
    shown = read(tmp_path)
    assert "untouched model0.12599.00.0%forced think" in shown.text  # the first row
    assert "forced direct0.00.08.00.0%0.0%25.0%12.00.750" in shown.text
    assert "By domain" in shown.text
    assert "dial 0.2500: accuracy 0.500 [0.400, 0.600]" in shown.text

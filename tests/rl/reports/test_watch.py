"""The terminal's view of a run, from its metrics alone."""

import json

import pytest
from rich.console import Console

from rl.reports.run_folder import ReportError
from rl.reports.watch import spark, view


def shown(folder):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(view(folder))
    return console.export_text()


def test_a_run_is_shown_with_where_it_is_and_how_long_it_takes(tmp_path):
    records = [
        {
            "step": i,
            "accuracy/think": 0.5 + i / 100,
            "time/step": 30.0,
            "tokens/spent": 1000 * i,
            "think_probability/4": 0.9,
        }
        for i in range(1, 21)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records) + '{"step": 21, "acc')
    (tmp_path / "config.json").write_text('{"trainer": {"steps": 80}}')
    text = shown(tmp_path)
    assert "step 20 of 80, 30.0 s a step, 30 min left, 20,000 tokens generated" in text
    assert "right when thinking" in text
    assert "70.0%" in text
    assert "P(think), level 4" in text


def test_names_from_data_are_text_and_no_markup(tmp_path):
    record = {"step": 1, "think_probability/[red]\x1b[31m": 0.5}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    text = shown(tmp_path)
    assert "[red]" in text
    assert "\x1b" not in text


def test_a_folder_without_metrics_is_told(tmp_path):
    with pytest.raises(ReportError, match=r"no metrics\.jsonl"):
        view(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    assert "no step yet" in shown(tmp_path)


def test_a_line_of_bars_goes_from_the_least_to_the_largest():
    assert spark([0, 1, 2, 3], 4) == "▁▃▆█"
    assert spark([5, 5]) == "▁▁"

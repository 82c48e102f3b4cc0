"""benchmarks/judging.py: the five goals of a finished run, by hand."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from small_runs import ROOT

from rollout.errors import UserError

FILE = ROOT / "benchmarks" / "judging.py"
spec = importlib.util.spec_from_file_location("judging", FILE)
judging = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judging)
MODES = ("think", "no_think", "auto")


def evaluation(auto: list[list[float]], rate: float, obeyed: float) -> dict:
    """Four problems: thinking is right on all at 10 tokens, direct answers on the first two at 2 tokens."""
    rows = [
        {"id": str(index), "think": [1, 10], "no_think": [int(index < 2), 2], "auto": auto[index]} for index in range(4)
    ]
    modes = {
        mode: {"accuracy": sum(row[mode][0] for row in rows) / 4, "mean_tokens": sum(row[mode][1] for row in rows) / 4}
        for mode in MODES
    }
    modes["auto"] |= {"think_rate": rate, "think_probability": rate}
    routers = {
        "oracle": {"accuracy": 1.0, "mean_tokens": 6.0, "think_rate": 0.5},
        "random": {"accuracy": 0.625, "mean_tokens": 4.0},
        "length": {"accuracy": 1.0, "mean_tokens": 10.0},
    }
    return {
        "n": 4,
        "modes": modes,
        "routers": routers,
        "by_difficulty": {"hard": {**modes, "n": 4}},
        "obedience": {"think": 1.0, "no_think": obeyed},
        "problems": rows,
    }


def test_a_run_that_thinks_on_one_of_two_hard_problems_loses_a_quarter_and_saves_more_than_the_oracle(tmp_path):
    before = evaluation([[1, 10]] * 4, 1.0, 0.5)
    after = evaluation([[1, 2], [1, 2], [1, 10], [0, 2]], 0.25, 0.75)
    files = {
        "eval_untouched.json": {"settings": {"auto": {"accuracy": 0.25, "mean_tokens": 9.0, "think_rate": 0.0}}},
        "eval_before.json": before,
        "eval.json": after,
        "config.json": {"seed": 7},
    }
    for name, value in files.items():
        (tmp_path / name).write_text(json.dumps(value))
    command = [sys.executable, str(FILE), str(tmp_path), "--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (row,) = json.loads((tmp_path / "out.json").read_text())["seeds"]
    assert row["goals"] == {
        "lost": 0.25,
        "tokens": 0.4,  # (2 + 2 + 10 + 2) / 4 of 10
        "captured": 1.5,  # (10 - 4) / (10 - 6): right answers do not enter
        "obeyed_no_think": 0.75,
        "obeyed_think": 1.0,
        "above_random": 0.125,
    }
    assert row["seed"] == 7
    assert row["untouched"] == {"accuracy": 0.25, "mean_tokens": 9.0, "think_rate": 0.0}
    assert "| 7 | 0.250 | 0.400 | 1.500 | 0.750, 1.000 | +0.125 |" in done.stdout
    assert "| 7 | auto | 1.000 → 0.750 | 10.0 → 4.0 | 100.0% → 25.0% |" in done.stdout

    again = subprocess.run([*command[:2], str(tmp_path), str(tmp_path)], capture_output=True, text=True, check=False)
    assert again.returncode == 2
    own = subprocess.run([*command[:4], str(tmp_path / "eval.json")], capture_output=True, text=True, check=False)
    assert own.returncode == 2
    assert json.loads((tmp_path / "eval.json").read_text()) == after


@pytest.mark.parametrize(
    "broken",
    [
        {"eval.json": None},
        {"eval.json": "{"},
        {"eval.json": []},
        {"eval.json": {**evaluation([[1, 2]] * 4, 0.0, 1.0), "obedience": {}}},
        {"eval.json": {**evaluation([[1, 2]] * 4, 0.0, 1.0), "problems": []}},
        {"eval.json": {**evaluation([[1, 2]] * 4, 0.0, 1.0), "by_difficulty": {"easy": {"n": 4}}}},
        {"eval.json": evaluation([[1, 2]] * 4, 0.0, float("nan"))},
        {"eval_untouched.json": {"settings": None}},
        {"config.json": {}},
        {"unseen.json": [1]},
    ],
)
def test_a_folder_without_a_finished_run_is_told_in_one_line(tmp_path, broken):
    files = {
        "eval_untouched.json": {"settings": {"auto": {"accuracy": 0.25, "mean_tokens": 9.0, "think_rate": 0.0}}},
        "eval_before.json": evaluation([[1, 10]] * 4, 1.0, 0.5),
        "eval.json": evaluation([[1, 10]] * 4, 1.0, 0.5),
        "config.json": {"seed": 7},
        **broken,
    }
    for name, value in files.items():
        if value is not None:
            (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(UserError, match=str(tmp_path)):
        judging.read(tmp_path)

"""benchmarks/judging.py: the five goals of a finished run, by hand."""

from __future__ import annotations

import json
import os
import random
import runpy
import subprocess
import sys

import pytest
from small_runs import ROOT

from rollout.errors import UserError

FILE = ROOT / "benchmarks" / "judging.py"
judged = runpy.run_path(str(ROOT / "benchmarks" / "judged.py"))
MODES = ("think", "no_think", "auto")


def evaluation(auto: list[list[float]], rate: float, obeyed: float) -> dict:
    """Four problems: thinking is right on all at 10 tokens, direct answers on the first two at 2 tokens."""
    rows = [
        {"id": str(index), "thinks": rate, "think": [1, 10], "no_think": [int(index < 2), 2], "auto": auto[index]}
        for index in range(4)
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


AUTO = [[1, 2], [1, 2], [1, 10], [0, 2]]


def run_folder(folder, **changed):
    """A finished run of seed 7; a file that is None is missing, a text is written as it is."""
    files = {
        "eval_untouched": {"settings": {"auto": {"accuracy": 0.25, "mean_tokens": 9.0, "think_rate": 0.0}}},
        "eval_before": evaluation([[1, 10]] * 4, 1.0, 0.5),
        "eval": evaluation(AUTO, 0.25, 0.75),
        "config": {"seed": 7},
        **changed,
    }
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        if value is not None:
            (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def start(*arguments):
    command = [sys.executable, str(FILE), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_run_that_thinks_on_one_of_two_hard_problems_loses_a_quarter_and_saves_more_than_the_oracle(tmp_path):
    other = evaluation([[1, 10]] * 4, 0.5, 1.0)
    other["by_difficulty"] = {"tens": other["by_difficulty"]["hard"]}
    done = start(run_folder(tmp_path / "run", unseen=other), "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
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
    assert row["intervals"]["lost"] == [0.0, 0.75]  # of four problems one is lost
    assert row["after"]["problems"] == evaluation(AUTO, 0.25, 0.75)["problems"]
    assert "| 7 | 0.250 [0.000, 0.750] | 0.400 " in done.stdout
    assert "| 7 | auto | 1.000 → 0.750 | 10.0 → 4.0 | 100.0% → 25.0% |" in done.stdout
    assert "| 7 | tens, 4 | 1.000 | 0.500 | 1.000 | 50.0% | 0.50 |" in done.stdout


def test_a_file_keeps_the_rows_of_other_seeds_and_refuses_other_numbers_of_one(tmp_path):
    first, out = run_folder(tmp_path / "first"), tmp_path / "out.json"
    second = run_folder(tmp_path / "second", config={"seed": 2})
    assert start(first, "--json", out).returncode == 0
    done = start(second, "--json", out)
    assert [row["seed"] for row in json.loads(out.read_text())["seeds"]] == [2, 7]
    assert "| 7 | 0.250" in done.stdout
    kept = out.read_bytes()
    assert start(first, "--json", out).returncode == 0
    assert out.read_bytes() == kept
    changed = run_folder(tmp_path / "changed", eval=evaluation([[1, 10]] * 4, 1.0, 1.0))
    assert start(changed, "--json", out).returncode == 2
    assert start(first, first).returncode == 2
    assert out.read_bytes() == kept


@pytest.mark.parametrize(
    "content", ['{"seeds": "of a lottery"}', '{"seeds": [{"seed": 0}]}', '{"seed": 1}', "[]", "", '{"seeds": [1e400]}']
)
def test_a_file_of_something_else_stays(tmp_path, content):
    out = tmp_path / "out.json"
    out.write_text(content)
    done = start(run_folder(tmp_path / "run"), "--json", out)
    assert (done.returncode, done.stderr.count("\n"), out.read_text()) == (2, 1, content)


@pytest.mark.parametrize("out", ["/dev/full", "pipe", "n" * 300])
def test_a_device_a_pipe_and_a_name_too_long_are_refused_at_once(tmp_path, out):
    os.mkfifo(tmp_path / "pipe")
    done = start(run_folder(tmp_path / "run"), "--json", tmp_path / out)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def damaged(place: str, value: object) -> str:
    """The evaluation after RL with one value replaced, as JSON."""
    found = evaluation(AUTO, 0.25, 0.75)
    *path, last = [int(part) if part.isdigit() else part for part in place.split("/")]
    inner = found
    for part in path:
        inner = inner[part]
    inner[last] = value
    return json.dumps(found)


@pytest.mark.parametrize(
    "broken",
    [
        {"eval": None},
        {"eval": "{"},
        {"eval": []},
        {"eval": '{"modes": 1, "modes": 2}'},
        {"eval": damaged("obedience", {})},
        {"eval": damaged("problems", [])},
        {"eval": damaged("problems/1/id", "0")},
        {"eval": damaged("problems/1/auto", [1])},
        {"eval": damaged("problems/1/auto", [0, 2])},
        {"eval": damaged("by_difficulty", {"easy": {"n": 4}})},
        {"eval": damaged("by_difficulty/hard/n", None)},
        {"eval": damaged("by_difficulty/hard/think/accuracy", float("nan"))},
        {"eval": damaged("obedience/no_think", float("nan"))},
        {"eval": damaged("modes/auto/accuracy", 2.0)},
        {"eval": damaged("modes/auto/accuracy", 10**400)},
        {"eval": damaged("modes/auto/accuracy", "0.75")},
        {"eval": damaged("modes/think/mean_tokens", -1)},
        {"eval": damaged("routers/random/accuracy", None)},
        {"eval_untouched": {"settings": None}},
        {"eval_untouched": {"settings": {"auto": {"accuracy": float("nan"), "mean_tokens": 9.0, "think_rate": 0.0}}}},
        *({"config": one} for one in ({}, {"seed": None}, {"seed": [0]}, {"seed": True}, {"seed": "0"}, {"seed": -1})),
        {"unseen": [1]},
        {"unseen": evaluation(AUTO, 0.25, 0.75)},
    ],
)
def test_a_folder_without_a_finished_run_is_told_in_one_line(tmp_path, broken):
    with pytest.raises(UserError, match=str(tmp_path)) as caught:
        judged["read"](run_folder(tmp_path, **broken))
    assert len(str(caught.value)) < len(str(tmp_path)) + 400


def test_the_tables_of_the_committed_rows_stand_in_the_document(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    rows = judged["read_rows"](ROOT / "benchmarks" / "results" / "products.json")
    assert [row["seed"] for row in rows] == [0, 1, 2]
    lines = [line for line in runpy.run_path(str(FILE))["tables"](rows).splitlines() if line]
    document = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line not in document] == []


def test_a_rule_of_the_digits_sorts_the_kinds_of_products_as_the_judge_does():
    products = runpy.run_path(str(ROOT / "benchmarks" / "products.py"))
    for kind, thinks in [("zero", 0), ("double", 0), ("ones", 0), ("hard", 1), ("times", 0), ("one", 1), ("tens", 1)]:
        rows = products["draw"](50, {kind: 1.0}, set(), random.Random(kind))
        factors = [[int(part.split("*")[1]) for part in str(row["id"]).split("+")] for row in rows]
        assert {int(0 not in pair and pair != [1, 1]) for pair in factors} == {thinks}

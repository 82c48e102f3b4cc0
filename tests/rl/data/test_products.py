"""The products of configs/products.yaml: one form and length, files that share nothing, thoughts that are right."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from small_runs import ROOT

FILE = ROOT / "benchmarks" / "products.py"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    for seed in "3", "4":
        subprocess.run([sys.executable, str(FILE), str(folder / seed), "--seed", seed], check=True)
    subprocess.run([sys.executable, str(FILE), str(folder / "again"), "--seed", "3"], check=True)
    return {
        name: {part: (folder / name / f"{part}.jsonl").read_text() for part in ("train", "test", "unseen")}
        for name in ("3", "4", "again")
    }


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_seed_makes_its_files_again_and_another_seed_others(files):
    assert files["again"] == files["3"]
    assert files["4"]["test"] != files["3"]["test"]


def test_a_file_that_holds_something_else_stays(files, tmp_path):
    (tmp_path / "test.jsonl").write_text("mine\n")
    (tmp_path / "file").write_text("mine\n")
    for folder in (tmp_path, tmp_path / "file"):
        done = subprocess.run([sys.executable, str(FILE), str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
    assert (tmp_path / "test.jsonl").read_text() == "mine\n"


def test_no_pair_of_factors_is_in_two_files_or_twice(files):
    pairs = [row["id"] for text in files["3"].values() for row in rows(text)]
    assert len(set(pairs)) == len(pairs) == 600 + 200 + 120


def test_prompts_have_one_form_and_the_right_answer_and_thought(files):
    for row in (row for text in files["3"].values() for row in rows(text)):
        first, second = map(int, re.fullmatch(r"(\d\d\d) \* (\d\d) =", row["prompt"]).groups())
        assert row["answer"] == str(first * second)
        steps = [step.split("=") for step in row["metadata"]["solution"].split(" ")]
        assert [eval(left) for left, _ in steps] == [int(right) for _, right in steps]
        assert steps[-1][1] == row["answer"]


def test_the_kinds_are_mixed_as_said_and_those_of_the_third_file_are_in_no_other(files):
    kinds = {part: [row["difficulty"] for row in rows(text)] for part, text in files["3"].items()}
    assert set(kinds["train"]) == set(kinds["test"]) == {"round", "hundreds", "quarters", "hard"}
    assert set(kinds["unseen"]) == {"teens", "tens", "twelve", "low"}
    assert 0.30 < kinds["train"].count("hard") / 600 < 0.40
    assert 0.20 < kinds["train"].count("round") / 600 < 0.30

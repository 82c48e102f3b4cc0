"""The sums of products of configs/products.yaml: one form and length, files that share nothing, right thoughts."""

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
    assert not (tmp_path / "train.jsonl").exists()


def test_no_problem_is_in_two_files_or_twice(files):
    problems = [row["id"] for text in files["3"].values() for row in rows(text)]
    assert len(set(problems)) == len(problems) == 600 + 200 + 120


def test_prompts_have_one_form_and_the_right_answer_and_thought(files):
    for row in (row for text in files["3"].values() for row in rows(text)):
        assert re.fullmatch(r"\d\d \* \d \+ \d\d \* \d =", row["prompt"])
        assert row["answer"] == str(eval(row["prompt"].removesuffix(" =")))
        steps = [step.split("=") for step in row["metadata"]["solution"].split(" ")]
        assert [eval(left) for left, _ in steps] == [int(right) for _, right in steps]
        assert steps[-1][1] == row["answer"]


def test_the_kinds_are_mixed_as_said_and_those_of_the_third_file_are_in_no_other(files):
    kinds = {part: [row["difficulty"] for row in rows(text)] for part, text in files["3"].items()}
    assert set(kinds["train"]) == set(kinds["test"]) == {"zero", "double", "ones", "hard"}
    assert set(kinds["unseen"]) == {"times", "one", "doubles", "tens"}
    assert 0.30 < kinds["train"].count("hard") / 600 < 0.40
    assert 0.20 < kinds["train"].count("ones") / 600 < 0.30


def test_the_digits_of_hard_problems_are_three_or_more_and_of_easy_ones_a_factor_is_two_or_less(files):
    for row in (row for part in ("train", "test") for row in rows(files["3"][part])):
        _, by_first, _, by_second = re.findall(r"\d+", row["prompt"])
        if row["difficulty"] == "hard":
            assert not set(row["prompt"]) & set("012")
        else:
            assert {by_first, by_second} in ({"0", "1"}, {"0", "2"}, {"1"})

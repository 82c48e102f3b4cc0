"""What loads and how: one small file of each published schema, and docs/data.md's table, which is made of them."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import pytest
from factories import make_rollout

from rewards.builtin.code_tests import code_tests
from rewards.builtin.math_answer import verify
from rl.cold_start.label import label_row
from rl.config.cold_start import LabelConfig
from rl.config.read import parse_config
from rl.data import DataError, load_problems, problem_to_row, read_problems
from rl.data.formats import FORMATS
from rollout.types import Problem, Rollout, RolloutGroup

HERE = Path(__file__).parent / "published"
PAGE = Path(__file__).parents[3] / "docs" / "data.md"
BEGIN, END = "<!-- made by tests/rl/data/test_published.py -->\n", "<!-- end -->\n"
OWN = {"prompt": "problem", "answer": "final"}

# file, format, (gold or number of tests, difficulty, worked solution) of each row
PUBLISHED = [
    ("own.jsonl", "problems", [("2", "1", "one and one")]),
    ("gsm8k.jsonl", "gsm8k", [("1200", None, "2 boxes of 1200.\nSo 1,200.")]),
    ("math.jsonl", "math", [(r"\frac{1}{2}", "4", r"Not $\boxed{3}$ but $\boxed{\frac{1}{2}}$.")]),
    ("math-500.jsonl", "math", [("7", "2", r"Counting gives $\boxed{7}$.")]),
    ("deepscaler.jsonl", "deepscaler", [("26", None, None), ("25", None, None)]),
    ("deepmath.jsonl", "deepmath", [("1", "4.5", "x over x is 1.")]),
    ("aime-2024.jsonl", "aime", [("33", None, r"Adding gives \boxed{033}.")]),
    ("aime-2025.jsonl", "aime", [("070", None, None)]),
    ("orz.json", "orz", [("4", None, None)]),
    ("humaneval.jsonl", "humaneval", [(1, None, "program")]),
    ("mbpp.jsonl", "mbpp", [(2, None, "program")]),
    ("apps.jsonl", "apps", [(2, "introductory", "program"), (2, "interview", "program")]),
    ("taco.jsonl", "taco", [(2, "EASY", "program")]),
    ("livecodebench.jsonl", "livecodebench", [(2, "easy", None), (1, "medium", None)]),
    ("omnithought.jsonl", "omnithought", [("0.5", "6", "short")]),
    ("verl.jsonl", "verl", [("72", None, None)]),
    ("verl-code.jsonl", "verl", [(2, None, None), (1, None, None)]),
    ("dapo.jsonl", "dapo", [("34", None, None)]),
    ("dapo-processed.jsonl", "dapo", [("34", None, None)]),
    ("dapo-processed.jsonl", "trl", [("34", None, None)]),
    ("trl.jsonl", "trl", [("25", None, None), ("4", None, None)]),
    ("swift.jsonl", "swift", [("$20$", None, None), ("2", None, "one and one"), ("6", None, None)]),
    ("sharegpt.json", "sharegpt", [("42", None, "6 times 7: 6 and 36.")]),
    ("alpaca.json", "alpaca", [("7", None, None), ("Jupiter", None, None)]),
    ("lines.json", "problems", [("2", None, None), ("4", None, None)]),
]


def load(name, data_format, **data):
    return load_problems(
        parse_config({"data": {"path": str(HERE), "train": name, "format": data_format, **data}}), "train"
    )


@pytest.mark.parametrize(("name", "data_format", "expected"), PUBLISHED, ids=lambda value: str(value)[:24])
def test_a_published_row_has_its_gold_from_the_right_place(name, data_format, expected):
    found = []
    for problem in load(name, data_format):
        solution = problem.metadata.get("solution")
        found.append(
            (
                len(problem.tests) or problem.answer,
                problem.difficulty,
                "program" if solution and problem.tests else solution,
            )
        )
    assert found == expected


def test_every_format_has_a_published_file():
    assert {data_format for _, data_format, _ in PUBLISHED} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "row", "right", "wrong"),
    [
        ("apps.jsonl", 0, "print(2 * int(input()))", "print(4)"),
        (
            "apps.jsonl",
            1,
            "class Solution:\n    def double(self, numbers):\n        return [2 * n for n in numbers]",
            "1",
        ),
        ("taco.jsonl", 0, "def double(n):\n    return 2 * n", "def double(n):\n    return n"),
        ("livecodebench.jsonl", 0, "print(2 * int(input()))", "print(4)"),
        (
            "livecodebench.jsonl",
            1,
            "class Solution:\n    def add(self, a, b):\n        return a + b",
            "def add(a, b): return 1",
        ),
        ("verl-code.jsonl", 0, "print(int(input()) + int(input()))", "print(3)"),
        ("verl-code.jsonl", 1, "def double(n):\n    return 2 * n", "def double(n):\n    return n"),
    ],
)
def test_the_tests_of_published_code_rows_tell_right_programs_from_wrong_ones(name, row, right, wrong):
    problem = load(name, "verl" if name.startswith("verl") else name.partition(".")[0])[row]
    scores = [code_tests(make_rollout(problem=problem, answer_text=f"```python\n{p}\n```")) for p in (right, wrong)]
    assert scores[0] == 1.0
    assert scores[1] < 1.0


def test_prompts_of_programs_say_how_the_answer_is_run():
    program, method = load("apps.jsonl", "apps")
    assert "reads the input from standard input" in program.prompt
    assert "class Solution:\n    def double(self, numbers" in method.prompt
    assert [p.prompt for p in load("alpaca.json", "alpaca")] == ["Add the numbers.\n\n3, 4", "Name the largest planet."]


def test_conversations_keep_their_turns():
    calculator, plain, history = load("swift.jsonl", "swift")
    assert [turn["role"] for turn in calculator.messages] == ["system", "user"]
    assert (plain.prompt, plain.messages) == ("1+1?", ())
    assert [turn["content"] for turn in history.messages] == ["be brief", "1+1?", "2", "And 3 doubled?"]
    assert load("sharegpt.json", "sharegpt")[0].messages[0]["content"] == "You are a calculator."


def test_the_vote_of_chains_is_on_equal_final_answers():
    (problem,) = load("omnithought.jsonl", "omnithought")
    assert verify(problem.answer, "1/2")
    assert problem.metadata["agreement"] == 3 / 5


def test_a_solution_that_ends_in_another_answer_is_left_out_and_said():
    loaded = read_problems(
        parse_config({"data": {"path": str(HERE), "train": "deepscaler.jsonl", "format": "deepscaler"}}), "train"
    )
    assert loaded.notes == ("a solution ends in another answer than the verified one and is left out (in 1 rows)",)


def test_a_packed_test_that_names_a_function_to_call_is_refused(tmp_path):
    import base64
    import pickle
    import zlib

    row = json.loads((HERE / "livecodebench.jsonl").read_text().splitlines()[0])
    row["private_test_cases"] = base64.b64encode(zlib.compress(pickle.dumps(os.getcwd))).decode()
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: 'private_test_cases' is neither JSON nor packed"):
        load("rows.jsonl", "livecodebench", path=str(tmp_path))


def test_a_chat_row_without_a_marked_answer_is_a_bad_row(tmp_path):
    talk = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because.\nAnd so on."}]
    (tmp_path / "rows.json").write_text(json.dumps([{"conversations": talk}]))
    with pytest.raises(DataError, match=r"rows\.json:1: its reply marks no answer; allowed: a column 'answer'"):
        load("rows.json", "sharegpt", path=str(tmp_path))


def test_what_a_format_made_is_read_back_as_it_was(tmp_path):
    for name, data_format, _ in PUBLISHED:
        problems = load(name, data_format)
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(problem_to_row(p)) + "\n" for p in problems))
        again = load("rows.jsonl", "problems", path=str(tmp_path))
        assert [problem_to_row(p) for p in again] == [problem_to_row(p) for p in problems], name


# --- columns, splits, lists ------------------------------------------------------------------------------------------


def test_columns_of_a_table_take_other_names_and_cells_may_be_json():
    first, second = load("own.csv", "problems", columns=OWN)
    assert (first.id, first.prompt, first.answer, first.difficulty) == ("a", "What is 1+1,\nplease?", "2", "easy")
    assert (second.answer, second.tests) == (None, ({"call": "double", "args": [2], "expected": 4},))


def test_format_and_columns_may_be_given_for_train_and_test_apart():
    config = parse_config(
        {
            "data": {
                "path": str(HERE),
                "train": "own.csv",
                "test": "gsm8k.jsonl",
                "format": {"train": "problems", "test": "gsm8k"},
                "columns": {"train": OWN},
            }
        }
    )
    assert [p.id for p in load_problems(config, "train")] == ["a", "b"]
    assert load_problems(config, "test")[0].answer == "1200"


def test_a_column_may_lie_inside_another_and_a_missing_one_is_named():
    columns = {"prompt": "data_source", "answer": "reward_model.ground_truth"}
    assert load("verl.jsonl", "problems", columns=columns)[0].answer == "72"
    with pytest.raises(DataError, match=r"verl\.jsonl:1: no field 'reward_model\.gold'"):
        load("verl.jsonl", "problems", columns={**columns, "answer": "reward_model.gold"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"columns": {"promt": "a"}}, "data.columns has 'promt', .*; did you mean 'prompt'"),
        ({"columns": {"prompt": 3}}, "data.columns.prompt is 3; allowed: the name of a column"),
        ({"columns": {"train": {}, "tset": {"prompt": "a"}}}, "data.columns has train, tset"),
        ({"format": {"training": "math"}}, "data.format has training"),
        ({"format": {"train": "maths"}}, "data.format is 'maths'; .*did you mean 'math'"),
        ({"train": []}, r"data.train is \[\]"),
    ],
)
def test_a_wrong_setting_of_format_or_columns_is_named(data, message):
    with pytest.raises(ValueError, match=message):
        load_problems(parse_config({"data": {"path": str(HERE), "train": "own.jsonl", **data}}), "train")


def test_a_list_of_files_is_one_source_whose_ids_name_the_file():
    problems = load(["lines.json", "own.jsonl"], "problems")
    assert [p.id for p in problems] == ["lines-1", "lines-2", "a"]


def test_a_folder_with_both_splits_gives_the_one_that_is_asked_for(tmp_path):
    for split, answer in (("train", 1), ("test", 2)):
        (tmp_path / f"{split}-00000-of-00001.jsonl").write_text(json.dumps({"prompt": split, "answer": answer}) + "\n")
    (tmp_path / "dataset_infos.json").write_text("{}")
    config = parse_config({"data": {"train": str(tmp_path), "test": str(tmp_path)}})
    assert [load_problems(config, split)[0].prompt for split in ("train", "test")] == ["train", "test"]


def test_saved_data_sets_are_read_with_the_split_that_is_asked_for(tmp_path):
    from datasets import Dataset, DatasetDict

    splits = {name: Dataset.from_list([{"prompt": name, "answer": "1"}]) for name in ("train", "test")}
    DatasetDict(splits).save_to_disk(tmp_path / "both")
    splits["test"].save_to_disk(tmp_path / "alone")
    config = parse_config({"data": {"path": str(tmp_path), "train": "both", "test": "both"}})
    assert [load_problems(config, split)[0].prompt for split in ("train", "test")] == ["train", "test"]
    assert load("alone", "problems", path=str(tmp_path))[0].id == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,answer\np,1,2\n", r"rows\.csv:2: has 3 cells; allowed: 2"),
        ("prompt,answer\np\n", r"rows\.csv:2: has 1 cells; allowed: 2"),
        ('prompt,answer\n"p,1\n', r"rows\.csv:2: no table of separated values"),
        ("prompt,answer\np,\n", r"rows\.csv:2: neither 'answer' nor 'tests'"),
    ],
)
def test_a_torn_table_is_told_by_its_line(tmp_path, text, message):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load("rows.csv", "problems", path=str(tmp_path))


def test_a_domain_is_met_whatever_its_case():
    rewards = [{"name": "math", "domains": ["math"]}]
    config = parse_config({"data": {"path": str(HERE), "train": "dapo.jsonl", "format": "dapo"}, "rewards": rewards})
    assert load_problems(config, "train")[0].domain == "MATH"


# --- the page --------------------------------------------------------------------------------------------------------


def table() -> str:
    """docs/data.md's table: what each published file becomes."""
    lines = [
        "| `data.format` | file of the tests | columns | gold | level | solution |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, data_format, expected in PUBLISHED:
        text = (HERE / name).read_text("utf-8")
        first = json.loads(text)[0] if text.startswith("[") else json.loads(text.splitlines()[0])
        columns = "two turns" if isinstance(first, list) else ", ".join(f"`{key}`" for key in list(first)[:6])
        more = ", …" if isinstance(first, dict) and len(first) > 6 else ""
        gold, level, solution = expected[0]
        cell = f"{gold} test{'s' if gold > 1 else ''}" if isinstance(gold, int) else f"`{gold}`"
        kept = "a program" if solution == "program" else "yes" if solution else ""
        lines.append(f"| `{data_format}` | `{name}` | {columns}{more} | {cell} | {level or ''} | {kept} |")
    return "\n".join(lines) + "\n"


def test_the_page_shows_what_loads_and_how():
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("WRITE_PAGES"):
        PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", "utf-8")
    else:
        assert shown == table(), "WRITE_PAGES=1 makes the table anew"


def test_the_pages_name_every_field_of_a_problem_a_rollout_and_a_label():
    rewards = (PAGE.parent / "rewards.md").read_text("utf-8")
    data = PAGE.read_text("utf-8")
    assert [f.name for f in fields(Rollout) if f"`{f.name}`" not in rewards] == []
    assert [f.name for f in fields(Problem) if f"`{f.name}`" not in data] == []
    forced = [make_rollout(mode, forced=mode) for mode in ("think", "no_think")]
    label = label_row(RolloutGroup(forced[0].problem, tuple(forced)), LabelConfig(), seed=0)["label"]
    assert [name for name in [*label, *label["think"]] if f"`{name}`" not in data] == []

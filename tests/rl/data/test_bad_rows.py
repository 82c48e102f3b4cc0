"""What would end a run in the middle is found when the file is read, with its place, and can be skipped."""

from __future__ import annotations

import codecs
import datetime
import decimal
import json

import pyarrow
import pyarrow.parquet
import pytest
from factories import make_problem, make_protocol
from small_runs import save_policy, small_config

from rl.config.read import parse_config
from rl.data import DataError, load_problems, read_problems
from rl.data.prompts import fit_prompts, usable_problems
from rl.data.records import Record
from rl.data.schema import check_problem, problem_of_row
from rl.models.open import open_protocol

GOOD = {"id": "a", "prompt": "1+1", "answer": "2"}
MATH = [{"name": "judge"}, {"name": "math"}]


def config_of(tmp_path, rewards=(), **data):
    files = {"path": str(tmp_path), "train": "rows.jsonl", "test": "rows.jsonl"}
    return parse_config({"data": {**files, **data}, "rewards": list(rewards)})


def write(tmp_path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (tmp_path / "rows.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "p", "answer": float("nan")}, "'answer' is nan"),
        ({"prompt": "p", "answer": float("inf")}, "'answer' is inf"),
        ({"prompt": "p", "answer": ""}, "'answer' is ''"),
        ({"prompt": "p", "answer": " \t"}, "neither 'answer' nor 'tests'"),
        ({"prompt": "p", "answer": ["2"]}, "'answer' is ['2']"),
        ({"prompt": "p", "answer": {"value": 2}}, "'answer' is {'value': 2}"),
        ('{"prompt": "p \\ud800", "answer": "2"}', "'prompt' is"),
        ('{"prompt": "p", "answer": "2", "metadata": {"a": ["\\udfff"]}}', "'metadata.a.0' is"),
        ({"prompt": "p", "answer": "2", "metadata": {"x": float("nan")}}, "'metadata.x' is nan"),
        ('{"prompt": "p", "answer": ' + "7" * 5000 + "}", "too many digits"),
        ('{"prompt": "p", "answer": "1", "answer": "2"}', "the key 'answer' twice"),
        ('{"prompt": "p", "answer": "1", "metadata": {"k": 1, "k": 2}}', "the key 'k' twice"),
        ('{"prompt": "p", "answer": "1", "metadata": {"k": [{"j": 1, "j": 2}]}}', "the key 'j' twice"),
        ('[{"from": "human", "value": "1", "value": "2"}]', "the key 'value' twice"),
        ({"prompt": "p", "answer": "1", "metadata": '{"k": 1, "k": 2}'}, "the key 'k' twice"),
        ({"prompt": "p", "domain": "code", "tests": '[{"stdin": "1", "stdin": "5", "stdout": "9"}]'}, "'stdin' twice"),
        ("[" * 100_000, "nested too deeply"),
        ({"prompt": "p", "answer": "2", "metadata": "{not json"}, "'metadata' is text that is not valid JSON"),
        (GOOD, "the id 'a' is used twice, first at"),
    ],
)
def test_a_bad_value_is_told_with_file_and_line_and_can_be_skipped(tmp_path, row, words):
    write(tmp_path, GOOD, row, {"prompt": "q", "answer": "3"})
    with pytest.raises(DataError) as caught:
        load_problems(config_of(tmp_path), "train")
    assert str(caught.value).startswith(f"{tmp_path}/rows.jsonl:2: ")
    assert words in str(caught.value)
    loaded = read_problems(config_of(tmp_path, on_bad_row="skip", max_bad_share=0.5), "train")
    assert [p.prompt for p in loaded.problems] == ["1+1", "q"]
    assert len(loaded.bad) == 1


def test_a_repeated_id_is_told_with_both_lines(tmp_path):
    write(tmp_path, GOOD, {"prompt": "q", "answer": "1"}, GOOD)
    with pytest.raises(DataError, match=r"rows\.jsonl:3: the id 'a' is used twice, first at .*rows\.jsonl:1"):
        load_problems(config_of(tmp_path), "train")


@pytest.mark.parametrize(
    "value", [datetime.datetime(2024, 1, 2), datetime.date(2024, 1, 2), decimal.Decimal("2.5"), b"raw"], ids=repr
)
def test_what_json_cannot_hold_is_told_before_anything_is_made_of_it(tmp_path, value):
    rows = [{**GOOD, "metadata": {"made": value}}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet:1: 'metadata\.made' is .*; allowed: what a JSON file"):
        load_problems(config_of(tmp_path, train="rows.parquet"), "train")


def test_numpy_values_are_told_too_but_a_number_of_it_is_an_answer():
    import numpy

    record = Record("here:1", "1", {**GOOD, "answer": numpy.int64(46), "metadata": {"n": numpy.arange(2)}})
    problem = problem_of_row(record)
    assert problem.answer == "46"
    with pytest.raises(DataError, match=r"here:1: 'metadata\.n' is array"):
        check_problem(problem, record)


def test_decimals_are_answers_and_empty_cells_are_absent(tmp_path):
    rows = [{"prompt": "p", "answer": decimal.Decimal("2.50"), "difficulty": float("nan"), "domain": ""}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (problem,) = load_problems(config_of(tmp_path, train="rows.parquet"), "train")
    assert (problem.answer, problem.difficulty, problem.domain) == ("2.50", None, "")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_a_byte_order_mark_is_just_read(tmp_path, name):
    text = 'prompt,answer\n"1+1",2\n' if name.endswith("csv") else '{"prompt": "1+1", "answer": "2"}\n'
    (tmp_path / name).write_bytes(codecs.BOM_UTF8 + text.encode())
    (problem,) = load_problems(config_of(tmp_path, train=name), "train")
    assert (problem.prompt, problem.answer) == ("1+1", "2")


def test_a_byte_order_mark_of_a_template_is_no_part_of_the_prompt(tmp_path):
    policy = save_policy(tmp_path / "policy")
    (tmp_path / "t.jinja").write_bytes(codecs.BOM_UTF8 + b"{{ messages[-1]['content'] }} <judge>\n")
    config = small_config(tmp_path, policy, model={"path": str(policy), "chat_template": str(tmp_path / "t.jinja")})
    assert open_protocol(config).prompt_text("1+1").startswith("1+1")


# --- what the rewards could not judge --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rewards", "row", "words"),
    [
        (MATH, {"prompt": "p", "answer": "\\frac{1}{"}, "which the math reward cannot read"),
        (MATH, {"prompt": "p", "tests": [{"assert": "assert f()"}]}, "has no answer"),
        ([{"name": "choice"}], {"prompt": "p", "answer": "Paris"}, "allowed: one of A, B, C, D"),
        ([{"name": "exact"}], {"prompt": "p", "answer": '"."'}, "allowed: text to compare with"),
        ([{"name": "code"}], {"prompt": "p", "tests": [{"input": "1", "output": "2"}]}, "tests[0]: keys"),
        ([{"name": "code"}], {"prompt": "p", "answer": "2"}, "has no tests"),
        ([{"name": "reasoning_gym"}], {"prompt": "p", "answer": "2"}, "metadata.reasoning_gym"),
        ([{"name": "math", "domains": ["math"]}], {"prompt": "p", "answer": "2", "domain": "law"}, "domain 'law'"),
        ([{"name": "judge", "target": "label"}, {"name": "math"}], {"prompt": "p", "answer": "2"}, "no 'necessity'"),
    ],
)
def test_a_problem_that_no_reward_could_judge_is_a_bad_row(tmp_path, rewards, row, words):
    write(tmp_path, row)
    with pytest.raises(DataError, match=r"rows\.jsonl:1: ") as caught:
        load_problems(config_of(tmp_path, rewards), "train")
    assert words in str(caught.value)


def test_labels_are_asked_of_the_training_split_only(tmp_path):
    write(tmp_path, GOOD)
    rewards = [{"name": "judge", "target": "label"}, {"name": "math"}]
    assert len(load_problems(config_of(tmp_path, rewards), "test")) == 1


def test_a_plug_in_may_say_which_problems_it_could_judge(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def mine(rollout, *, least=3):\n    return 1.0\n\n\n"
        "def known(problem, least):\n"
        "    if len(problem.prompt) < least:\n        raise ValueError('too short for mine')\n\n\n"
        "mine.check_problem = known\n"
    )
    write(tmp_path, {"prompt": "long enough", "answer": "2"}, {"prompt": "p", "answer": "2"})
    with pytest.raises(DataError, match=r"rows\.jsonl:2: too short for mine"):
        load_problems(config_of(tmp_path, [{"name": f"{tmp_path}/mine.py:mine", "least": 2}]), "train")


# --- what needs a tokenizer ------------------------------------------------------------------------------------------


def test_a_prompt_over_the_cap_is_a_bad_row_with_its_place(tmp_path):
    policy = save_policy(tmp_path / "policy")
    write(tmp_path, {"prompt": "1 + 1", "answer": "2"}, {"prompt": "1 + 1 + 1 + 1 + 1", "answer": "5"})
    files = {"path": str(tmp_path), "train": "rows.jsonl", "test": "rows.jsonl"}
    config = small_config(tmp_path, policy, data=files, rollout={"max_prompt_tokens": 10})
    protocol = open_protocol(config)
    words = r"rows\.jsonl:2: problem '2' has a prompt of \d+ tokens; allowed: rollout\.max_prompt_tokens, 10 \(1 of 2 "
    with pytest.raises(DataError, match=words):
        usable_problems(config, "train", protocol)
    skip = small_config(
        tmp_path,
        policy,
        data={**files, "on_bad_row": "skip", "max_bad_share": 0.5},
        rollout={"max_prompt_tokens": 10},
    )
    assert [p.id for p in usable_problems(skip, "train", protocol)] == ["1"]


def test_a_prompt_that_the_tokenizer_has_no_tokens_for_is_a_bad_row(tmp_path):
    protocol = make_protocol("qwen3")
    config = small_config(tmp_path, tmp_path, data={"on_bad_row": "skip", "max_bad_share": 0.5})
    found = fit_prompts(config, [make_problem("a", "7 42"), make_problem("b", "7 43 44")], protocol)
    assert [p.id for p in found.problems] == ["a"]
    assert "problem 'b' has a prompt with 2 tokens that the tokenizer does not know" in found.bad["b"]
    assert found.longest == 3


def test_an_error_of_the_template_is_a_bad_row():
    protocol = make_protocol("qwen3")
    protocol.chat.tokenizer.chat_template = (
        "{{ raise_exception('no system turn') if messages|length > 1 }}{{ messages[-1]['content'] }}"
    )
    talk = ({"role": "system", "content": "7"}, {"role": "user", "content": "7"})
    config = parse_config({})
    with pytest.raises(DataError, match=r"problem 'b': .*no system turn"):
        fit_prompts(config, [make_problem("a", "7"), make_problem("b", "7", messages=talk)], protocol)


def test_a_column_that_stands_twice_in_a_header_is_named(tmp_path):
    (tmp_path / "rows.csv").write_text("prompt,answer, prompt\n1+1,2,1+2\n", "utf-8")
    with pytest.raises(DataError, match=r"rows\.csv:1: the column 'prompt' stands twice in the header"):
        load_problems(config_of(tmp_path, train="rows.csv"), "train")

"""Adapters: one small row of each data set as its authors publish it, and the problem it becomes."""

from __future__ import annotations

import json

import pytest
from factories import make_rollout

from rewards.builtin.code_tests import code_tests
from rewards.builtin.math_answer import verify
from rl.config.read import parse_config
from rl.data import DataError, load_problems
from rl.data.answers import last_boxed
from rollout.types import Problem


def load(tmp_path, data_format, *rows):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = parse_config({"data": {"path": str(tmp_path), "train": "rows.jsonl", "format": data_format}})
    return load_problems(config, "train")


def error_of(tmp_path, data_format, row) -> str:
    with pytest.raises(DataError) as caught:
        load(tmp_path, data_format, row)
    return str(caught.value).partition("rows.jsonl")[2]


# --- math ------------------------------------------------------------------------------------------------------------

GSM8K = {"question": "How many?", "answer": "2 boxes of <<2*600=1200>>1200.\nSo 1,200.\n#### 1,200"}
MATH = {
    "problem": "What is $1/2 + 0$?",
    "level": "Level 4",
    "type": "Algebra",
    "solution": r"Not $\boxed{3}$ but $\boxed{\frac{1}{2}}$.",
}


def test_gsm8k_takes_the_number_after_the_mark_and_keeps_the_solution_without_calculator_marks(tmp_path):
    assert load(tmp_path, "gsm8k", GSM8K) == [
        Problem("gsm8k-1", "How many?", "math", "gsm8k", "1200", metadata={"solution": "2 boxes of 1200.\nSo 1,200."})
    ]


def test_math_takes_the_last_box_of_the_solution_and_the_level(tmp_path):
    (problem,) = load(tmp_path, "math", MATH)
    assert (problem.id, problem.answer, problem.difficulty) == ("math-1", r"\frac{1}{2}", "4")
    assert problem.metadata == {"solution": MATH["solution"], "type": "Algebra"}
    assert verify(problem.answer, "0.5")


def test_math_500_names_its_columns_otherwise(tmp_path):
    row = {"problem": "a", "solution": "It is 7.", "answer": "7", "subject": "Algebra", "level": 2, "unique_id": "t/1"}
    (problem,) = load(tmp_path, "math", row)
    assert (problem.id, problem.answer, problem.difficulty, problem.metadata["type"]) == (
        "math-t/1",
        "7",
        "2",
        "Algebra",
    )


def test_an_unknown_level_is_no_difficulty(tmp_path):
    assert load(tmp_path, "math", {**MATH, "level": "Level ?"})[0].difficulty is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} and \boxed{2}", "2"),
        (r"\boxed{\text{a {b} c}}", r"\text{a {b} c}"),
        (r"\boxed 7 apples", "7"),
        (r"\fbox{x}", "x"),
        (r"\boxed{1} then \boxed{2", "1"),
        ("no box", ""),
        (r"\boxed{", ""),
    ],
)
def test_the_last_box_whose_braces_close_is_taken(text, answer):
    assert last_boxed(text) == answer


# --- code ------------------------------------------------------------------------------------------------------------

HUMANEVAL = {
    "task_id": "HumanEval/7",
    "prompt": 'def double(n: int) -> int:\n    """ Twice n. """\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * n\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n"
    "    assert candidate(2) == 4\n    assert candidate(0) == 0\n",
}
MBPP = {
    "text": "Write a function to double a number.",
    "code": "def double(n):\r\n  return 2 * n",
    "task_id": 9,
    "test_setup_code": "four = 4",
    "test_list": ["assert double(2) == four", "assert double(0) == 0"],
    "challenge_test_list": [],
}


def score(problem, program):
    return code_tests(make_rollout(problem=problem, answer_text=f"```python\n{program}\n```"))


@pytest.mark.parametrize(("name", "row"), [("humaneval", HUMANEVAL), ("mbpp", MBPP)])
def test_the_reference_program_passes_its_tests_and_a_wrong_one_does_not(tmp_path, name, row):
    (problem,) = load(tmp_path, name, row)
    assert (problem.domain, problem.source, problem.answer) == ("code", name, None)
    assert score(problem, problem.metadata["solution"]) == 1.0
    assert score(problem, "def double(n):\n    return n + 1") == 0.0


def test_a_humaneval_prompt_shows_the_header_and_its_test_calls_the_entry_point(tmp_path):
    (problem,) = load(tmp_path, "humaneval", HUMANEVAL)
    assert problem.id == "HumanEval/7"
    assert 'def double(n: int) -> int:\n    """ Twice n. """' in problem.prompt
    assert problem.tests[0]["assert"].endswith("assert candidate(0) == 0\n\ncheck(double)")
    assert problem.metadata["entry_point"] == "double"


def test_an_mbpp_prompt_shows_the_first_assertion_only(tmp_path):
    (problem,) = load(tmp_path, "mbpp", MBPP)
    assert problem.id == "mbpp-9"
    assert "assert double(2) == four" in problem.prompt
    assert "double(0)" not in problem.prompt
    assert problem.tests[1] == {"assert": "four = 4\nassert double(0) == 0"}


def test_the_sanitized_mbpp_names_its_columns_otherwise(tmp_path):
    row = {
        "prompt": MBPP["text"],
        "code": MBPP["code"],
        "task_id": 9,
        "test_list": ["assert double(1) == int(sqrt(4))"],
    }
    (problem,) = load(tmp_path, "mbpp", {**row, "test_imports": ["from math import sqrt"]})
    assert problem.tests == ({"assert": "from math import sqrt\nassert double(1) == int(sqrt(4))"},)


# --- OmniThought -----------------------------------------------------------------------------------------------------


def chain(answer, verbosity, difficulty, thought="t"):
    return {
        "Cognitive_Difficulty": {"judge": "QwQ-32B", "level": difficulty},
        "Reasoning_Verbosity": {"judge": "QwQ-32B", "level": verbosity},
        "full_response": f"<think>\n{thought}\n</think>\n\nSo \\boxed{{{answer}}}.",
    }


def test_omnithought_takes_the_answer_of_most_chains_and_the_least_verbose_of_those(tmp_path):
    chains = [chain("4", 7, 5, "long"), chain("5", 1, 9, "wrong"), chain("4", 3, 6, "short")]
    (problem,) = load(tmp_path, "omnithought", {"question": "2+2?", "reasoning": chains})
    assert (problem.prompt, problem.answer, problem.difficulty) == ("2+2?", "4", "6")
    assert problem.metadata == {"solution": "short", "verbosity": 3, "agreement": 2 / 3}


# --- verl and TRL ----------------------------------------------------------------------------------------------------

VERL = {
    "data_source": "openai/gsm8k",
    "prompt": [{"role": "user", "content": "How many?"}],
    "ability": "math",
    "reward_model": {"style": "rule", "ground_truth": "72"},
    "extra_info": {"index": 3, "split": "train"},
}


def test_verl_rows_keep_what_its_compute_score_needs(tmp_path):
    (problem,) = load(tmp_path, "verl", VERL)
    metadata = {"data_source": "openai/gsm8k", "ground_truth": "72", "extra_info": {"index": 3, "split": "train"}}
    assert problem == Problem("openai/gsm8k-1", "How many?", "math", "openai/gsm8k", "72", metadata=metadata)


def test_verl_code_rows_become_stdin_tests(tmp_path):
    truth = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]})
    row = {**VERL, "data_source": "taco", "ability": "code", "reward_model": {"ground_truth": truth}}
    (problem,) = load(tmp_path, "verl", row)
    assert problem.tests == ({"stdin": "1\n", "stdout": "2\n"}, {"stdin": "2\n", "stdout": "4\n"})
    assert problem.answer is None
    assert score(problem, "print(2 * int(input()))") == 1.0


def test_trl_rows_may_be_text_or_a_conversation(tmp_path):
    talk = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "2+2?"}]
    text, conversational = load(
        tmp_path,
        "trl",
        {"prompt": "1+1?", "solution": r"It is \boxed{2}.", "level": 3},
        {"prompt": talk, "answer": 4},
    )
    assert (text.prompt, text.answer, text.messages) == ("1+1?", "2", ())
    assert text.metadata == {"gold_solution": r"It is \boxed{2}.", "level": 3}
    assert (conversational.prompt, conversational.answer, conversational.messages) == ("2+2?", "4", tuple(talk))


# --- what is wrong is named ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_format", "row", "message"),
    [
        ("gsm8k", {"question": "a", "answer": "4"}, ":1: the field 'answer' has no '####' before its gold number"),
        ("gsm8k", {"question": "a"}, ":1: no field 'answer'; it has question"),
        ("gsm8k", {"answer": "#### 4"}, ":1: no field 'question'; it has answer"),
        ("math", {"problem": "a", "solution": "4"}, r":1: the field 'solution' has no \boxed answer"),
        ("math", {"solution": "4"}, ":1: no field 'problem'; it has solution"),
        ("humaneval", {**HUMANEVAL, "test": "assert 1"}, ":1: the field 'test' defines no check(candidate)"),
        ("humaneval", {**HUMANEVAL, "entry_point": 3}, ":1: 'entry_point' is 3; allowed: text"),
        ("mbpp", {**MBPP, "test_list": []}, ":1: 'test_list' is []; allowed: a list of assertions"),
        ("mbpp", {**MBPP, "test_list": "assert 1"}, ":1: 'test_list' is 'assert 1'; allowed: a list of assertions"),
        ("omnithought", {"question": "a", "reasoning": []}, r":1: no chain of 'reasoning' has a \boxed final answer"),
        ("omnithought", {"question": "a", "reasoning": ["b"]}, ":1: 'reasoning' is no list of objects"),
        ("verl", {**VERL, "reward_model": {}}, ":1: no 'reward_model.ground_truth'"),
        ("verl", {**VERL, "reward_model": "72"}, ":1: 'reward_model' is '72'; allowed: an object"),
        ("verl", {**VERL, "prompt": 7}, ":1: 'prompt' is no list of objects"),
        ("trl", {"prompt": "a"}, ":1: none of the fields answer, solution, ground_truth"),
        ("verl", {"question": "a", "answer": "4"}, ":1: no field 'prompt'; it has question, answer"),
        ("omnithought", {"question": "a"}, ":1: no field 'reasoning'; it has question"),
        ("trl", {"prompt": [], "answer": "4"}, ":1: 'prompt' must end with a message of the user"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(tmp_path, data_format, row, message):
    assert error_of(tmp_path, data_format, row) == message


def test_an_unknown_format_names_the_nearest(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")
    with pytest.raises(ValueError, match=r"data\.format is 'gsm8'; allowed: .*did you mean 'gsm8k'"):
        load_problems(parse_config({"data": {"format": "gsm8", "train": str(file)}}), "train")

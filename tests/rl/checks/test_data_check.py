"""Duplicates, overlap with the test split, and answers that no reward can verify."""

from __future__ import annotations

import json

import pytest
from factories import make_problem
from small_runs import script, small_config, tiny_protocol, write_config

from rewards.registry import build_rewards
from rl.checks.data_check import check_data, write_sound
from rl.checks.known_answers import gold_answer
from rl.checks.overlap import NGRAM, duplicates, normalised, overlaps
from rl.checks.preflight import preflight
from rl.checks.reward_check import check_rewards
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rollout.types import Problem

WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
]


def asked(problem_id, text):
    return Problem(problem_id, text, answer="1")


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_texts_are_compared_without_case_punctuation_and_spaces():
    assert normalised("What is  $3+4$?\nTell me!") == ["what", "is", "3+4", "tell", "me"]
    assert normalised("ﬁve  _apples_, 3.5 kg.") == ["five", "apples", "3.5", "kg"]
    assert normalised("2 - 3") != normalised("2 + 3")


def test_duplicates_name_the_first_that_asks_the_same():
    problems = [asked("a", "How many?"), asked("b", "how  many"), asked("c", "How much?"), asked("d", "How many!")]
    assert duplicates(problems) == [("b", "a"), ("d", "a")]


def test_thirteen_shared_words_are_an_overlap_and_twelve_are_not():
    test = [asked("t", " ".join(WORDS))]
    thirteen = asked("x", "Before. " + " ".join(WORDS[1:]) + " after")
    twelve = asked("y", "Before. " + " ".join(WORDS[2:]) + " after")
    (found,) = overlaps([thirteen, twelve], test)
    assert (found.train_id, found.test_id, found.shared) == ("x", "t", " ".join(WORDS[1:]))
    assert len(found.shared.split()) == NGRAM == 13


def test_short_prompts_overlap_when_they_are_equal_as_a_whole():
    found = overlaps([asked("x", "What is 3 + 4?"), asked("y", "What is 3 + 5?")], [asked("t", "what is 3 + 4")])
    assert [(one.train_id, one.test_id) for one in found] == [("x", "t")]


def test_an_instruction_that_every_test_problem_has_is_no_overlap():
    test = [asked(f"t{i}", " ".join(WORDS) + f" number {i}") for i in range(20)]
    assert overlaps([asked("x", " ".join(WORDS) + " number 99")], test) == []
    assert len(overlaps([asked("x", " ".join(WORDS) + " number 99")], test[:10])) == 1


def test_of_a_conversation_what_the_user_says_counts():
    turns = ({"role": "user", "content": "What is 3 + 4?"}, {"role": "assistant", "content": "7"})
    talk = Problem("x", "and doubled?", answer="14", messages=(*turns, {"role": "user", "content": "and doubled?"}))
    assert overlaps([talk], [asked("t", "and doubled?")]) == []
    assert [one.test_id for one in overlaps([talk], [asked("t", "What is 3 + 4? and doubled?")])] == ["t"]


# --- gold answers ----------------------------------------------------------------------------------------------------


def test_gold_is_the_answer_or_the_reference_program():
    assert gold_answer(make_problem(answer="46")) == "46"
    program = make_problem(answer=None, tests=({"assert": "f()"},), metadata={"solution": "def f(): pass"})
    assert gold_answer(program) == "```python\ndef f(): pass\n```"
    assert gold_answer(make_problem(answer=None, tests=({"assert": "f()"},))) is None


def test_a_gold_answer_that_the_reward_cannot_verify_is_counted_with_its_reason():
    problems = [make_problem("a", answer="46"), make_problem("b", answer="see the figure \\ above {")]
    check = check_rewards(problems, build_rewards([{"name": "math"}]), kinds=("gold",))
    (failed,) = check.failed("gold")
    assert (len(check.probes), failed.problem, failed.correct) == (2, "b", None)
    assert "'b'" in failed.told()


def test_a_reference_program_that_fails_its_tests_is_counted():
    tests = ({"call": "f", "args": [], "expected": 1},)
    problems = [
        make_problem(str(n), answer=None, tests=tests, metadata={"solution": f"def f():\n    return {n}"})
        for n in (1, 2)
    ]
    check = check_rewards(problems, build_rewards([{"name": "code"}]), kinds=("gold",))
    assert [(p.problem, p.correct) for p in check.probes] == [("1", 1.0), ("2", 0.0)]
    assert check.failed("gold")[0].told().endswith("correct 0")


def test_a_run_is_refused_when_too_many_gold_answers_fail(tmp_path):
    problems = [make_problem("a", prompt="1", answer="46"), make_problem("b", prompt="2", answer="Ann")]
    rewards = build_rewards([{"name": "choice"}])
    shown: list[str] = []
    config = small_config(tmp_path, tmp_path, data={"max_bad_gold": 1.0})
    result = preflight(config, problems, tiny_protocol(), rewards, None, shown.append)
    assert (result.checked, result.failed_gold) == (2, ("a", "b"))
    assert "gold answers: 0 of 2 earn full marks" in shown
    config = small_config(tmp_path, tmp_path, data={"max_bad_gold": 0.99})
    with pytest.raises(ConfigError, match=r"2 of 2 gold answers do not earn full marks; allowed: a share of 0\.99"):
        preflight(config, problems, tiny_protocol(), rewards, None, shown.append)


def test_a_run_is_refused_when_wrong_answers_earn_full_marks(tmp_path):
    (tmp_path / "kind.py").write_text("def kind(rollout):\n    return 1.0\n")
    problems = [make_problem("a", prompt="1", answer="46"), make_problem("b", prompt="2", answer="7")]
    rewards = build_rewards([{"name": f"{tmp_path}/kind.py:kind"}])
    with pytest.raises(ConfigError, match=r"2 of 2 wrong answers are not told from right ones"):
        preflight(small_config(tmp_path, tmp_path), problems, tiny_protocol(), rewards, None, lambda line: None)


# --- the command -----------------------------------------------------------------------------------------------------

TRAIN = [
    {"id": "a", "prompt": "3 + 4", "answer": "7"},
    {"id": "b", "prompt": "3 +  4", "answer": "7"},
    {"id": "c", "prompt": "5 + 5", "answer": "10"},
    {"id": "d", "prompt": "6 + 6", "answer": "{{ \\"},
    {"id": "e", "prompt": "7 + 7", "answer": "14"},
]
TEST = [{"id": "t", "prompt": "5 + 5", "answer": "10"}]


def raw_config(tmp_path, **data):
    for name, rows in (("train", TRAIN), ("test", TEST)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"path": str(tmp_path), "train": "train.jsonl", "test": "test.jsonl"}
    return {"data": {**files, **data}, "rewards": [{"name": "math"}]}


def test_the_report_lists_what_is_wrong_and_the_sound_problems_are_written(tmp_path):
    config = parse_config(raw_config(tmp_path))
    check = check_data(config, build_rewards(config.rewards))
    lines = "\n".join(check.lines())
    assert "train: 5 problems of 'train.jsonl'" in lines
    assert "duplicates: 1\n    b repeats a" in lines
    assert "gold answers that the rewards cannot verify (20.0% of 5): 1\n    d: " in lines
    assert "training problems that overlap with the test split: 1\n    c and t share '5 + 5'" in lines
    train, test = write_sound(check, tmp_path / "sound")
    assert [json.loads(line)["id"] for line in train.read_text().splitlines()] == ["a", "e"]
    assert [json.loads(line) for line in test.read_text().splitlines()] == TEST
    assert check.refusals(config) == [
        "20.0% of the gold answers of data.train fail their reward; allowed: data.max_bad_gold, 10.0%"
    ]


def test_the_command_ends_with_code_1_above_a_limit(tmp_path):
    done = script("check_data.py", str(write_config(tmp_path / "config.json", raw_config(tmp_path))))
    assert done.returncode == 1
    assert "refused: 20.0% of the gold answers of data.train fail" in done.stderr
    assert "duplicates: 1" in done.stdout

"""Rewards against known answers: gold must earn full marks, wrong must not."""

import json

import pytest
from factories import make_problem
from small_runs import ROOT, script

from rewards.registry import build_rewards
from rl.checks.known_answers import wrong_answer
from rl.checks.reward_check import check_rewards, complaints, report_lines

PROBLEMS = [make_problem("a", answer="46"), make_problem("b", answer="46.0"), make_problem("c", answer="7")]
PROGRAM = make_problem(
    "f",
    answer=None,
    tests=({"call": "f", "args": [2], "expected": 4},),
    metadata={"solution": "def f(n): return 2 * n"},
)


def test_gold_answers_pass_and_those_of_other_problems_do_not():
    check = check_rewards(PROBLEMS, build_rewards([{"name": "math"}]))
    assert [(p.problem, p.kind, p.answer, p.correct) for p in check.probes] == [
        ("a", "gold", "46", 1.0),
        ("a", "wrong", "7", 0.0),
        ("b", "gold", "46.0", 1.0),
        ("b", "wrong", "7", 0.0),
        ("c", "gold", "7", 1.0),
        ("c", "wrong", "46", 0.0),
    ]
    assert complaints(check, 0.0) == []


def test_a_problem_alone_is_given_its_number_plus_one():
    assert wrong_answer([make_problem("a", answer="46")], 0) == "47"


def test_a_program_is_tried_with_its_solution_and_with_one_that_does_nothing():
    check = check_rewards([PROGRAM], build_rewards([{"name": "code"}]))
    assert [(p.kind, p.correct) for p in check.probes] == [("gold", 1.0), ("wrong", 0.0)]


def test_a_reward_that_likes_everything_is_told(tmp_path):
    (tmp_path / "kind.py").write_text("def kind(rollout):\n    return 1.0\n")
    check = check_rewards(PROBLEMS, build_rewards([{"name": f"{tmp_path}/kind.py:kind"}]))
    (complaint,) = complaints(check, 0.1)
    assert complaint.startswith("3 of 3 wrong answers are not told from right ones; allowed: a share of 0.1")


def test_a_gold_answer_that_cannot_be_read_is_told():
    check = check_rewards([*PROBLEMS, make_problem("d", answer="\\frac{1}{")], build_rewards([{"name": "math"}]))
    assert check.unreadable == ("d",)
    assert len(complaints(check, 0.1)) == 2  # its own text is right, a wrong answer breaks, and it cannot be read


@pytest.mark.medium
def test_the_script_prints_speed_and_writes_json(tmp_path):
    out = tmp_path / "check.json"
    done = script("check_rewards.py", str(ROOT / "configs/demo.yaml"), "--limit", "20", "--json", str(out))
    assert done.returncode == 0, done.stderr
    assert "gold answers: 20 of 20 earn full marks" in done.stdout
    assert "wrong answers: 0 of 20 earn full marks" in done.stdout
    assert json.loads(out.read_text())["wrong"] == {"tried": 20, "failed": []}


def test_where_no_gold_answer_is_known_none_is_said_to_earn_full_marks():
    check = check_rewards([make_problem("f", answer=None, tests=PROGRAM.tests)], build_rewards([{"name": "code"}]))
    lines = report_lines(check)
    assert lines[0] == "wrong answers: 0 of 1 earn full marks"
    assert lines[1].startswith("gold answers: none is known, so none was tried")

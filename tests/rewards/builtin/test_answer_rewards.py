"""Rewards that compare an answer with the problem's: choices, text, reasoning-gym's scorers."""

import time
from pathlib import Path

import pytest
from factories import make_problem, make_rollout

from rewards.builtin.choice import choice, read_choice
from rewards.builtin.exact import exact
from rewards.builtin.gym import reasoning_gym
from rewards.plugin import RewardError


def answered(text, gold, **fields):
    """A rollout with this answer to a problem with that gold answer."""
    return make_rollout("no_think", answer_text=text, problem=make_problem(answer=gold, **fields))


# --- choice -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b ", "B"),
        ("B.", "B"),
        ("(C)", "C"),
        ("[d]", "D"),
        ("**D**", "D"),
        ("$\\mathrm{A}$", "A"),
        ("B. Paris", "B"),
        ("(B) Paris, the capital", "B"),
        ("B: Paris", "B"),
        ("The answer is (B).", "B"),
        ("The answer is B", "B"),
        ("The answer is: **(C)** 12", "C"),
        ("The correct answer is option D, because it floats.", "D"),
        ("So the correct option is A because it is the only prime.", "A"),
        ("Answer: C", "C"),
        ("answer = (a)", "A"),
        ("ANSWER: D\n", "D"),
        ("Final answer:\n\n\\boxed{C}", "C"),
        ("\\boxed{\\text{(C)}}", "C"),
        ("$\\boxed{C. Paris}$", "C"),
        ("So $x = \\boxed{42}$, and the answer is (B).", "B"),
        ("First \\boxed{A}. Wait, no: \\boxed{B}.", "B"),
        ("The answer is A. Wait, the answer is B.", "B"),
        ("I choose C.", "C"),
        ("I would go with option D", "D"),
        ("All birds fly.\nB", "B"),
        ("答案是C。", "C"),
        ("答案：（D）", "D"),
        ("The answer is Ｂ.", "B"),
        ("The answer is the choice B; A is too small.", "B"),
    ],
)
def test_a_choice_is_read_from_what_people_and_models_write(text, letter):
    assert read_choice(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A dog",
        "A dog is an animal. The answer is a dog.",
        "The answer is a",
        "The answer is A dog",
        "The answer is A or B",
        "The answer is A, B",
        "The answer is (A) and (C).",
        "Answer: A/B",
        "\\boxed{A, B}",
        "\\boxed{ABCD}",
        "The answer is C++",
        "The answer is not B",
        "I would not choose B.",
        "The answer is 5",
        "The answer is E",
        "A. red\nB. blue\nC. green\nD. black",
        "ABCD",
        "Because B12 is a vitamin",
        "It is between A and B, as a rule.",
        "An apple a day",
        "Vitamin C helps",
    ],
)
def test_a_letter_that_is_no_single_choice_is_not_read(text):
    assert read_choice(text) is None


@pytest.mark.parametrize("unit", [" ", "\n", "answer is ", "\\boxed{", "(", "\\text{", "A. "])
def test_long_texts_are_read_in_no_time(unit):
    started = time.process_time()
    assert read_choice("The answer is" + unit * (50_000 // len(unit)) + "nothing") is None
    assert time.process_time() - started < 2.0


def test_the_last_statement_decides_also_when_it_names_two():
    assert read_choice("The answer is B. Then again, the answer is A or B.") is None


def test_choice_compares_letters_whatever_their_form():
    assert choice(answered("\\boxed{B}", "(B) Paris")) == 1.0
    assert choice(answered("The answer is C", "B")) == 0.0
    assert choice(answered("no idea", "B")) == 0.0
    assert choice(answered("The answer is E", "E"), letters="ABCDE") == 1.0


def test_a_gold_answer_that_is_no_choice_is_broken_machinery():
    with pytest.raises(RewardError, match="problem 'p1' has answer '46'; allowed: one of A, B, C, D"):
        choice(answered("B", "46"))


# --- exact ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "gold", "options", "score"),
    [
        ("Paris", "Paris", {}, 1.0),
        ("  paris.\n", "Paris", {}, 1.0),
        ('"the  Nile"', "The Nile", {}, 1.0),
        ("paris", "Paris", {"ignore_case": False}, 0.0),
        ("Parıs", "Paris", {}, 0.0),
        ("ﬁve", "five", {}, 1.0),  # a ligature
        ("In Paris", "Paris", {}, 0.0),
        ("Paris, Rome", "Paris", {}, 0.0),
        ("the Nile", "Nile", {}, 0.0),
        ("the Nile", "Nile", {"ignore_articles": True}, 1.0),
        ("theatre", "atre", {"ignore_articles": True}, 0.0),
        ("U.S.A", "USA", {}, 0.0),
        ("U.S.A.", "USA", {"ignore_punctuation": True}, 1.0),
        ("", "Paris", {}, 0.0),
    ],
)
def test_exact_is_equality_of_normalised_text(text, gold, options, score):
    assert exact(answered(text, gold), **options) == score


@pytest.mark.parametrize(("gold", "options"), [(None, {}), (" . ", {}), ("The", {"ignore_articles": True})])
def test_a_gold_answer_of_which_nothing_is_left_is_broken_machinery(gold, options):
    with pytest.raises(RewardError, match="allowed: text to compare with"):
        exact(answered("x", gold), **options)


# --- reasoning-gym ----------------------------------------------------------------------------------------------------


def gym_rollout(text, task="chain_sum", **settings):
    """An answer to the first problem of a task."""
    package = pytest.importorskip("reasoning_gym")
    entry = package.create_dataset(task, seed=3, size=1, **settings)[0]
    fields = {"task": task, "settings": settings, "entry": entry}
    return answered(text.format(entry["answer"]), entry["answer"], metadata={"reasoning_gym": fields})


def test_the_tasks_own_scorer_decides_and_an_answer_among_other_text_is_not_the_answer():
    assert reasoning_gym(gym_rollout("{}")) == 1.0
    assert reasoning_gym(gym_rollout(" {}\n")) == 1.0
    padded = gym_rollout("x {}")
    gold = padded.problem.answer
    assert reasoning_gym(padded) == 0.0
    assert reasoning_gym(padded, partial=True) == pytest.approx(len(gold) / (len(gold) + 2))
    assert reasoning_gym(gym_rollout("")) == 0.0


def test_a_task_with_settings_of_its_own_is_scored_by_them():
    assert reasoning_gym(gym_rollout("{}", "chain_sum", min_terms=2, max_terms=2)) == 1.0
    rollout = gym_rollout("{}")
    rollout.problem.metadata["reasoning_gym"]["settings"] = {"colour": 3}
    with pytest.raises(RewardError, match=r"problem 'p1': .*colour"):
        reasoning_gym(rollout)


@pytest.mark.parametrize("task", ["n_queens", "countdown", "polynomial_multiplication", "spiral_matrix"])
def test_an_answer_is_never_run_as_code(task, tmp_path):
    target = tmp_path / "made"
    for text in (f"__import__('os').mkdir('{target}')", f"open('{target}', 'w')", "().__class__", "f'{{1}}'"):
        assert reasoning_gym(gym_rollout(text.replace("{", "{{").replace("}", "}}"), task)) == 0.0
    assert not Path(target).exists()


def test_an_endless_scorer_ends_at_the_limit_and_the_next_answer_is_scored():
    reasoning_gym(gym_rollout("{}"))
    started = time.monotonic()
    assert reasoning_gym(gym_rollout("9**9**9**9", "countdown"), timeout_s=0.5) == 0.0
    assert time.monotonic() - started < 3.0
    assert reasoning_gym(gym_rollout("{}", "countdown")) == 1.0


def test_a_problem_without_its_entry_and_a_missing_package_are_named(monkeypatch):
    import rewards.builtin.gym

    monkeypatch.setattr(rewards.builtin.gym, "find_spec", lambda name: None)
    with pytest.raises(RewardError, match="the package reasoning-gym is not installed; pip install"):
        reasoning_gym(answered("1", "1"))
    monkeypatch.setattr(rewards.builtin.gym, "find_spec", lambda name: name)
    with pytest.raises(RewardError, match=r"problem 'p1' has metadata\.reasoning_gym None; allowed: a mapping"):
        reasoning_gym(answered("1", "1"))

"""reasoning-gym as a data source. The parts that need the package run where it is installed (extra `reasoning_gym`)."""

from __future__ import annotations

import importlib.util

import pytest

from rl.config.read import parse_config
from rl.data import DataError, load_problems
from rl.data.gym_steps import worked_steps
from rl.data.gym_tasks import Task, parse_source

needs_gym = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="needs the extra reasoning_gym"
)
SUMS = "reasoning_gym:chain_sum?min_terms=2&max_terms=2#easy|chain_sum?min_terms=5&max_terms=5#hard"


def load(train, split="train", **data):
    return load_problems(parse_config({"data": {"train": train, "test": train, **data}}), split)


def test_a_source_names_tasks_their_settings_and_a_difficulty():
    assert parse_source(SUMS) == [
        Task("chain_sum", {"min_terms": 2, "max_terms": 2}, "easy"),
        Task("chain_sum", {"min_terms": 5, "max_terms": 5}, "hard"),
    ]
    assert parse_source("reasoning_gym:gcd") == [Task("gcd", {}, None)]


@pytest.mark.parametrize(
    "source", ["reasoning_gym:", "reasoning_gym:?a=1", "reasoning_gym:gcd?nonsense", "reasoning_gym:gcd|"]
)
def test_a_malformed_source_is_refused(source):
    with pytest.raises(DataError, match="allowed: reasoning_gym:TASK"):
        parse_source(source)


def test_sizes_and_seeds_are_not_the_task_s():
    with pytest.raises(DataError, match=r"sets 'seed'; allowed: data\.train_size, data\.test_size and seed"):
        parse_source("reasoning_gym:gcd?seed=3")


@pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is not None, reason="the package is installed")
def test_without_the_package_the_extra_is_named():
    with pytest.raises(DataError, match=r"needs reasoning-gym .*pip install '\.\[reasoning_gym\]'"):
        load("reasoning_gym:chain_sum")


@needs_gym
def test_the_tasks_take_turns_and_carry_their_entry():
    problems = load(SUMS, train_size=5, test_size=4)
    assert [p.difficulty for p in problems] == ["easy", "hard", "easy", "hard", "easy"]
    first = problems[0]
    assert (first.domain, first.source) == ("arithmetic", "reasoning_gym:chain_sum")
    entry = first.metadata["reasoning_gym"]["entry"]
    assert (entry["question"], entry["answer"]) == (first.prompt, first.answer)
    expression = entry["metadata"]["expression"]
    assert str(eval(expression, {"__builtins__": {}})) == first.answer


def chain(expression, answer):
    return worked_steps("chain_sum", {"answer": answer, "metadata": {"expression": expression}})


def test_steps_of_a_sum_carry_the_sum_so_far():
    assert chain("4 + 7 - 30", "-19") == "Step by step:\n4 + 7 = 11\n11 - 30 = -19"


def search(asked, answer):
    question = f"Ann adores cats. Bo sneers at tea. \nWho {asked}? Reply only with a name."
    metadata = {"question": question.partition("\n")[2]}
    return worked_steps("needle_haystack", {"question": question, "answer": answer, "metadata": metadata})


def test_steps_of_a_search_go_through_the_statements_up_to_the_one_asked_for():
    assert search("sneers at tea", "Bo") == "Step by step:\nAnn adores cats: no\nBo sneers at tea: yes"
    assert search("adores cats", "Ann") == "Step by step:\nAnn adores cats: yes"


def test_a_search_that_finds_nobody_or_somebody_else_has_no_steps():
    assert search("adores dogs", "Ann") is None
    assert search("adores cats", "Bo") is None


def test_steps_that_miss_the_answer_and_tasks_without_steps_give_none():
    assert chain("4 + 7", "12") is None
    assert chain("4 * 7", "28") is None
    assert chain("four + 7", "11") is None
    assert worked_steps("gcd", {"answer": "3", "metadata": {}}) is None


@needs_gym
def test_worked_steps_are_the_solution_of_a_problem():
    for problem in load(SUMS, train_size=20, test_size=4):
        assert problem.metadata["solution"].endswith(f"= {problem.answer}")
    searches = load("reasoning_gym:needle_haystack?min_num_statements=3&max_num_statements=3", train_size=20)
    assert [p.metadata["solution"].splitlines()[-1].split()[0] for p in searches] == [p.answer for p in searches]


@needs_gym
def test_train_and_test_share_no_prompt_and_follow_the_seed():
    one_digit = "reasoning_gym:chain_sum?min_terms=2&max_terms=2&min_digits=1&max_digits=1"
    sizes = {"train_size": 60, "test_size": 60}
    train, test = load(one_digit, **sizes), load(one_digit, "test", **sizes)
    assert len({p.prompt for p in [*train, *test]}) == 120
    assert load(one_digit, **sizes) == train
    with pytest.raises(DataError, match=r"gave \d+ distinct problems, 400 are wanted"):
        load(one_digit, train_size=400, test_size=60)


@needs_gym
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("reasoning_gym:game_of_life_halting", "scores a wrong answer 1.0"),
        ("reasoning_gym:graph_color", "has no answer text"),
        ("reasoning_gym:chain_sums", "no reasoning-gym task 'chain_sums'; did you mean 'chain_sum'"),
        ("reasoning_gym:chain_sum?min_term=2", "has no setting 'min_term'; allowed: min_terms, max_terms"),
        ("reasoning_gym:chain_sum?min_terms=0", r"refuses \{'min_terms': 0\}"),
    ],
)
def test_a_task_that_no_reward_could_judge_is_refused(source, message):
    with pytest.raises(DataError, match=message):
        load(source, train_size=2, test_size=2)

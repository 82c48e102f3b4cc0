"""Sums as a data source: what every problem must be, and that no split shows another's prompts."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rl.cold_start.examples import worked_pairs
from rl.config.read import parse_config
from rl.data import DataError, load_problems
from rl.data.arithmetic import draw, thought
from rl.models.inputs import data_settings


def config(**sections):
    data = {"train": "arithmetic", "test": "arithmetic", "train_size": 200, "test_size": 100}
    cold = {"problems": 300, "shares": {"2": 0.4, "4": 0.6}}
    return parse_config({"data": {**data, **sections.pop("data", {})}, "cold_start": cold, **sections})


def numbers(problem):
    return list(map(int, re.findall(r"\d+", problem.prompt)))


@pytest.fixture(scope="module")
def problems():
    return draw(600, 3, {"2": 1.0, "3": 1.0, "4": 1.0})


def test_a_thought_holds_each_number_with_the_total_so_far():
    assert thought([47, 38, 95, 26]) == "38:85 95:180 26:206"
    assert thought([0, 47, 0, 12]) == "47:47 00:47 12:59"


def test_all_prompts_have_one_length_and_one_form(problems):
    assert all(re.fullmatch(r"\d\d \+ \d\d \+ \d\d \+ \d\d =", p.prompt) for p in problems)


def test_the_answer_is_the_sum_and_the_end_of_the_thought(problems):
    for problem in problems:
        assert problem.answer == str(sum(numbers(problem)))
        assert problem.metadata["solution"].rpartition(":")[2] == problem.answer


def test_the_level_is_how_many_numbers_are_not_zero_and_two_never_carry(problems):
    assert set(Counter(p.difficulty for p in problems)) == {"2", "3", "4"}
    for problem in problems:
        found = [n for n in numbers(problem) if n]
        assert problem.difficulty == str(len(found))
        if problem.difficulty == "2":
            assert sum(n % 10 for n in found) <= 9
            assert sum(n // 10 for n in found) <= 9


def test_no_place_of_the_prompt_tells_the_level(problems):
    easy = [numbers(p) for p in problems if p.difficulty == "2"]
    for place in range(4):
        assert sum(terms[place] == 0 for terms in easy) / len(easy) == pytest.approx(0.5, abs=0.12)


def test_test_rl_and_cold_start_share_no_prompt_and_follow_from_the_seed():
    one = config()
    test, train = (load_problems(one, split) for split in ("test", "train"))
    cold = [think.problem for think, _ in worked_pairs(one)]
    assert [len(split) for split in (test, train, cold)] == [100, 200, 300]
    assert len({p.prompt for p in (*test, *train, *cold)}) == 600
    assert load_problems(config(), "test") == test
    assert {p.prompt for p in load_problems(config(seed=1), "test")} != {p.prompt for p in test}


def test_levels_are_drawn_by_their_shares():
    test = load_problems(config(data={"test_size": 600, "shares": {"2": 1.0, "4": 3.0}}), "test")
    assert Counter(p.difficulty for p in test)["4"] / 600 == pytest.approx(0.75, abs=0.05)


def test_both_modes_of_a_worked_problem_have_its_answer_and_one_its_steps():
    think, direct = worked_pairs(config())[0]
    assert (think.mode, direct.mode) == ("think", "no_think")
    assert think.answer == direct.answer == think.problem.answer
    assert (think.thinking, direct.thinking) == (think.problem.metadata["solution"], "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"shares": {"5": 1.0}}, "data.shares is .* allowed: shares of 0 or more for the levels 2, 3, 4"),
        ({"shares": {"2": 1.0}, "train_size": 12000}, "hardly any problem of level 2 left"),
    ],
)
def test_levels_that_are_not_and_more_problems_than_there_are_are_refused(data, said):
    with pytest.raises(DataError, match=said):
        load_problems(config(data=data), "train")


def test_the_training_problems_are_made_anew_where_the_test_is_another_one():
    def settings(**data):
        return data_settings(parse_config({"data": {"train": "arithmetic", "test": "arithmetic", **data}}), "train")

    assert settings(test_size=200) != settings(test_size=2000)
    assert settings(test_size=200) == settings(test_size=200, easy=["2"])

"""Products as a data source: what every problem must be, and that no split shows another's factors."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rl.cold_start.examples import worked_pairs
from rl.config.read import parse_config
from rl.data import DataError, load_problems
from rl.data.arithmetic import FACTORS, draw, factors_of, thought


def config(**sections):
    data = {"train": "arithmetic", "test": "arithmetic", "train_size": 200, "test_size": 100}
    cold = {"problems": 300, "shares": {"1": 0.4, "2": 0.6}}
    return parse_config({"data": {**data, **sections.pop("data", {})}, "cold_start": cold, **sections})


def numbers(problem):
    return tuple(map(int, re.findall(r"\d+", problem.prompt)))


@pytest.fixture(scope="module")
def problems():
    return draw(600, 3, {"1": 0.5, "2": 0.5})


def test_a_thought_holds_the_partial_products_by_tens_and_by_ones():
    assert thought(42, 94) == "42*90=3780 42*4=168"
    assert thought(42, 90) == "42*90=3780 42*0=0"


def test_the_levels_hold_every_pair_of_factors_once():
    # 81 numbers from 11 to 99 are not round; 9 tens; 81 · 82 / 2 pairs without an order.
    assert {level: len(found) for level, found in FACTORS.items()} == {"1": 729, "2": 3321}
    assert all(len(set(found)) == len(found) for found in FACTORS.values())


def test_all_prompts_have_one_length_and_one_form(problems):
    assert all(re.fullmatch(r"[1-9]\d \* [1-9]\d =", p.prompt) for p in problems)


def test_the_answer_is_the_product_and_the_sum_of_the_thought_s_parts(problems):
    for problem in problems:
        a, b = numbers(problem)
        parts = re.findall(r"(\d+)\*(\d+)=(\d+)", problem.metadata["solution"])
        assert problem.answer == str(a * b)
        assert sum(int(value) for _, _, value in parts) == a * b
        assert all(int(x) * int(y) == int(value) for x, y, value in parts)


def test_the_level_is_the_number_of_partial_products_and_the_order_does_not_tell_it(problems):
    for problem in problems:
        assert problem.difficulty == ("1" if any(n % 10 == 0 for n in numbers(problem)) else "2")
    easy = [numbers(p) for p in problems if p.difficulty == "1"]
    assert sum(b % 10 == 0 for _, b in easy) / len(easy) == pytest.approx(0.5, abs=0.1)


def test_test_rl_and_cold_start_share_no_factors_in_any_order_and_follow_from_the_seed():
    one = config()
    test, train = (load_problems(one, split) for split in ("test", "train"))
    cold = [think.problem for think, _ in worked_pairs(one)]
    assert [len(split) for split in (test, train, cold)] == [100, 200, 300]
    assert len({tuple(sorted(numbers(p))) for p in (*test, *train, *cold)}) == 600
    assert load_problems(config(), "test") == test
    assert {p.prompt for p in load_problems(config(seed=1), "test")} != {p.prompt for p in test}


def test_factors_are_known_again_in_either_order(problems):
    listed = {one for found in FACTORS.values() for one in found}
    assert all(factors_of(p) in listed for p in problems)
    assert all(sorted(factors_of(p)) == sorted(numbers(p)) for p in problems)


def test_levels_are_drawn_by_their_shares():
    test = load_problems(config(data={"test_size": 600, "shares": {"1": 1.0, "2": 3.0}}), "test")
    assert Counter(p.difficulty for p in test)["2"] / 600 == pytest.approx(0.75, abs=0.05)


def test_both_modes_of_a_worked_problem_have_its_answer_and_one_its_steps():
    think, direct = worked_pairs(config())[0]
    assert (think.mode, direct.mode) == ("think", "no_think")
    assert think.answer == direct.answer == think.problem.answer
    assert (think.thinking, direct.thinking) == (think.problem.metadata["solution"], "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"shares": {"3": 1.0}}, "data.shares is .* allowed: shares of 0 or more for the levels 1, 2"),
        ({"shares": {"1": 1.0}, "train_size": 700}, "no problem of level 1 left after 629 of 700"),
    ],
)
def test_levels_that_are_not_and_more_problems_than_there_are_are_refused(data, said):
    with pytest.raises(DataError, match=said):
        load_problems(config(data=data), "train")

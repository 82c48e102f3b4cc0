"""Products as a data source: what every problem must be, and that no split shows another's prompts."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rl.cold_start.examples import worked_pairs
from rl.config.read import parse_config
from rl.data import DataError, load_problems
from rl.data.arithmetic import FACTORS, carries, draw, steps


def config(**sections):
    data = {"train": "arithmetic", "test": "arithmetic", "train_size": 300, "test_size": 100}
    cold = {"problems": 300, "shares": {"0": 0.4, "4": 0.6}}
    return parse_config({"data": {**data, **sections.pop("data", {})}, "cold_start": cold, **sections})


@pytest.fixture(scope="module")
def problems():
    return draw(400, 3, dict.fromkeys("01234", 1.0))


def test_steps_and_carries_are_those_of_the_product_on_paper():
    # 1·6 = 6; 7·6 = 42; 8·6 + 4 = 52; 5·6 + 5 = 35; 4·6 + 3 = 27: carries 4, 5 and 3 are handed on.
    assert steps(45871, 6) == [(1, 6), (7, 42), (8, 52), (5, 35), (4, 27)]
    assert carries(45871, 6) == 3
    # The last product of 72013 · 3, 21, hands its carry to no digit.
    assert (steps(72013, 3), carries(72013, 3)) == ([(3, 9), (1, 3), (0, 0), (2, 6), (7, 21)], 0)
    assert carries(44444, 3) == 4


def test_all_prompts_have_one_length_and_one_form(problems):
    assert all(re.fullmatch(r"[1-9]\d{4} \* [3-9] =", p.prompt) for p in problems)


def test_the_answer_is_the_product_and_the_thought_ends_in_its_digits(problems):
    for problem in problems:
        number, factor = map(int, re.findall(r"\d+", problem.prompt))
        assert problem.answer == str(number * factor)
        values = [step.partition(":")[2] for step in problem.metadata["solution"].split()]
        written = values[-1] + "".join(value[-1] for value in reversed(values[:-1]))
        assert written == problem.answer


def test_the_level_is_the_number_of_carries_and_the_factor_does_not_tell_it(problems):
    assert set(Counter(p.difficulty for p in problems)) == set("01234")
    easy, hard = (Counter(p.prompt.split()[2] for p in draw(1000, 4, {level: 1.0})) for level in ("0", "4"))
    total = sum(FACTORS.values())
    for factor, weight in FACTORS.items():
        for found in (easy, hard):
            assert found[str(factor)] / 1000 == pytest.approx(weight / total, abs=0.05)


def test_test_rl_and_cold_start_share_no_prompt_and_follow_from_the_seed():
    one = config()
    test, train = (load_problems(one, split) for split in ("test", "train"))
    cold = [think.problem for think, _ in worked_pairs(one)]
    assert [len(split) for split in (test, train, cold)] == [100, 300, 300]
    assert len({p.prompt for p in (*test, *train, *cold)}) == 700
    assert load_problems(config(), "test") == test
    assert {p.prompt for p in load_problems(config(seed=1), "test")} != {p.prompt for p in test}


def test_levels_are_drawn_by_their_shares():
    test = load_problems(config(data={"test_size": 1000, "shares": {"1": 1.0, "3": 3.0}}), "test")
    found = Counter(p.difficulty for p in test)
    assert set(found) == {"1", "3"}
    assert found["3"] / 1000 == pytest.approx(0.75, abs=0.04)


def test_both_modes_of_a_worked_problem_have_its_answer_and_one_its_steps():
    think, direct = worked_pairs(config())[0]
    assert (think.mode, direct.mode) == ("think", "no_think")
    assert think.answer == direct.answer == think.problem.answer
    assert (think.thinking, direct.thinking) == (think.problem.metadata["solution"], "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"shares": {"5": 1.0}}, "data.shares is .* allowed: shares of 0 or more for the levels 0, 1, 2, 3, 4"),
        ({"shares": {"0": 1.0}, "train_size": 5000}, "hardly any problem left with the factor"),
    ],
)
def test_levels_that_are_not_and_more_problems_than_there_are_are_refused(data, said):
    with pytest.raises(DataError, match=said):
        load_problems(config(data=data), "train")

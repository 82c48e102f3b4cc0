"""The measures of one run and of one algorithm, by hand."""

from __future__ import annotations

import pytest

from rl.comparison.measures import (
    arrival,
    beside,
    collapsed,
    curve,
    measures,
    thinking_needed,
    tokens_to_reach,
    utility,
)
from rl.comparison.runs import read_cell
from rl.statistics.intervals import Interval, mean_interval, student_t
from rollout.errors import UserError


def result(auto=(0.9, 10.0, 0.4), oracle=(0.95, 8.0, 0.3), think=(0.95, 20.0)):
    """An evaluation: (accuracy, tokens, think rate) of auto and oracle, (accuracy, tokens) of forced thinking."""
    keys = ("accuracy", "mean_tokens", "think_rate")
    return {
        "modes": {"auto": dict(zip(keys, auto, strict=True)), "think": dict(zip(keys, think, strict=False))},
        "routers": {"oracle": dict(zip(keys, oracle, strict=True))},
        "easy": {"auto": {"think_rate": 0.1}},
        "hard": {},
    }


def test_utility_charges_a_fifth_for_always_thinking():
    assert utility(1.0, 20.0, 20.0) == pytest.approx(0.8)
    assert utility(0.5, 0.0, 20.0) == 0.5
    assert utility(0.9, 30.0, 20.0) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (1000, 1.962)]
)
def test_students_t_is_that_of_the_tables(degrees, quantile):
    assert student_t(degrees) == pytest.approx(quantile, abs=6e-4)


def test_an_interval_is_the_mean_and_t_times_the_standard_error():
    found = mean_interval([1.0, 2.0, 3.0])
    # s = 1, n = 3, t = 4.3027
    assert (found.mean, found.half, found.n) == (2.0, pytest.approx(2.4841, abs=1e-3), 3)
    assert mean_interval([5.0]) == Interval(5.0, None, 1)
    assert mean_interval([5.0, 5.0]).half == 0.0


def test_a_target_is_reached_at_the_first_probe_that_has_it():
    points = [(100.0, 0.5), (200.0, 0.8), (300.0, 0.7), (400.0, 0.9)]
    assert tokens_to_reach(points, 0.8) == 200.0
    assert tokens_to_reach(points, 0.85) == 400.0
    assert tokens_to_reach(points, 0.95) is None


def test_a_curve_has_the_steps_with_a_probe():
    records = [
        {"step": 1, "tokens/spent": 50.0},
        {"step": 2, "tokens/spent": 90.0, "probe/accuracy": 0.8, "probe/tokens": 10.0},
    ]
    assert curve(records, 20.0) == [(90.0, pytest.approx(0.7))]


def test_arrival_counts_the_steps_and_seconds_of_training_up_to_that_record():
    # Two steps on each generation: the probe comes after the second, which is step 4 for the tokens of 3 and 4.
    records = [{"step": k, "tokens/spent": 50.0 * ((k + 1) // 2), "time/step": 2.0} for k in range(1, 7)]
    for record in records[1::2]:
        record["probe/accuracy"] = 0.9
    assert arrival(records, 100.0) == {"reach_steps": 4, "reach_seconds": 8.0}
    assert arrival(records, None) == {"reach_steps": None, "reach_seconds": None}


def test_beside_a_run_stand_the_choices_that_take_no_judgment():
    def evaluation(think, direct, random):
        modes = {"think": think, "no_think": direct, "auto": (0.9, 12.0)}
        rows = {name: {"accuracy": a, "mean_tokens": t} for name, (a, t) in modes.items()}
        return {"modes": rows, "routers": {"random": {"accuracy": random[0], "mean_tokens": random[1]}}}

    before, after = evaluation((1.0, 20.0), (0.6, 4.0), (0.8, 10.0)), evaluation((0.97, 19.0), (0.7, 4.0), (0.85, 8.0))
    assert beside(before, after, 20.0) == {
        "start_utility": pytest.approx(0.78),
        "random_utility": pytest.approx(0.77),  # of the trained model
        "always_think_utility": pytest.approx(0.8),
        "always_no_think_utility": pytest.approx(0.56),
        "change_think": pytest.approx(-0.03),
        "change_no_think": pytest.approx(0.1),
    }


@pytest.mark.parametrize(
    ("auto", "needed", "verdict"),
    [
        ((0.9, 10.0, 0.4), 0.3, False),
        ((0.9, 10.0, 0.01), 0.3, True),  # never thinks where the oracle would
        ((0.9, 10.0, 0.01), 0.05, False),  # … and where it hardly would
        ((0.9, 10.0, 0.99), 0.3, True),
        ((0.9, 10.0, 0.99), 0.95, False),
        ((0.69, 10.0, 0.4), 0.3, True),  # answers lost: 0.8 before
        ((0.71, 10.0, 0.4), 0.3, False),
    ],
)
def test_a_run_has_collapsed_when_a_needed_mode_is_dead_or_answers_are_lost(auto, needed, verdict):
    before = result(auto=(0.8, 12.0, 0.5), oracle=(0.95, 8.0, needed))
    assert collapsed(before, result(auto=auto)) is verdict


def test_thinking_is_needed_at_levels_where_it_helps_not_where_a_guess_was_lucky():
    def level(think, direct, n):
        return {"think": {"accuracy": think}, "no_think": {"accuracy": direct}, "n": n}

    before = result(auto=(0.8, 12.0, 0.5), oracle=(0.95, 8.0, 0.6))
    assert thinking_needed(before) == 0.6
    levels = {"1": level(1.0, 0.96, 100), "4": level(0.9, 0.2, 300)}
    assert thinking_needed({**before, "by_difficulty": levels}) == 0.75
    # 5.5 points on 109 problems are within two standard errors (9 points), on 1,090 they are not (2.8 points).
    assert thinking_needed({**before, "by_difficulty": {"none": level(0.156, 0.101, 109)}}) == 0
    assert thinking_needed({**before, "by_difficulty": {"none": level(0.156, 0.101, 1090)}}) == 1
    always = {**before, "by_difficulty": {"4": level(0.9, 0.2, 300)}}
    assert not collapsed(always, result(auto=(0.9, 10.0, 1.0)))
    assert collapsed(always, result(auto=(0.9, 10.0, 0.0)))


def test_the_measures_of_a_run():
    before, after = result(auto=(0.7, 14.0, 0.5)), result(oracle=(0.94, 7.0, 0.3))
    probe = result(think=(0.95, 10.0), oracle=(0.9, 5.0, 0.3))
    records = [
        {"step": 1, "tokens/spent": 100.0, "probe/accuracy": 0.8, "probe/tokens": 5.0},
        {"step": 2, "tokens/spent": 220.0, "probe/accuracy": 0.9, "probe/tokens": 6.0},
    ]
    found = measures(before, after, probe, records)
    assert found["utility"] == pytest.approx(0.8)  # 0.9 − 0.2 · 10 / 20
    assert found["oracle_utility"] == pytest.approx(0.87)  # 0.95 − 0.2 · 8 / 20
    assert found["regret"] == pytest.approx(0.07)  # 0.94 − 0.2 · 7 / 20 − 0.8
    assert found["curve"] == [(100.0, pytest.approx(0.7)), (220.0, pytest.approx(0.78))]
    assert found["reach"] == 220.0  # 0.95 · (0.9 − 0.2 · 5 / 10) = 0.76
    assert (found["think_easy"], found["think_hard"]) == (0.1, None)
    assert (found["spent"], found["steps"], found["collapsed"]) == (220.0, 2, False)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1.0", "true", '"12"', "1e999", "null", str(10**400)])
@pytest.mark.parametrize("key", ["seconds", "cpu_seconds"])
def test_a_cell_whose_seconds_are_none_is_named(tmp_path, key, value):
    file = tmp_path / "cell.json"
    rest = "" if key == "seconds" else '"seconds": 1.0, '
    file.write_text(f'{{"world": "thin", "seed": 0, "algorithm": "grpo", {rest}"{key}": {value}}}')
    with pytest.raises(UserError, match=rf"cell\.json: {key} is "):
        read_cell(file)

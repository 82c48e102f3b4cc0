"""The dial's curve, its targets and its bias, by hand."""

import math

import pytest

from rl.statistics.dial import (
    Target,
    curve,
    halves,
    logit_bias,
    parse_target,
    pick,
    point,
    price_of,
    priced_mode,
    thresholds,
    with_intervals,
)
from rollout.errors import UserError


def row(p_think, think, no_think):
    return {"p_think": p_think, "think": think, "no_think": no_think}


EASY = [row(0.1, (1, 20), (1, 4)), row(0.3, (1, 20), (1, 4))]
HARD = [row(0.6, (1, 20), (0, 4)), row(0.9, (1, 20), (0, 4))]
ROWS = EASY + HARD


def test_thresholds_lie_between_the_probabilities_that_occur():
    assert thresholds(ROWS) == [0.0, 0.2, pytest.approx(0.45), 0.75, 1.1]


def test_a_problem_thinks_from_its_threshold_on():
    assert point(ROWS, 0.6)["think_rate"] == 0.5
    assert point(ROWS, 0.6 + 1e-9)["think_rate"] == 0.25


def test_the_curve_goes_from_always_to_never():
    points = curve(ROWS)
    assert [(at["accuracy"], at["tokens"]) for at in points] == [(1, 20), (1, 16), (1, 12), (0.75, 8), (0.5, 4)]
    assert [at["think_rate"] for at in points] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_long_curve_is_thinned_evenly_and_keeps_its_ends():
    many = [row(i / 1000, (1, 20), (1, 4)) for i in range(1000)]
    points = curve(many, most=11)
    assert len(points) == 11
    assert (points[0]["think_rate"], points[-1]["think_rate"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("accuracy >= think - 0.005", Target("accuracy", True, -0.005)),
        ("accuracy>=think", Target("accuracy", True, 0.0)),
        ("accuracy >= 0.9", Target("accuracy", False, 0.9)),
        ("tokens <= 400", Target("tokens", False, 400.0)),
        ("tokens <= think - 20", Target("tokens", True, -20.0)),
    ],
)
def test_a_target_is_read(text, target):
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        *("", "accuracy <= 0.9", "tokens >= 3", "speed >= 3", "accuracy >=", "tokens <= 1.2.3"),
        *("accuracy >= 2", "accuracy >= -0.1", "accuracy >= think + 1", "tokens <= 0", "tokens <= -3"),
    ],
)
def test_another_target_is_refused(text):
    with pytest.raises(UserError, match="--target is"):
        parse_target(text)


def test_the_fewest_tokens_that_hold_an_accuracy_are_picked():
    assert pick(ROWS, parse_target("accuracy >= think - 0.005"))["tokens"] == 12
    assert pick(ROWS * 100, parse_target("accuracy >= 0.7"))["tokens"] == 8


def test_an_accuracy_that_is_held_by_less_than_a_standard_error_is_not_picked():
    # Four problems: 0.75 - sqrt(0.75 * 0.25 / 4) = 0.53. One of 200 lost: 0.005 + sqrt(0.005 * 0.995 / 200) = 0.01.
    assert pick(ROWS, parse_target("accuracy >= 0.7"))["tokens"] == 12
    lost = [row(0.1, (1, 20), (1, 4))] * 199 + [row(0.2, (1, 20), (0, 4))]
    assert pick(lost, parse_target("accuracy >= think - 0.005"))["accuracy"] == 1
    assert pick(lost, parse_target("accuracy >= think - 0.011"))["accuracy"] == 0.995


def test_where_no_point_holds_it_by_a_standard_error_one_that_holds_it_is_picked():
    assert pick(HARD * 2 + EASY, parse_target("accuracy >= 1"))["accuracy"] == 1
    half = [row(0.5, (1, 20), (0, 4)), row(0.5, (0, 20), (0, 4))]
    assert pick(half, parse_target("accuracy >= 0.5"))["accuracy"] == 0.5


def test_the_highest_accuracy_that_a_number_of_tokens_buys_is_picked():
    assert pick(ROWS, parse_target("tokens <= 9"))["accuracy"] == 0.75


def test_a_target_that_nothing_meets_says_what_there_is():
    with pytest.raises(UserError, match="tokens goes from 4 to 20"):
        pick(ROWS, parse_target("tokens <= 3"))


def test_the_halves_are_disjoint_complete_and_the_same_again():
    rows = [row(i / 10, (1, i), (1, 4)) for i in range(9)]
    one, two = halves(rows)
    assert (len(one), len(two)) == (4, 5)
    assert sorted(r["p_think"] for r in one + two) == [r["p_think"] for r in rows]
    assert halves(rows) == (one, two)


def test_an_interval_surrounds_a_points_value():
    always, middle = with_intervals(ROWS * 10, [point(ROWS, 0.0), point(ROWS, 0.45)])
    value, low, high = middle["tokens"]
    assert low < value == 12 < high
    assert always["tokens"] == [20, 20, 20]


@pytest.mark.parametrize("tau", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_the_bias_on_no_think_makes_greedy_decoding_obey_the_threshold(tau, p):
    think, no_think = math.log(p), math.log(1 - p) + logit_bias(tau)
    assert (think >= no_think - 1e-12) == (p >= tau)


def test_at_the_ends_of_the_dial_the_bias_decides_alone():
    assert (logit_bias(0.0), logit_bias(1.1)) == (-100.0, 100.0)


THREE = {"no_think": 0.2, "short": 0.5, "think": 0.3}
COSTS = {"no_think": 10, "short": 100, "think": 400}


@pytest.mark.parametrize(
    ("price", "mode"),
    [
        (0.0, "short"),  # the likeliest
        (-0.01, "think"),  # -1.20 + 4.0 beats -0.69 + 1.0
        (0.010, "short"),  # -0.69 - 1.00 = -1.693 beats -1.61 - 0.10 = -1.709
        (0.011, "no_think"),  # -0.69 - 1.10 = -1.793 falls below -1.61 - 0.11 = -1.719
        (math.inf, "no_think"),
        (-math.inf, "think"),
    ],
)
def test_of_several_modes_the_one_is_chosen_that_is_worth_its_price(price, mode):
    assert priced_mode(THREE, COSTS, price) == mode


def test_a_mode_without_probability_is_never_chosen_however_cheap():
    assert priced_mode({**THREE, "no_think": 0.0}, COSTS, math.inf) == "short"
    with pytest.raises(ValueError, match="no mode"):
        priced_mode({"think": 0.0}, COSTS, 0.0)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_with_two_modes_the_price_is_the_dial(tau, p):
    chosen = priced_mode({"think": p, "no_think": 1 - p}, COSTS, price_of(tau, 400, 10))
    assert (chosen == "think") == (p >= tau)

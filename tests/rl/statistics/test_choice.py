"""What a choice is worth, every number by hand."""

import pytest

from rl.statistics.choice import (
    aiq,
    apgr,
    choice_table,
    concave_hull,
    oracle_curve,
)


def row(think, no_think, auto, thinks, length=3):
    return {"think": think, "no_think": no_think, "auto": auto, "thinks": thinks, "length": length}


def value(rows, name):
    return choice_table(rows)[name][0]


def way(rows, name):
    table = choice_table(rows)["ways"][name]
    return (table["accuracy"][0], table["tokens"][0])


# Four problems: solved both ways, only by thinking, by neither, only directly. Thinking costs 20, direct answers 4.
ROWS = [
    row((1, 20), (1, 4), (1, 4), 0),
    row((1, 20), (0, 4), (1, 20), 1),
    row((0, 20), (0, 4), (0, 4), 0),
    row((0, 20), (1, 4), (0, 20), 1),
]


def test_the_oracle_thinks_where_direct_answers_are_worse_or_hopeless():
    assert way(ROWS, "oracle") == (0.75, (4 + 20 + 20 + 4) / 4)
    assert way(ROWS, "auto") == (0.5, 12.0)


def test_with_samples_the_oracle_takes_each_problems_means():
    lucky = [row((0.75, 20), (0.25, 4), (0.5, 12), 0.5), row((0.5, 20), (0.5, 4), (0.5, 12), 0.5)]
    assert way(lucky, "oracle") == (0.625, 12.0)


def test_regret_is_in_units_of_u():
    # oracle: 0.75 − 0.2·12/20; auto: 0.5 − 0.2·12/20
    assert value(ROWS, "regret") == pytest.approx(0.25)


def test_the_choice_was_no_worse_on_three_of_four_problems():
    assert value(ROWS, "no_worse") == 0.75


def test_the_gain_is_over_random_thinking_at_autos_rate():
    assert value(ROWS, "gain") == pytest.approx(0.5 - (0.5 * 0.5 + 0.5 * 0.5))
    routed = [row((1, 20), (1, 4), (1, 4), 0), row((1, 20), (0, 4), (1, 20), 1)]
    assert value(routed, "gain") == pytest.approx(1.0 - (0.5 * 1.0 + 0.5 * 0.5))


def test_the_saving_is_a_share_of_the_oracles():
    assert value(ROWS, "saving") == pytest.approx((20 - 12) / (20 - 12))
    assert value([row((1, 20), (0, 4), (1, 20), 1)], "saving") == 0.0


def test_the_table_has_an_interval_around_every_value():
    table = choice_table(ROWS * 20)
    accuracy, low, high = table["ways"]["auto"]["accuracy"]
    assert (accuracy, low < 0.5 < high) == (0.5, True)
    assert table["no_worse"][0] == 0.75
    assert set(table["ways"]) == {"think", "no_think", "auto", "oracle", "random", "length"}
    assert choice_table([]) == {}


def test_the_hull_drops_points_below_the_line_between_their_neighbours():
    assert concave_hull([(0, 0), (1, 1), (2, 1.5), (3, 3)]) == [(0, 0), (3, 3)]
    assert concave_hull([(0, 0), (1, 2), (2, 3), (3, 3)]) == [(0, 0), (1, 2), (2, 3), (3, 3)]


def test_aiq_of_the_constant_modes_alone_is_their_mean_and_a_good_point_lifts_it():
    cheap, dear = (4.0, 0.5), (20.0, 0.9)
    assert aiq([], cheap, dear) == pytest.approx(0.7)
    # halfway at full accuracy: ½·(0.5 + 0.9)/2 + ½·0.9
    assert aiq([(12.0, 0.9)], cheap, dear) == pytest.approx(0.35 + 0.45)


def test_aiq_scales_from_the_cheaper_mode_whichever_it_is_and_needs_a_difference():
    assert aiq([], (4.0, 0.9), (20.0, 0.5)) == pytest.approx(0.9)
    assert aiq([], (4.0, 0.9), (4.0, 0.5)) is None


def test_the_oracles_curve_spends_its_tokens_where_they_gain_most():
    curve = oracle_curve(
        [row((1, 12), (0, 4), (0, 4), 0), row((1, 20), (0, 4), (0, 4), 0), row((1, 30), (1, 4), (1, 4), 0)]
    )
    assert curve == [(4.0, pytest.approx(1 / 3)), (pytest.approx(20 / 3), pytest.approx(2 / 3)), (12.0, 1.0)]


def test_apgr_of_random_mixing_is_a_half_and_is_left_out_where_the_modes_may_agree():
    mixing = [{"think_rate": 0.0, "accuracy": 0.5}, {"think_rate": 1.0, "accuracy": 0.9}]
    assert apgr(mixing, 0.9, 0.5, 0.1) == pytest.approx(0.5)
    assert apgr([mixing[0], {"think_rate": 0.5, "accuracy": 0.9}, mixing[1]], 0.9, 0.5, 0.1) == pytest.approx(0.75)
    assert apgr(mixing, 0.9, 0.5, 0.02) is None

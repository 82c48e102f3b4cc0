"""The tables of a comparison: what counts in which mean, and what a reader sees."""

from __future__ import annotations

import pytest

from rl.comparison.measures import arrival_median, bounds, overall, summary
from rl.comparison.report import constant_rows, contents, judging, markdown, picture, show
from rl.statistics.intervals import Interval


def cell(world="kind", algorithm="a", seed=0, **values):
    base = {"accuracy": 0.9, "tokens": 8.0, "think_easy": 0.0, "think_hard": None, "utility": 0.8, "regret": 0.1}
    more = {"reach": 100.0, "spent": 500.0, "collapsed": False, "oracle_utility": 0.85, "always_think": 16.0}
    return {**base, **more, "curve": [(100.0, 0.8)], "world": world, "algorithm": algorithm, "seed": seed, **values}


def test_arrival_is_a_median_in_which_a_run_that_never_gets_there_counts_with_its_budget():
    row = summary([cell(reach=100.0), cell(reach=None), cell(reach=300.0, collapsed=True)])
    assert (row["reach"], row["reached"], row["n"], row["collapsed"]) == (300.0, 2, 3, 1)
    assert row["think_hard"] is None
    assert arrival_median([cell(reach=None), cell(reach=None), cell(reach=100.0)]) == 500.0
    assert arrival_median([cell(reach=None), cell(reach=100.0)]) == 300.0
    # Two of three arrived, one of them later than the whole budget of a shorter world: the median is that budget.
    late = [cell(reach=100.0), cell(reach=None), cell("long", reach=4000.0, spent=5000.0)]
    assert (summary(late)["reach"], summary(late)["bounds"]) == (500.0, ["reach"])
    assert "> 500 (2 of 3)" in markdown(late)
    assert row["bounds"] == []


def test_a_median_is_a_bound_where_a_run_that_never_arrived_may_lie_above_it_for_each_measure():
    # Had the second arrived after 1,000 tokens, the median were 200 and not 150.
    runs = [(5.0, 40.0), (None, 40.0), (150.0, 400.0), (200.0, 400.0), (300.0, 400.0)]
    assert bounds([cell(reach=reach, spent=spent) for reach, spent in runs]) == ["reach"]
    runs = [(5.0, 40.0), (6.0, 40.0), (150.0, 400.0), (200.0, 400.0), (None, 400.0)]
    assert bounds([cell(reach=reach, spent=spent) for reach, spent in runs]) == []
    # The one that never arrived took most tokens and the middle number of steps.
    steps = [(10.0, 30, 100), (20.0, 60, 100), (None, None, 50)]
    assert bounds([cell(reach=reach, reach_steps=at, steps=whole) for reach, at, whole in steps]) == ["reach_steps"]


def test_a_cell_of_an_earlier_version_lacks_numbers_and_keeps_its_row():
    row = summary([cell()])
    assert (row["reach_steps"], row["drift"], row["change_think"]) == (None, None, None)
    assert "| a | 1 | 0.800 | – | 0.900 |" in markdown([cell()])


def test_over_the_worlds_the_mean_and_the_distance_to_the_best():
    cells = [
        cell("walk", "a", utility=0.8),
        cell("walk", "b", utility=0.7, collapsed=True),
        cell("kind", "a", utility=0.5, reach=None),
        cell("kind", "b", utility=0.8),
    ]
    found = overall(cells)
    assert found["a"] == {
        "worlds": 2,
        "utility": pytest.approx(0.65),
        "behind": pytest.approx(0.3),
        "reach": 300.0,  # of 100 and a budget of 500
        "reach_steps": None,
        "reach_seconds": None,
        "steps": None,
        "reached": 1,
        "bounds": ["reach"],
        "collapsed": 0,
        "runs": 2,
    }
    assert (found["b"]["behind"], found["b"]["collapsed"]) == (pytest.approx(0.1), 1)


def test_checks_and_failed_runs_count_in_no_mean():
    cells = [cell("kind", utility=0.8), cell("never", utility=0.1), cell("code", utility=0.2), cell("", utility=0.6)]
    cells.append({"world": "kind", "seed": 1, "algorithm": "a", "seconds": 1.0, "error": "it broke"})
    assert [c["world"] for c in judging(cells)] == ["kind", "data"]
    assert overall(judging(cells))["a"]["utility"] == pytest.approx(0.7)


def test_the_choices_without_judgment_are_means_over_starts_then_worlds():
    known = {"always_think_utility": 0.8, "always_no_think_utility": 0.6, "start_utility": 0.7}
    cells = [cell("kind", seed=seed, oracle_utility=0.9, **known) for seed in (0, 0, 1)]
    cells += [cell("walk", seed=0, oracle_utility=0.7, **{**known, "start_utility": None})]
    rows = constant_rows(cells)
    assert rows["oracle router of the cold start"] == pytest.approx(0.8)
    assert rows["always thinking"] == pytest.approx(0.8)
    assert rows["never thinking"] == pytest.approx(0.6)
    assert "cold start's own choice" not in rows  # one start does not say


def test_the_tables_show_means_intervals_and_what_failed():
    cells = [cell(seed=0, utility=0.7), cell(seed=1, utility=0.8, reach=None)]
    cells.append({"world": "kind", "seed": 2, "algorithm": "a", "seconds": 1.0, "error": "it broke"})
    text = markdown(cells)
    # t = 12.706, s = 0.0707, n = 2
    assert "| a | 2 | 0.750 ± 0.635 |" in text
    assert "| > 300 (1 of 2) | – | – | 0 |" in text
    assert "| a | 1 | 0.750 | 0.000 | > 300 (1 of 2) | – | – | – | 0 of 2 |" in text
    more = {"steps": 40, "train_seconds": 5.0}
    never = markdown([cell(reach=None, reach_steps=None, reach_seconds=None, **more)])
    assert "| > 500 (0 of 1) | > 40 | > 5 |" in never  # what never arrives is not quick
    # What is missing from the means stands between them and the tables of the worlds.
    assert text.index("| a | 1 | 0.750") < text.index("**1 of 3 runs failed") < text.index("### kind")
    assert "- kind seed 2 a: it broke" in text
    assert "failed" not in never
    assert show(Interval(0.5, None, 1), 1) == "0.5"


def test_the_named_comparisons_stand_in_the_tables_and_in_the_json():
    cells = [cell("kind", "step_srpo", seed=s, utility=0.8 + s / 100) for s in range(13)]
    cells += [cell("kind", "grpo", seed=s, utility=0.7 + s / 100) for s in range(13)]
    # None of the 10,000 draws is below 0: p is at most 2 / 10,001, three times that after Holm.
    row = "| grpo | +0.1000 | [+0.1000, +0.1000] | ≤ 0.0002 | ≤ 0.0006 | 1, 0, 0 | 0.0000 |"
    assert row in markdown(cells)
    few = [c for c in cells if c["seed"] < 12]
    assert "| grpo | +0.1000 | – | – | – | 1, 0, 0 | 0.0000 |" in markdown(few)  # twelve seeds: 11 degrees of freedom
    assert "| grpo | +0.1000 | – | – | – | 0, 1, 0 | – |" in markdown([cells[0], cells[13]])  # one seed
    made = contents(cells)
    assert made["comparisons"]["grpo"]["win"] == 1
    assert made["cells"][0]["curve"] == [(100.0, 0.8)]


@pytest.mark.medium
def test_a_picture_is_a_png():
    assert picture([cell(), cell(algorithm="b", curve=[])], "kind").startswith(b"\x89PNG")

"""What a comparison can say, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.comparison.inference import (
    Difference,
    compared,
    detectable,
    holm,
    named_comparisons,
    outcome,
    paired_differences,
    seeds_needed,
    spreads,
    standard_error,
)


def runs(world, algorithm, values, first=0):
    return [
        {"world": world, "seed": first + k, "algorithm": algorithm, "utility": value} for k, value in enumerate(values)
    ]


def test_differences_are_of_the_same_world_and_seed():
    cells = [
        *runs("x", "a", [0.8, 0.7, 0.6]),
        *runs("x", "b", [0.5, 0.6]),
        *runs("y", "a", [0.9]),
        *runs("z", "b", [1]),
    ]
    cells += [{"world": "y", "seed": 0, "algorithm": "b", "error": "it broke"}]
    assert paired_differences(cells, "a", "b") == {"x": [pytest.approx(0.3), pytest.approx(0.1)]}


def test_worlds_count_alike_whatever_their_seeds():
    found = compared({"x": [0.1, 0.1, 0.1, 0.1], "y": [0.3, 0.3]})
    assert found.mean == pytest.approx(0.2)  # (0.1 + 0.3) / 2, not 1.0 / 6
    assert (found.lower, found.upper) == (pytest.approx(0.2), pytest.approx(0.2))  # no seed differs from another


def test_the_bootstrap_draws_seeds_within_their_world_one_fewer_than_there_are():
    # Two worlds of two seeds, one drawn of each: the mean is 0, 1 or 2 with ¼, ½ and ¼. Over the pooled four seeds, or
    # with two drawn a world, it could be ½ as well.
    found = compared({"x": [0.0, 2.0], "y": [0.0, 2.0]})
    assert (found.mean, found.lower, found.upper) == (1.0, 0.0, 2.0)
    assert found.p == pytest.approx(0.5, abs=0.03)  # a quarter of the draws is at 0 or below, twice
    # A world that is off by 100 with certainty widens nothing.
    apart = compared({"x": [0.0, 2.0], "y": [100.0, 100.0]})
    assert (apart.lower, apart.upper) == (50.0, 51.0)


def test_the_spread_of_the_bootstrap_is_the_standard_error():
    rng = np.random.default_rng(3)
    differences = {world: list(rng.normal(0.0, 0.02, 5)) for world in "abcdef"}
    found = compared(differences)
    width = (found.upper - found.lower) / (2 * 1.96)
    assert width == pytest.approx(found.error, rel=0.06)


def test_the_standard_error_by_hand():
    # Samples 0, 2 and 0, 4: variances 2 and 8 over 2 seeds each: √(1 + 4) / 2.
    spread = spreads({"x": [0.0, 2.0], "y": [0.0, 4.0], "z": [1.0]})
    assert spread == {"x": pytest.approx(math.sqrt(2)), "y": pytest.approx(math.sqrt(8))}
    assert standard_error(spread, {"x": 2, "y": 2}) == pytest.approx(math.sqrt(5) / 2)


def test_one_seed_of_a_world_is_a_difference_and_nothing_more():
    assert compared({"x": [0.1, 0.2], "y": [0.3]}) == Difference(pytest.approx(0.225))
    cells = [*runs("x", "a", [0.8]), *runs("x", "b", [0.7]), *runs("x", "c", [0.6])]
    found = named_comparisons(cells, "a", ["b", "c"])["b"]
    assert found["difference"] == pytest.approx(0.1)
    assert [found[key] for key in ("interval", "p", "holm", "detectable")] == [None] * 4
    assert (found["win"], found["tie"]) == (0, 1)


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # 0.01 · 3, then 0.03 · 2, then 0.04 · 1 is below the one before.
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {
        "a": pytest.approx(0.03),
        "b": pytest.approx(0.06),
        "c": pytest.approx(0.06),
    }
    assert holm({"a": 0.6, "b": 0.5}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.02}) == {"a": 0.02}


def test_the_detectable_difference_of_three_comparisons():
    # z(1 − 0.05 / 6) = 2.3940, z(0.8) = 0.8416
    assert detectable(0.001, 3) == pytest.approx(0.0032356, abs=1e-6)
    assert detectable(0.001, 1) == pytest.approx(0.0028016, abs=1e-6)  # 1.95996 + 0.84162
    # Four worlds of 0.02: the error with n seeds is 0.01 / √n, so 0.00324 needs (3.2356 / 0.324)², 100 of them.
    spread = dict.fromkeys("wxyz", 0.02)
    assert seeds_needed(spread, 0.00324, 3) == 100
    assert seeds_needed(spread, 1.0, 3) == 2


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.1, 0.11, 0.09], "win"),
        ([-0.1, -0.11, -0.09], "loss"),
        ([0.1, -0.05, 0.0], "tie"),
        ([0.3], "tie"),  # one seed shows nothing
    ],
)
def test_a_world_is_won_where_its_interval_says_so(values, verdict):
    assert outcome(values) == verdict


def test_the_named_comparisons_are_adjusted_together_and_nothing_else_is():
    cells = runs("x", "a", [0.8, 0.81, 0.79, 0.8] * 2) + runs("y", "a", [0.7, 0.71, 0.7, 0.72] * 2)
    cells += runs("x", "b", [0.7, 0.71, 0.7, 0.69] * 2) + runs("y", "b", [0.6, 0.6, 0.61, 0.62] * 2)
    cells += runs("x", "c", [0.8, 0.8, 0.8, 0.79] * 2) + runs("y", "c", [0.71, 0.7, 0.71, 0.71] * 2)
    found = named_comparisons(cells, "a", ["b", "c", "absent"])
    assert list(found) == ["b", "c"]
    assert (found["b"]["win"], found["b"]["tie"], found["b"]["loss"]) == (2, 0, 0)
    assert found["b"]["difference"] == pytest.approx(0.1)
    assert found["b"]["holm"] == pytest.approx(3 * found["b"]["p"])  # three were named, the absent one too
    assert found["c"]["holm"] == pytest.approx(min(1.0, 2 * found["c"]["p"]))
    assert found["b"]["seeds"] == {"x": 8, "y": 8}

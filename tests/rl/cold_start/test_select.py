"""Selection by complexity: the density by hand, the draw by problem, the plot."""

from __future__ import annotations

import math

import pytest

from rl.cold_start.selection import is_kept, keep_probability, plot_selection, select
from rl.config.cold_start import SelectConfig
from rollout.errors import UserError

SETTINGS = SelectConfig(mu=0.4, sigma=0.2, floor=0.1)


@pytest.mark.parametrize(
    ("complexity", "probability"),
    [
        (0.4, 1.0),  # the peak
        (0.6, math.exp(-0.5)),  # one sigma away: 0.6065
        (0.2, math.exp(-0.5)),
        (0.0, math.exp(-2)),  # two: 0.1353
        (1.0, 0.1),  # three: 0.0111, below the floor
    ],
)
def test_the_probability_is_a_normal_density_that_peaks_at_one_above_a_floor(complexity, probability):
    assert keep_probability(complexity, SETTINGS) == pytest.approx(probability)


def row(index, complexity):
    return {"id": str(index), "label": {"complexity": complexity}}


def test_shares_kept_follow_the_probability_and_easy_and_hard_ones_survive():
    rows = [row(i, c) for i, c in enumerate([0.0, 0.4, 0.6, 1.0] * 1000)]
    kept = select(rows, SETTINGS, seed=0)
    share = {c: sum(r["label"]["complexity"] == c for r in kept) / 1000 for c in (0.0, 0.4, 0.6, 1.0)}
    assert share == pytest.approx({0.0: 0.135, 0.4: 1.0, 0.6: 0.607, 1.0: 0.1}, abs=0.04)


def test_the_draw_of_a_problem_depends_on_neither_order_nor_company():
    rows = [row(i, 0.9) for i in range(200)]
    kept = {r["id"] for r in select(rows, SETTINGS, seed=3)}
    assert {r["id"] for r in select(rows[::-2], SETTINGS, seed=3)} == kept & {r["id"] for r in rows[::-2]}
    assert {r["id"] for r in select(rows, SETTINGS, seed=4)} != kept
    assert 0 < len(kept) < 60


def test_is_kept_at_the_peak_always():
    assert all(is_kept(str(i), 0.4, SETTINGS, seed=0) for i in range(100))


def test_a_row_without_a_label_is_named():
    with pytest.raises(UserError, match=r"row 'a' has no label\.complexity"):
        select([{"id": "a", "prompt": "1"}], SETTINGS, 0)


def test_the_plot_is_a_png(tmp_path):
    rows = [row(i, i / 10) for i in range(11)]
    plot_selection(tmp_path / "new" / "selected.png", rows, rows[3:6], SETTINGS)
    assert (tmp_path / "new" / "selected.png").read_bytes().startswith(b"\x89PNG")


def test_a_number_of_problems_is_kept_by_the_same_weights_and_a_smaller_number_is_part_of_it():
    rows = [row(i, c) for i, c in enumerate([0.0, 0.4, 0.6, 1.0] * 250)]
    settings = SelectConfig(mu=0.4, sigma=0.2, floor=0.1, problems=200)
    kept = select(rows, settings, seed=0)
    assert len(kept) == 200
    share = [sum(r["label"]["complexity"] == c for r in kept) for c in (0.0, 0.4, 0.6, 1.0)]
    assert share[1] > share[2] > share[0] > 0
    assert share[3] > 0
    fewer = select(rows, SelectConfig(mu=0.4, sigma=0.2, floor=0.1, problems=50), seed=0)
    assert {r["id"] for r in fewer} <= {r["id"] for r in kept}
    with pytest.raises(UserError, match=r"select\.problems is 1001; allowed: up to the 1000 labelled"):
        select(rows, SelectConfig(problems=1001), seed=0)

"""The search before a comparison."""

from __future__ import annotations

import json

import pytest

from rl.comparison import tuning
from rl.comparison.runs import Plan
from rl.comparison.tuning import combinations, grid_of, inherited, quality, read_settings, score, write_tuned
from rl.config.schema import ConfigError


def cell(utility, collapsed=False):
    return {"utility": utility, "collapsed": collapsed, "seconds": 1.0}


def test_a_grid_gives_every_combination():
    assert combinations({"trainer.iterations": [1, 2], "trainer.schedule": ["linear", "cosine"]}, "") == [
        {"trainer.iterations": 1, "trainer.schedule": "linear"},
        {"trainer.iterations": 1, "trainer.schedule": "cosine"},
        {"trainer.iterations": 2, "trainer.schedule": "linear"},
        {"trainer.iterations": 2, "trainer.schedule": "cosine"},
    ]
    assert combinations({}, "") == [{}]


@pytest.mark.parametrize(
    ("grid", "line"),
    [
        ({"trainer.kl": 0.1}, r"grpo.trainer.kl is 0.1; allowed: a list of values to try"),
        ({"trainer.kl": [0.1, 0.2, 0.1]}, r"grpo.trainer.kl is \[0.1, 0.2, 0.1\]; allowed: .* each once"),
        ({"cold_start.steps": [100, 200]}, r"grpo.cold_start.steps is no setting of a run"),
        ({"data.seed": [0]}, r"grpo.data.seed is no setting of a run"),
    ],
)
def test_a_grid_that_would_try_nothing_is_refused(grid, line):
    with pytest.raises(ConfigError, match=line):
        combinations(grid, "grpo")


def test_the_best_settings_go_to_a_file_that_is_theirs(tmp_path):
    grid, own, other = (tmp_path / name for name in ("grid.yaml", "own.yaml", "comparison.yaml"))
    grid.write_text("grpo: {trainer.kl: [0.0, 0.1]}\n")
    own.write_text("grpo: {trainer.kl: 0.1}\n")
    other.with_suffix(".json").write_text('{"cells": []}')
    tuning.check_tuned_file(own, grid)
    tuning.check_tuned_file(tmp_path / "new.yaml", grid)
    copy = tmp_path / "copy.yaml"
    copy.write_text(grid.read_text())
    for path, line in (
        (grid, "not the grid"),
        (copy, "has a list at grpo.trainer.kl"),
        (tmp_path / "best.json", "a .yaml file"),
        (other, "comparison.json, where all scores go, holds something else"),
    ):
        with pytest.raises(ConfigError, match=line):
            tuning.check_tuned_file(path, grid)


def test_tuned_settings_of_no_algorithm_are_refused():
    tuning.known_algorithms({"grpo": {}, "mine.py:double": {"trainer.kl": 0.1}}, "best.yaml")
    with pytest.raises(
        ConfigError, match=r"best.yaml has settings of 'step-srpo', no algorithm; did you mean 'step_srpo'"
    ):
        tuning.known_algorithms({"step-srpo": {}}, "best.yaml")


def test_every_algorithm_tries_what_stands_under_all():
    grids = {"all": {"trainer.iterations": [1, 4]}, "grpo": {"trainer.kl": [0.0, 0.1]}, "bpo": {}}
    assert len(grid_of(grids, "grpo")) == 4
    assert grid_of(grids, "bpo") == [{"trainer.iterations": 1}, {"trainer.iterations": 4}]
    for name in ("all", "hipo"):
        with pytest.raises(ConfigError, match=f"no grid for '{name}'; .* which has grpo, bpo"):
            grid_of(grids, name)


def test_the_rest_inherits_the_rate_and_iterations_that_did_best_on_average():
    def tried(algorithm, iterations, kl, score):
        return {
            "algorithm": algorithm,
            "settings": {"trainer.iterations": iterations, "trainer.kl": kl},
            "score": score,
        }

    rows = [tried("a", 1, 0.0, 0.9), tried("a", 4, 0.0, 0.1), tried("a", 4, 0.1, 0.8)]
    rows += [tried("b", 1, 0.0, 0.5), tried("b", 4, 0.0, 0.7)]
    # One: (0.9 + 0.5) / 2; four: (0.8 + 0.7) / 2.
    assert inherited(rows) == {"trainer.iterations": 4}
    assert inherited([]) == {}


def test_failed_and_collapsed_runs_are_worth_nothing_in_tuning():
    cells = [cell(utility=0.8), cell(utility=0.9, collapsed=True), {"error": "x"}]
    assert score(cells) == pytest.approx(0.8 / 3)
    assert quality(cells) == (pytest.approx(0.8 / 3), pytest.approx(1.7 / 3))
    # Where everything collapsed, the better end wins.
    assert quality([cell(utility=0.8, collapsed=True)]) > quality([cell(utility=0.7, collapsed=True)])


def test_a_further_seed_is_run_with_the_better_half_of_the_settings(tmp_path, monkeypatch):
    utility = {(1, 0.0): 0.5, (1, 0.1): 0.8, (4, 0.0): 0.7, (4, 0.1): 0.6}
    ran, left = [], []

    def made(plan, wanted, show, jobs, hours):
        chosen = [(p.settings["trainer.iterations"], p.settings["trainer.kl"]) for p in wanted]
        ran.append([(p.seed, *one) for p, one in zip(wanted, chosen, strict=True)])
        left.append(hours)
        # What was best with seed 100 is worse with 101 than what was second.
        fallen = [
            utility[one] - 0.3 * (p.seed == 101 and one == (1, 0.1)) for p, one in zip(wanted, chosen, strict=True)
        ]
        return [
            {**cell(u), "world": p.world, "seed": p.seed, "cpu_seconds": 900.0}
            for p, u in zip(wanted, fallen, strict=True)
        ]

    monkeypatch.setattr(tuning, "run_places", made)
    grids = {"all": {"trainer.iterations": [1, 4]}, "grpo": {"trainer.kl": [0.0, 0.1]}}
    plan = Plan("", [], tmp_path, {})
    best, tried = tuning.tune(plan, grids, ["kind"], ["grpo"], [100, 101], lambda text: None, hours=3.0)
    assert ran[0] == [(100, 1, 0.0), (100, 1, 0.1), (100, 4, 0.0), (100, 4, 0.1)]
    assert ran[1] == [(101, 1, 0.1), (101, 4, 0.0)]
    assert left == [3.0, 2.0]
    assert best == {"grpo": {"trainer.iterations": 4, "trainer.kl": 0.0}}
    assert [(row["score"], len(row["runs"])) for row in tried] == [
        (0.5, 1),
        (pytest.approx(0.65), 2),
        (pytest.approx(0.7), 2),
        (0.6, 1),
    ]


def test_settings_with_runs_left_are_not_chosen_from(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "run_places", lambda plan, wanted, *rest: [cell(0.5), None, *wanted][: len(wanted)])
    plan, grids = Plan("", [], tmp_path, {}), {"grpo": {"trainer.kl": [0.0, 0.1]}}
    assert tuning.tune(plan, grids, ["kind"], ["grpo"], [100, 101], lambda text: None) == ({}, [])


def test_tuned_settings_are_published_beside_older_ones(tmp_path):
    file = tmp_path / "tuned.yaml"
    write_tuned(file, {"a": {"trainer.kl": 0.1}}, [{"algorithm": "a", "settings": {}, "utility": 0.5}], [100], ["kind"])
    write_tuned(file, {"b": {}}, [{"algorithm": "b", "settings": {}, "utility": 0.6}], [100], ["kind"])
    assert read_settings(file) == {"a": {"trainer.kl": 0.1}, "b": {}}
    assert "seeds 100 of kind" in file.read_text()
    assert [row["algorithm"] for row in json.loads((tmp_path / "tuned.json").read_text())["tried"]] == ["a", "b"]


def test_nothing_is_chosen_where_every_run_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tuning, "run_places", lambda plan, wanted, *rest: [{"error": "no", "seconds": 1.0}] * len(wanted)
    )
    plan, grids = Plan("", [], tmp_path, {}), {"grpo": {"trainer.kl": [0.0, 0.1]}}
    assert tuning.tune(plan, grids, ["kind"], ["grpo"], [100], lambda text: None) == ({}, [])

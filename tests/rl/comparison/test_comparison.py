"""The statistics of a comparison, by hand, and a comparison of two algorithms in small."""

from __future__ import annotations

import json

import pytest
from small_runs import script, settings, write_config

from rl.comparison.measures import (
    collapsed,
    curve,
    measures,
    overall,
    summary,
    thinking_needed,
    tokens_to_reach,
    utility,
)
from rl.comparison.report import markdown, picture, show
from rl.comparison.runs import Plan
from rl.comparison.tuning import combinations, quality, read_settings, score, write_tuned
from rl.config.schema import ConfigError
from rl.statistics.intervals import Interval, mean_interval, student_t


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


def cell(world="kind", algorithm="a", seed=0, **values):
    base = {"accuracy": 0.9, "tokens": 8.0, "think_easy": 0.0, "think_hard": None, "utility": 0.8, "regret": 0.1}
    more = {"reach": 100.0, "spent": 500.0, "collapsed": False, "oracle_utility": 0.85, "always_think": 16.0}
    return {**base, **more, "curve": [(100.0, 0.8)], "world": world, "algorithm": algorithm, "seed": seed, **values}


def test_a_run_that_never_gets_there_counts_with_all_its_tokens():
    row = summary([cell(reach=100.0), cell(reach=None), cell(reach=300.0, collapsed=True)])
    assert (row["reach"].mean, row["reached"], row["n"], row["collapsed"]) == (300.0, 2, 3, 1)
    assert row["think_hard"] is None


def test_over_the_worlds_the_mean_and_the_distance_to_the_best():
    rows = {
        "x": {"a": summary([cell(utility=0.8)]), "b": summary([cell(utility=0.7, collapsed=True)])},
        "y": {"a": summary([cell(utility=0.5, reach=None)]), "b": summary([cell(utility=0.8)])},
    }
    found = overall(rows)
    assert found["a"] == {
        "worlds": 2,
        "utility": pytest.approx(0.65),
        "behind": pytest.approx(0.3),
        "reach": 300.0,
        "reached": 1,
        "collapsed": 0,
        "runs": 2,
    }
    assert (found["b"]["behind"], found["b"]["collapsed"]) == (pytest.approx(0.1), 1)


def test_the_tables_show_means_intervals_and_what_failed():
    cells = [cell(seed=0, utility=0.7), cell(seed=1, utility=0.8, reach=None)]
    cells.append({"world": "kind", "seed": 2, "algorithm": "a", "seconds": 1.0, "error": "it broke"})
    text = markdown(cells)
    # t = 12.706, s = 0.0707, n = 2
    assert "| a | 2 | 0.750 ± 0.635 |" in text
    assert "| > 300 ± 2541 (1 of 2) | 0 |" in text
    assert "| a | 1 | 0.750 | 0.000 | > 300 (1 of 2) | 0 of 2 |" in text
    assert "- failed: kind seed 2 a: it broke" in text
    assert show(Interval(0.5, None, 1), 1) == "0.5"


@pytest.mark.medium
def test_a_picture_is_a_png():
    assert picture([cell(), cell(algorithm="b", curve=[])], "kind").startswith(b"\x89PNG")


# --- tuning ----------------------------------------------------------------------------------------------------------


def test_a_grid_gives_every_combination():
    assert combinations({"x": [1, 2], "y": ["a", "b"]}, "") == [
        {"x": 1, "y": "a"},
        {"x": 1, "y": "b"},
        {"x": 2, "y": "a"},
        {"x": 2, "y": "b"},
    ]
    assert combinations({}, "") == [{}]
    with pytest.raises(ConfigError, match=r"grpo.trainer.kl is 0.1; allowed: a list of values to try"):
        combinations({"trainer.kl": 0.1}, "grpo")


def test_failed_and_collapsed_runs_are_worth_nothing_in_tuning():
    cells = [cell(utility=0.8), cell(utility=0.9, collapsed=True), {"error": "x"}]
    assert score(cells) == pytest.approx(0.8 / 3)
    assert quality(cells) == (pytest.approx(0.8 / 3), pytest.approx(1.7 / 3))
    # Where everything collapsed, the better end wins.
    assert quality([cell(utility=0.8, collapsed=True)]) > quality([cell(utility=0.7, collapsed=True)])


def test_tuned_settings_are_published_beside_older_ones(tmp_path):
    file = tmp_path / "tuned.yaml"
    write_tuned(file, {"a": {"trainer.kl": 0.1}}, [{"algorithm": "a", "settings": {}, "utility": 0.5}], [100], ["kind"])
    write_tuned(file, {"b": {}}, [{"algorithm": "b", "settings": {}, "utility": 0.6}], [100], ["kind"])
    assert read_settings(file) == {"a": {"trainer.kl": 0.1}, "b": {}}
    assert "seeds 100 of kind" in file.read_text()
    assert [row["algorithm"] for row in json.loads((tmp_path / "tuned.json").read_text())["tried"]] == ["a", "b"]


def test_starts_are_taken_in_turn_and_bring_their_data(tmp_path):
    plan = Plan(str(small(tmp_path)), [], tmp_path, {}, (10, 20))
    configs = {seed: plan.settings("kind", seed, "grpo") for seed in (0, 1, 2)}
    assert [config.data.seed for config in configs.values()] == [10, 20, 10]
    assert [config.seed for config in configs.values()] == [0, 1, 2]
    assert configs[2].model.path == str(tmp_path / "kind" / "seed10" / "cold_start" / "model")
    assert configs[0].algorithm == {"name": "grpo"}
    mine = Plan(str(small(tmp_path)), ["algorithm={name: step_srpo, kappa: 2.0}"], tmp_path, {})
    assert mine.settings("kind", 0, "step_srpo").algorithm == {"name": "step_srpo", "kappa": 2.0}
    assert mine.settings("kind", 0, "grpo").algorithm == {"name": "grpo"}
    own = Plan(str(small(tmp_path)), [], tmp_path, {}).settings("kind", 2, "grpo")
    assert (own.data.seed, own.model.path) == (2, str(tmp_path / "kind" / "seed2" / "cold_start" / "model"))


# --- the command -----------------------------------------------------------------------------------------------------


def small(tmp_path):
    """A comparison of seconds: two steps of cold start, a budget of a few steps."""
    raw = settings(
        tmp_path / "runs",
        tmp_path,
        data={"shares": {}, "train_size": 40, "test_size": 12},
        model={"path": "tiny:32x1"},
        protocol={"name": "one_token", "think": "<think>", "no_think": "<no_think>"},
        cold_start={"steps": 2, "batch": 8, "problems": 20, "max_length": 64},
        trainer={"steps": 50, "token_budget": 400},
        evaluation={"problems": 12, "every": 1, "probe": 6},
    )
    return write_config(tmp_path / "config.json", raw)


@pytest.mark.medium
def test_a_comparison_runs_each_cell_once_and_writes_its_tables(tmp_path):
    arguments = (str(small(tmp_path)), "--algorithms", "step_srpo,grpo", "--seeds", "3", "--worlds", "kind")
    done = script("compare.py", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[2/2] kind seed 3 grpo" in done.stdout
    runs = tmp_path / "runs"
    cells = json.loads((runs / "comparison.json").read_text())["cells"]
    assert [(c["algorithm"], c["seed"], c["world"]) for c in cells] == [("step_srpo", 3, "kind"), ("grpo", 3, "kind")]
    assert cells[0]["always_think"] == cells[1]["always_think"]  # the same cold start
    assert all(c["spent"] >= 400 and len(c["curve"]) == c["steps"] < 50 for c in cells)
    assert json.loads((runs / "kind" / "seed3" / "grpo" / "config.json").read_text())["algorithm"] == {"name": "grpo"}
    assert "| grpo | 1 | " in (runs / "comparison.md").read_text()
    assert (runs / "kind.png").read_bytes().startswith(b"\x89PNG")
    # Started again with one cell missing, only that one runs.
    (runs / "kind" / "seed3" / "grpo" / "cell.json").unlink()
    kept = (runs / "kind" / "seed3" / "step_srpo" / "cell.json").stat().st_mtime_ns
    assert script("compare.py", *arguments).returncode == 0
    assert json.loads((runs / "comparison.json").read_text())["cells"][0] == cells[0]
    assert (runs / "kind" / "seed3" / "step_srpo" / "cell.json").stat().st_mtime_ns == kept


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--algorithms", "step_srp"), "algorithm.name is 'step_srp'; did you mean 'step_srpo'?"),
        (("--algorithms", "grpo", "--worlds", "kindd"), "no embedded world 'tiny:kindd'; did you mean 'tiny:kind'?"),
        (("--algorithms", "grpo", "--tuned", "no.yaml"), "no settings file 'no.yaml'"),
    ],
)
def test_a_comparison_that_cannot_run_is_one_line(tmp_path, arguments, message):
    done = script("compare.py", str(small(tmp_path)), "--seeds", "0", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr

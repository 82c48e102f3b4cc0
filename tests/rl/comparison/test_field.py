"""What is fixed before a test, and what stops it."""

from __future__ import annotations

import json
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from rl.algorithms import SHIPPED
from rl.comparison import field
from rl.comparison.tuning import grid_of
from rl.worlds.worlds import TEST
from rollout.errors import UserError

ROOT = Path(__file__).parents[3]


def runs(algorithm, values, world="walk", first=100):
    return [
        {"world": world, "seed": first + k, "algorithm": algorithm, "utility": value} for k, value in enumerate(values)
    ]


def test_every_main_algorithm_tries_the_same_grid_and_every_algorithm_is_in_the_field():
    grids = yaml.safe_load((ROOT / "benchmarks" / "tuning.yaml").read_text())
    assert [len(grid_of(grids, name)) for name in field.MAIN] == [8] * 6
    assert set(grids["all"]) == {"trainer.iterations", "trainer.learning_rate"}
    assert {*field.MAIN, *field.OTHERS} == set(SHIPPED)
    assert {name.partition("@")[0] for name in field.PUBLISHED} <= {n for n, one in SHIPPED.items() if one.published}
    assert min(field.TUNING_SEEDS) >= 100 > max(field.TEST_SEEDS)


def test_the_runs_of_the_best_settings_are_the_cells_that_say_what_will_be_detectable():
    tried = [
        {
            "algorithm": "grpo",
            "settings": {"trainer.kl": 0.0},
            "runs": [{"world": "walk", "seed": 100, "utility": 0.7}],
        },
        {
            "algorithm": "grpo",
            "settings": {"trainer.kl": 0.1},
            "runs": [{"world": "walk", "seed": 100, "utility": 0.8}],
        },
    ]
    assert field.tuned_cells(tried, {"grpo": {"trainer.kl": 0.1}}) == [
        {"world": "walk", "seed": 100, "utility": 0.8, "algorithm": "grpo"}
    ]
    cells = runs("step_srpo", [0.8, 0.84]) + runs("grpo", [0.8, 0.8]) + runs("degrpo", [0.7])
    found = field.expected_detectable(cells, seeds=4, worlds=4)
    # The difference spreads by √(0.02² · 2) = 0.02828; four seeds in four worlds: 0.02828 / √16, times 3.2356.
    assert found == {"grpo": pytest.approx(0.022879, abs=1e-5)}


def test_seeds_are_added_until_all_three_comparisons_detect_the_target():
    exact = [cell for name in ("step_srpo", *field.PEERS) for cell in runs(name, [0.8, 0.8], first=0)]
    assert field.reached_target(exact)
    assert field.more_seeds(exact) == 2
    # A seed with a start that a constant mode does well on is passed over, whatever the algorithms make of it.
    worth = {5: (0.09, 0.04), 6: (0.09, 0.049), 7: (0.05, 0.06)}
    assert field.next_seed([0, 4, 3], lambda seed: [{"worth": one} for one in worth[seed]]) == 7
    assert not field.reached_target(
        exact + runs("step_srpo", [0.9, 0.6], "kind", 0) + runs("grpo", [0.5, 0.9], "kind", 0)
    )
    assert not field.reached_target([cell for cell in exact if cell["algorithm"] != "degrpo"])


def test_a_test_is_not_frozen_with_a_start_that_does_not_need_judging():
    rows = [{"world": "walk", "seed": 0, "worth": 0.05}, {"world": "walk", "seed": 1, "worth": 0.049}]
    field.check_starts(rows, ["walk"], [0])
    with pytest.raises(UserError, match="walk seed 1;"):
        field.check_starts(rows, ["walk"], [0, 1])
    with pytest.raises(UserError, match="kind seed 0;"):
        field.check_starts(rows, ["walk", "kind"], [0])
    with pytest.raises(UserError, match="walk seed 0;"):
        field.check_starts([{**rows[0], "worth": 0.01}, rows[0]], ["walk"], [0])
    for damaged in (
        5,
        [5],
        ["a"],
        [{}],
        [{"world": "walk", "seed": 0, "worth": "much"}],
        [{**rows[0], "world": []}],
        [{**rows[0], "worth": float("nan")}],
        [{**rows[0], "worth": True}],
    ):
        with pytest.raises(UserError, match="the starts' rows cannot be read"):
            field.check_starts(damaged, ["walk"], [0])


def test_what_is_frozen_is_a_commit_and_a_test_stops_where_anything_changed(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True, capture_output=True
        )

    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    for path in field.FROZEN:
        file = Path(path) if "." in path else Path(path) / "code.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
    file = tmp_path / "frozen.json"
    starts = [{"world": w.name, "seed": seed, "worth": 0.09} for w in TEST for seed in field.TEST_SEEDS]
    with pytest.raises(UserError, match="nothing is frozen"):
        field.check_frozen(file)
    git("add", "rl", "rollout", "rewards", "configs")
    git("commit", "-qm", "one")
    with pytest.raises(UserError, match=r"changes that no commit has: benchmarks/"):
        field.freeze(file, [], {}, starts)
    git("add", "-A")
    git("commit", "-qm", "two")
    made = field.freeze(file, [], {}, starts)
    assert len(made["commit"]) == 40
    assert field.check_frozen(file) == json.loads(file.read_text()) == made
    (emptied := tmp_path / "emptied.json").write_text('{"commit": "1", "objects": {}}')
    with pytest.raises(UserError, match=r"configs/compare.yaml, .*changed since"):
        field.check_frozen(emptied)
    Path("rl/code.py").write_text("2")
    monkeypatch.chdir(tmp_path / "rl")
    with pytest.raises(UserError, match=r"rl/code.py changed since"):
        field.check_frozen(file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"rl/code.py changed since"):
        field.check_frozen(file)
    git("commit", "-qam", "three")
    with pytest.raises(UserError, match=r"^rl changed since"):
        field.check_frozen(file)


def test_a_damaged_freeze_is_named(tmp_path):
    for content in ("", "[]", '{"commit": 1}', '{"commit": "1", "objects": []}', '{"commit": 5, "objects": {}}'):
        (damaged := tmp_path / "damaged.json").write_text(content)
        with pytest.raises(UserError, match=r"damaged\.json .*allowed: what"):
            field.check_frozen(damaged)


def test_shorter_results_do_not_replace_longer_ones_and_a_damaged_file_is_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = runpy.run_path(str(ROOT / "benchmarks" / "field.py"))
    file = tmp_path / "field.json"
    file.write_text('{"cells": [{}, {}]}')
    with pytest.raises(UserError, match=r"field\.json has 2 runs and these are 0"):
        script["write_results"](file, [])
    assert file.read_text() == '{"cells": [{}, {}]}'
    for content in ("", "[]", "null", "{}"):
        file.write_text(content)
        with pytest.raises(UserError, match=r"field\.json cannot be read"):
            script["read_json"](file, "cells")
    file.write_text('{"cells": 5}')
    with pytest.raises(UserError, match=r"field\.json has no list of cells"):
        script["runs_in"](file)


def test_the_field_runs_neither_code_nor_git_of_another_checkout(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    check_checkout = runpy.run_path(str(ROOT / "benchmarks" / "field.py"))["check_checkout"]
    own = [ROOT / package / "__init__.py" for package in ("rl", "rewards", "rollout")]
    check_checkout(own, ROOT / "docs")
    with pytest.raises(UserError, match="rewards is imported; allowed"):
        check_checkout([own[0], tmp_path / "rewards" / "__init__.py"], ROOT)
    with pytest.raises(UserError, match=r"started in .*; allowed"):
        check_checkout(own, tmp_path)


def test_runs_that_failed_end_the_adding_of_seeds_and_replace_no_numbers(tmp_path, monkeypatch):
    cells = [cell for name in ("step_srpo", *field.PEERS[:2]) for cell in runs(name, [0.8, 0.8], first=0)]
    assert field.more_seeds(cells) == 0
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = runpy.run_path(str(ROOT / "benchmarks" / "field.py"))
    (file := tmp_path / "field.json").write_text('{"cells": [{}]}')
    with pytest.raises(UserError, match=r"field\.json has 1 runs and these are 0"):
        script["write_results"](file, [{"error": "it broke"}, {"error": "it broke"}])


def test_damaged_rows_of_the_tuning_are_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = runpy.run_path(str(ROOT / "benchmarks" / "field.py"))
    for name in ("read_tried", "tries"):
        monkeypatch.setitem(script[name].__globals__, "TUNED", tmp_path / "tuned.yaml")
    monkeypatch.setitem(script["tries"].__globals__, "HERE", tmp_path)
    row = {"algorithm": "a", "settings": {}}
    for tried in (5, [], [5], [{}], [{**row, "runs": 5}], [{**row, "runs": [{"world": "w", "seed": 1}]}]):
        (tmp_path / "tuned.json").write_text(json.dumps({"tried": tried}))
        with pytest.raises(UserError, match=r"tuned\.json has"):
            script["read_tried"]()
    (tmp_path / "tuned.json").write_text(
        json.dumps({"tried": [{**row, "runs": [{"world": "w", "seed": 1, "error": ""}]}]})
    )
    for text in ("", "a: b", "[]", "a: ["):
        (tmp_path / "by_hand.yaml").write_text(text)
        with pytest.raises(UserError, match=r"by_hand\.yaml cannot be read"):
            script["tries"]()
    (tmp_path / "by_hand.yaml").write_text("a: 2")
    assert script["tries"]() == {"a": 3}

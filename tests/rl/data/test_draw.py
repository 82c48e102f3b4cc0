"""Fewer problems than there are: drawn by the seed, nested, by kind where it is asked for."""

from __future__ import annotations

import json

from factories import make_problem

from rl.config.read import parse_config
from rl.data import load_problems
from rl.data.draw import drawn

# As a folder of MATH is read: one kind after the other.
ROWS = [make_problem(str(i), domain="algebra" if i < 90 else "geometry", difficulty=str(i % 5)) for i in range(100)]


def ids(count, *, rows=ROWS, seed=0, **data):
    return [problem.id for problem in drawn(rows, count, parse_config({"seed": seed, "data": data}))]


def test_a_draw_is_spread_over_the_file_and_keeps_its_order():
    found = ids(20)
    assert len(found) == 20
    assert found == sorted(found, key=int)
    assert max(map(int, found)) > 60
    assert ids(0) == ids(None) == ids(100) == ids(101) == [problem.id for problem in ROWS]


def test_it_follows_the_seed_alone_and_a_smaller_draw_is_part_of_a_larger_one():
    assert ids(20, seed=1) != ids(20)
    assert ids(20, seed=5) == ids(20, seed=5) != ids(20, seed=6)
    assert set(ids(10)) < set(ids(20)) < set(ids(50))
    assert sorted(ids(20, rows=ROWS[::-1])) == sorted(ids(20))


def test_the_same_number_of_each_domain_or_level_is_drawn_as_far_as_they_go():
    geometry = [one for one in ids(10, draw="domain") if int(one) >= 90]
    assert len(geometry) == 5
    assert len([one for one in ids(40, draw="domain") if int(one) >= 90]) == 10
    levels = [int(one) % 5 for one in ids(10, draw="difficulty")]
    assert sorted(levels) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_sizes_of_train_and_test_are_drawn(tmp_path):
    rows = [{"prompt": f"p{i}", "answer": "1", "domain": "algebra" if i < 50 else "geometry"} for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"path": str(tmp_path), "train": "rows.jsonl", "test": "rows.jsonl", "train_size": 10, "test_size": 20}
    config = parse_config({"data": {**data, "draw": "domain"}})
    train, test = (load_problems(config, split) for split in ("train", "test"))
    assert [sum(p.domain == "geometry" for p in split) for split in (train, test)] == [5, 10]
    assert {p.id for p in train} < {p.id for p in test}

"""What judging is worth in a world, by hand."""

from __future__ import annotations

import pytest

from rl.comparison.world_check import judging_worth, level_routes, line


def row(level, think, direct, tokens=10.0):
    return {"difficulty": level, "think": [think, tokens], "no_think": [direct, 4.0]}


def test_a_level_takes_the_mode_of_higher_utility_with_the_rates_of_the_other_half():
    # Thinking costs 0.2 · (10 − 4) / 10 = 0.12 more. Level a: direct answers are as good; b: thinking gains 1;
    # c: thinking gains 1 in the first half and nothing in the second, so that each half decides the other wrongly.
    rows = [row("a", 1, 1), row("a", 1, 1), row("b", 1, 0), row("b", 1, 0), row("c", 1, 0), row("c", 1, 1)]
    assert level_routes(rows) == ["no_think", "no_think", "think", "think", "no_think", "think"]
    assert level_routes([row("a", 1, 1)]) == ["think"]  # nothing known of its level


def test_judging_is_worth_what_the_level_router_has_above_the_better_constant_mode():
    rows = [row("a", 1, 1) for _ in range(6)] + [row("b", 1, 0) for _ in range(4)]
    modes = {"think": (1.0, 10.0), "no_think": (0.6, 4.0), "auto": (0.8, 7.0)}
    table = {name: {"accuracy": a, "mean_tokens": t} for name, (a, t) in modes.items()}
    found = judging_worth({"modes": table, "problems": rows})
    # 1 − 0.2 · (6 · 4 + 4 · 10) / 10 / 10 = 0.872; always thinking 0.8, never 0.6 − 0.08.
    assert found["router"] == pytest.approx(0.872)
    assert (found["think"], found["no_think"]) == (pytest.approx(0.8), pytest.approx(0.52))
    assert found["worth"] == pytest.approx(0.072)
    assert found["think_rate"] == pytest.approx(0.4)
    assert line({"world": "x", "seed": 0, **found}).endswith("+0.072, needs judging")
    assert line({"world": "x", "seed": 0, **found, "worth": 0.049}).endswith("a constant mode will do")

"""rl/reports/outcomes.py: what auto loses and saves, with intervals over the problems."""

from __future__ import annotations

import pytest

from rl.reports.outcomes import captured, lost, outcome_lines, paired, token_share
from rl.statistics.intervals import bootstrap


def row(index, direct, auto, *, think=(1.0, 40)):
    return {"id": str(index), "difficulty": None, "think": think, "no_think": direct, "auto": auto, "thinks": False}


def evaluation(right_auto=10):
    """Ten problems: five that direct answers solve with 4 tokens, five that only 40 tokens of thinking do."""
    easy = [row(i, (1.0, 4), (1.0, 4)) for i in range(5)]
    hard = [row(i, (0.0, 4), (float(i < right_auto), 40)) for i in range(5, 10)]
    return {"problems": easy + hard}


def test_a_policy_that_routes_like_the_oracle_loses_nothing_and_captures_all():
    pairs = paired(evaluation(), evaluation())
    assert (lost(pairs), token_share(pairs), captured(pairs)) == (0.0, 0.55, 1.0)


def test_the_better_and_the_shorter_forced_think_of_before_and_after_is_the_measure():
    weak = {"problems": [one | {"think": (0.0, 20)} for one in evaluation()["problems"]]}
    pairs = paired(weak, evaluation())
    assert (lost(pairs), token_share(pairs)) == (0.0, pytest.approx(22 / 20))


def test_an_interval_holds_its_value_and_does_not_hang_on_chance():
    uneven = {"problems": [row(i, (1.0, 4), (1.0, i * i)) for i in range(40)]}
    value, low, high = bootstrap(paired(uneven, uneven), token_share)
    assert value == pytest.approx(513.5 / 40)
    assert 8 < low < 10 < value < 16 < high < 19
    assert bootstrap(paired(uneven, uneven), token_share) == (value, low, high)


def test_the_lines_say_what_passes_and_what_fails():
    lines = outcome_lines(evaluation(), evaluation(8))
    assert lines[0] == "10 problems, 95 % intervals over the problems"
    assert lines[1].startswith(
        "FAIL  accuracy that auto loses to forced think: 0.200 [0.000, 0.500]; allowed: at most 0.01"
    )
    assert lines[2].startswith("pass  tokens of auto / forced think: 0.550 [")
    assert lines[3].startswith("pass  share of the oracle's saving: 1.000 [")


def test_the_lines_give_each_mode_and_the_routers_before_and_after():
    half = {"problems": [one | {"thinks": index >= 5} for index, one in enumerate(evaluation()["problems"])]}
    lines = outcome_lines(evaluation(), half)[4:]
    assert [line.partition(": accuracy")[0] for line in lines] == [
        "forced think",
        "forced direct",
        "auto",
        "router: oracle",
        "router: random",
    ]
    assert lines[3].startswith("router: oracle: accuracy 1.000 [1.000, 1.000] → 1.000 [1.000, 1.000], tokens 22.0 [")
    # Before, auto never thinks: a random router answers directly. After, it thinks half of the time.
    assert lines[4].startswith("router: random: accuracy 0.500 [")
    assert "] → 0.750 [" in lines[4]
    assert ", tokens 4.0 [4.0, 4.0] → 22.0 [" in lines[4]


def test_evaluations_that_do_not_list_their_problems_have_no_intervals():
    assert outcome_lines({}, evaluation()) == ["no intervals: the evaluations do not list the same problems"]

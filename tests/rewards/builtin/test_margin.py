"""The margin's schedules."""

import pytest

from rewards.builtin.margin import margin_at
from rollout.errors import UserError


def test_a_number_stays_what_it_is():
    assert [margin_at(0.05, step) for step in (0, 100)] == [0.05, 0.05]


def test_a_linear_margin_reaches_its_end_and_stays_there():
    margin = {"start": 0.0, "end": 0.1, "steps": 50}
    assert [margin_at(margin, step) for step in (0, 10, 25, 50, 500)] == pytest.approx([0, 0.02, 0.05, 0.1, 0.1])


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("wide", "judge.margin"),
        (True, "judge.margin"),
        ({"start": 0, "end": 1}, "judge.margin"),
        ({"start": 0, "change": 0.01}, "judge.margin"),
        ({"start": 0, "end": 1, "step": 5}, "judge.margin"),
        ({"start": 0, "end": "1", "steps": 5}, "judge.margin.end"),
        ({"start": 0, "end": 1, "steps": 0}, "judge.margin.steps"),
    ],
)
def test_a_margin_that_cannot_be_read_is_named(value, place):
    with pytest.raises(UserError, match=f"{place} is .*; allowed: "):
        margin_at(value, 0)

"""What an evaluation says beside its accuracies."""

from __future__ import annotations

import pytest

from rl.reports.parts import part_lines


def told(auto: float, think: float = 0.01, no_think: float = 0.0) -> list[str]:
    shares = {"auto": auto, "think": think, "no_think": no_think}
    result = {"modes": {mode: {"format_failures": share} for mode, share in shares.items()}}
    return [line for line in part_lines(result) if "--dial" in line]


def test_free_answers_that_lack_a_decision_are_told_with_what_still_decides():
    (line,) = told(0.404)
    assert line.startswith("39.4% ")
    assert told(0.015) == told(0.4, no_think=0.4) == told(0.0) == []


@pytest.mark.parametrize(
    "odd", [{}, {"modes": None}, {"modes": {"auto": {"format_failures": 1.0}}}, {"modes": {"auto": 3}}]
)
def test_an_evaluation_that_lacks_its_forced_modes_says_nothing(odd):
    assert [line for line in part_lines(odd) if "--dial" in line] == []
